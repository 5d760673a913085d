"""All keyframes adjusted at once: nearer to the truth, or nothing moves."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from svggt import geometry, metrics
from svggt.errors import Cancelled
from svggt.refine.correction import Correction
from svggt.refine.options import RefineOptions
from svggt.refine.refiner import Refiner
from svggt.refine.snapshot import from_arrays, to_arrays
from svggt.refine.solver import InlineSolver, ProcessSolver, SolverProcess
from svggt.refine.state import RefinerState
from tests.refine.scenes import FOCAL, WIDTH, Rendered, look, render

Told = tuple[RefinerState, dict[int, Correction]]


def swing() -> list[np.ndarray]:
    """To and fro before a wall, and nearer: the end sees what the beginning saw."""
    turns = 25 * np.sin(np.linspace(0, 2 * np.pi, 28))
    ways = np.linspace(0, 1, 28)
    return [look(yaw, (yaw / 40, 0, way)) for yaw, way in zip(turns, ways, strict=True)]


@pytest.fixture(scope="module")
def clip() -> Rendered:
    """Depth grows to twice of what it was: tracking's scale is drawn along."""
    clip = render(swing(), scales=np.exp(np.linspace(0, 0.7, 28)))
    wrong = [  # a camera head that says a focal length 8 % too long
        replace(p, intrinsics=p.intrinsics * np.array([[1.08], [1.08], [1]]))
        for p in clip.predictions
    ]
    return replace(clip, predictions=wrong)


@pytest.fixture(scope="module")
def told(clip: Rendered) -> Told:
    """A stream's state after its last frame, and what was said in the end."""
    refiner, newest = Refiner(InlineSolver(), RefineOptions(alive=0.97)), {}
    for grey, said in zip(clip.greys, clip.predictions, strict=True):
        newest |= {c.frame: c for c in refiner.add(grey, said)}
    newest |= {c.frame: c for c in refiner.settle()}
    return refiner.state, newest


def cameras(corrections: dict[int, Correction]) -> np.ndarray:
    return np.stack([corrections[n].world_from_cam for n in sorted(corrections)])


def scales(clip: Rendered, corrections: dict[int, Correction]) -> np.ndarray:
    """(N,) log of each frame's corrected depth over the true one."""
    grown = np.linspace(0, 0.7, len(clip.predictions))  # of what was rendered
    depths = [np.median(c.correct(clip.predictions[n].depth)) for n, c in corrections.items()]
    true = [np.median(p.depth) for p in clip.predictions]
    return np.log(depths) - np.log(true) + grown


def test_poses_scale_and_lens_come_nearer_to_the_truth(clip: Rendered, told: Told) -> None:
    state, before = copy.deepcopy(told[0]), told[1]
    state.focal_sigma = state.focal_sigma or 0.05  # windows have turned
    assert len(state.views) >= 15
    after = {c.frame: c for c in Refiner(InlineSolver(), state=state).adjust(InlineSolver())}
    assert sorted(after) == sorted(before)
    truth = clip.world_from_cam
    errors = np.array(
        [
            (
                metrics.trajectory_error(cameras(each)[:, :, 3], truth[:, :, 3]),
                metrics.rotation_errors(cameras(each), truth).mean(),
                np.std(scales(clip, each)),
            )
            for each in (before, after)
        ]
    )
    assert (errors[1] < 0.5 * errors[0]).all(), errors
    assert abs(after[0].focal * WIDTH / FOCAL - 1) < 0.02
    assert np.allclose(after[0].world_from_cam, before[0].world_from_cam, atol=1e-6)
    assert min(c.revision for c in after.values()) > max(c.revision for c in before.values())


def test_a_lens_that_is_known_is_kept(told: Told) -> None:
    state = copy.deepcopy(told[0])
    state.focal_sigma = 0.05
    known = state.focal
    view = 2 * np.degrees(np.arctan(0.5 / known))
    after = Refiner(InlineSolver(), state=state, field_of_view=view).adjust(InlineSolver())
    assert after and all(abs(c.focal / known - 1) < 1e-9 for c in after)


def test_what_ends_it_leaves_everything_as_it_was(told: Told) -> None:
    state, shares = copy.deepcopy(told[0]), []

    def on_share(share: float) -> None:
        shares.append(share)
        if share > 0.3:
            raise Cancelled

    refiner = Refiner(InlineSolver(), state=state)
    with SolverProcess() as process, pytest.raises(Cancelled):
        refiner.adjust(ProcessSolver(process), on_share)
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] < 0.6 and len(shares) > 5
    assert refiner.state.revision == told[0].revision
    assert all(
        np.array_equal(a.closed.rigid, b.closed.rigid)
        for a, b in zip(state.keyframes, told[0].keyframes, strict=True)
    )


def test_few_views_and_views_of_nothing_move_nothing(told: Told) -> None:
    few = copy.deepcopy(told[0])
    few.views = few.views[:5]
    assert Refiner(InlineSolver(), state=few).adjust(InlineSolver()) == []
    blank = copy.deepcopy(told[0])
    for view in blank.views:
        view.corners = view.corners.only(np.zeros(len(view.corners), bool))
        view.log_depth = view.log_depth[:0]
        view.picture = (
            blank.views[0]
            .of(0, np.full((320, 480), 90, np.uint8), view.corners, view.log_depth)
            .picture
        )
    assert Refiner(InlineSolver(), state=blank).adjust(InlineSolver()) == []


@pytest.mark.slow  # eight seconds
def test_another_process_and_a_stream_that_was_kept_find_the_same(told: Told) -> None:
    here = Refiner(InlineSolver(), state=copy.deepcopy(told[0])).adjust(InlineSolver())
    kept = from_arrays(to_arrays(told[0]))
    with SolverProcess() as process:
        there = Refiner(InlineSolver(), state=kept).adjust(ProcessSolver(process))
    assert len(here) == len(there) > 0
    for a, b in zip(here, there, strict=True):
        turned = geometry.rotation_angle(a.world_from_cam[:, :3].T @ b.world_from_cam[:, :3])
        assert turned < 0.05
        assert np.allclose(a.world_from_cam[:, 3], b.world_from_cam[:, 3], atol=5e-3)
