"""Windows in a process of their own: the same answers, no torch, and a crash is one window."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from svggt.refine.camera import Camera
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


def road() -> WindowProblem:
    """Ten keyframes driven straight on; far points are said to be near, as models say."""
    rng = np.random.default_rng(0)
    camera = Camera(400.0, np.array([240.0, 135.0]), 0.0)
    pixels, depth = rng.uniform((10, 10), (470, 260), (300, 2)), np.geomspace(8, 400, 300)
    points = camera.lift(pixels, rng.permutation(depth), np.eye(3, 4))
    poses = np.tile(np.eye(3, 4), (10, 1, 1))
    poses[:, 2, 3] = 0.8 * np.arange(10)
    seen, ahead = zip(*(camera.project(points, pose) for pose in poses), strict=True)
    inside = (np.stack(seen) > 0).all(2) & (np.stack(seen) < (480, 270)).all(2)
    keyframe, landmark = np.nonzero(inside & (np.stack(ahead) > 0))
    poses[1:, :, 3] += rng.normal(0, 0.05, (9, 3))
    ranges = np.linalg.norm(points, axis=1)
    said = 4 * (ranges / 4) ** 0.6
    return dataclasses.replace(
        problem(),
        ids=np.arange(300),
        world_from_cam=poses,
        focal_sigma=0.0,
        centre=camera.centre,
        points=points * (said / ranges)[:, None],
        keyframe=keyframe,
        landmark=landmark,
        pixels=np.stack(seen)[keyframe, landmark] + rng.normal(0, 0.3, (len(keyframe), 2)),
        anchor=np.zeros(300, int),
        distance=said,
        distance_sigma=np.full(300, 2.0),
    )


@pytest.mark.parametrize("asked", (problem(), road()), ids=("a room", "a road"))
@pytest.mark.parametrize("size", (1e-4, 1e-2, 1.0, 1e2, 1e4))
def test_scale_is_kept_whatever_the_depth_prior_says_of_it(
    asked: WindowProblem, size: float
) -> None:
    """One pose alone is held, and the prior is weak: a world may neither shrink nor turn about."""
    solution = solve(dataclasses.replace(asked, distance=size * asked.distance))
    before = np.linalg.norm(asked.points, axis=1)
    assert abs(np.median(np.linalg.norm(solution.points, axis=1) / before) - 1) < 1e-6
    assert np.median(solution.errors) < 0.4  # pixels
    way, true = (
        w[-1, :, 3] / np.linalg.norm(w[-1, :, 3])
        for w in (solution.world_from_cam, asked.world_from_cam)
    )
    assert way @ true > np.cos(np.radians(3))
    assert np.allclose(solution.world_from_cam, solve(asked).world_from_cam, atol=1e-3)


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
