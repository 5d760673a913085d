"""Windows in a process of their own: the same answers, no torch, and a crash is one window."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from svggt.refine.solver import InlineSolver, ProcessSolver, SolverProcess, WaitingSolver
from svggt.refine.window import WindowProblem, WindowSolution, solve


def problem(seed: int = 0, noise: float = 0.0) -> WindowProblem:
    """Four keyframes along x that see 60 points; poses and points are disturbed."""
    rng = np.random.default_rng(seed)
    points = rng.uniform((-2, -1, 3), (2, 1, 6), (60, 3))
    poses = np.stack([np.concatenate([np.eye(3), [[0.3 * i], [0], [0]]], 1) for i in range(4)])
    keyframe, landmark = (a.ravel() for a in np.meshgrid(range(4), range(60), indexing="ij"))
    seen = points[landmark] - poses[keyframe, :, 3]
    pixels = 400 * seen[:, :2] / seen[:, 2:] + (240, 160)
    disturbed = poses.copy()
    disturbed[2:, :, 3] += rng.normal(0, noise, (2, 3))
    return WindowProblem(
        world=0,
        first_keyframe=0,
        ids=np.arange(60),
        world_from_cam=disturbed,
        held=1,
        focal=400.0,
        focal_prior=400.0,
        focal_sigma=0.1,
        centre=np.array([240.0, 160.0]),
        radial=0.0,
        radial_sigma=0.05,
        points=points + rng.normal(0, noise, points.shape),
        keyframe=keyframe,
        landmark=landmark,
        pixels=pixels,
        anchor=np.zeros(60, int),
        distance=np.linalg.norm(points, axis=1),
        distance_sigma=np.full(60, 0.8),
    )


@pytest.fixture
def process() -> Iterator[SolverProcess]:
    made = SolverProcess()
    yield made
    made.close()


def wait(solver: ProcessSolver, seconds: float = 20) -> WindowSolution | None:
    return solver.collect(wait_s=seconds)


def test_a_disturbed_window_is_put_right() -> None:
    solver = InlineSolver()
    solver.submit(problem(noise=0.05))
    solution = solver.collect()
    assert solution is not None and solver.collect() is None
    assert np.allclose(solution.world_from_cam[:, 0, 3], [0, 0.3, 0.6, 0.9], atol=1e-3)
    assert abs(solution.focal - 400) < 2 and np.median(solution.errors) < 0.05


def test_a_window_keeps_its_scale_where_nothing_tells_it() -> None:
    """One pose alone is held, and the depth prior is weak and far too small."""
    asked = problem()
    tiny = dataclasses.replace(
        asked, distance=asked.distance / 100, distance_sigma=np.full(60, 2.0)
    )
    solution = solve(tiny)
    ranges = np.linalg.norm(solution.points, axis=1) / np.linalg.norm(asked.points, axis=1)
    assert abs(np.median(ranges) - 1) < 1e-6
    assert np.allclose(solution.world_from_cam[:, 0, 3], [0, 0.3, 0.6, 0.9], atol=0.02)


def test_a_process_answers_as_this_one_does(process: SolverProcess) -> None:
    inline, other = InlineSolver(), ProcessSolver(process)
    inline.submit(problem(noise=0.05))
    other.submit(problem(noise=0.05))
    here, there = inline.collect(), wait(other)
    assert here is not None and there is not None
    assert np.allclose(here.world_from_cam, there.world_from_cam, atol=1e-9)


def test_a_waiting_solver_has_its_answer_at_once(process: SolverProcess) -> None:
    solver = WaitingSolver(process)
    solver.submit(problem(noise=0.05))
    assert solver.collect() is not None and solver.collect() is None


def test_the_process_has_no_torch_and_ends(process: SolverProcess) -> None:
    solver = ProcessSolver(process)
    solver.submit(problem())
    wait(solver)
    assert process.pid is not None
    child = psutil.Process(process.pid)
    assert not any("torch" in m.path for m in child.memory_maps())
    process.close()
    assert not psutil.pid_exists(child.pid)


def test_a_killed_process_is_a_failed_window(process: SolverProcess) -> None:
    solver = ProcessSolver(process)
    solver.submit(problem())
    assert wait(solver) is not None
    assert process.pid is not None
    psutil.Process(process.pid).kill()
    time.sleep(0.2)
    solver.submit(problem())
    assert wait(solver) is None
    solver.submit(problem())
    assert wait(solver) is not None  # by a new one


def test_a_window_without_a_solution_is_left_alone(process: SolverProcess) -> None:
    broken = problem()
    broken.points[:] = np.nan
    for solver in (InlineSolver(), ProcessSolver(process)):
        solver.submit(broken)
        assert solver.collect(wait_s=20) is None
        solver.submit(problem())
        assert solver.collect(wait_s=20) is not None


def test_streams_get_their_own_answers(process: SolverProcess) -> None:
    one, two = ProcessSolver(process), ProcessSolver(process)
    one.submit(problem(1))
    two.submit(problem(2))
    first, second = wait(one), wait(two)
    assert first is not None and second is not None
    assert np.allclose(first.problem.points, problem(1).points)
    assert np.allclose(second.problem.points, problem(2).points)


def test_nothing_is_waited_for_that_was_not_asked(process: SolverProcess) -> None:
    started = time.monotonic()
    assert ProcessSolver(process).collect(wait_s=5) is None
    assert time.monotonic() - started < 0.1
