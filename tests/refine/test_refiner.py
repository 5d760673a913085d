"""Refined cameras on rendered clips with exact depth: the truth is recovered."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from svggt import geometry
from svggt.refine.apply_window import apply_window, forget
from svggt.refine.correction import Correction
from svggt.refine.keyframes import Keyframe
from svggt.refine.options import RefineOptions
from svggt.refine.refiner import Refiner
from svggt.refine.snapshot import from_arrays, to_arrays
from svggt.refine.solver import InlineSolver
from svggt.refine.state import RefinerState
from svggt.refine.tracking import find_corners
from svggt.refine.window import WindowSolution
from tests.refine.scenes import FOCAL, WIDTH, Rendered, look, render

FRAMES = 32
# The depth is exact here: nothing must be forgotten of its scale.
EXACT = RefineOptions(pull=0.0)


def walk() -> list[np.ndarray]:
    """Forward and sideways, turning a degree a frame."""
    return [
        look(1.0 * i, (-1 + 0.05 * i, 0.1 * np.sin(i / 5), -2 + 0.06 * i)) for i in range(FRAMES)
    ]


def refine(
    clip: Rendered, options: RefineOptions = EXACT, field_of_view: float = 0.0
) -> dict[int, Correction]:
    refiner, newest = Refiner(InlineSolver(), options, field_of_view=field_of_view), {}
    for grey, prediction in zip(clip.greys, clip.predictions, strict=True):
        newest |= {c.frame: c for c in refiner.add(grey, prediction)}
    newest |= {c.frame: c for c in refiner.settle()}
    return newest


def errors(clip: Rendered, corrections: dict[int, Correction]) -> tuple[float, float]:
    """Largest rotation error in degrees, and of the position as a share of the path."""
    ours = np.stack([corrections[i].world_from_cam for i in range(len(clip.greys))])
    turned = np.swapaxes(ours[:, :, :3], 1, 2) @ clip.world_from_cam[:, :, :3]
    path = np.linalg.norm(np.diff(clip.world_from_cam[:, :, 3], axis=0), axis=1).sum()
    off = np.linalg.norm(ours[:, :, 3] - clip.world_from_cam[:, :, 3], axis=1).max()
    return float(geometry.rotation_angle(turned).max()), float(off / max(path, 1e-9))


def test_a_walk_is_recovered() -> None:
    clip = render(walk())
    rotation, position = errors(clip, refine(clip))
    assert rotation <= 0.2 and position <= 0.005


def test_depth_of_random_scale_is_fitted() -> None:
    """Each frame's depth is off by up to 20 %: poses stay, and the scale is told."""
    scales = np.exp(np.random.default_rng(0).uniform(-0.2, 0.2, FRAMES))
    scales[0] = 1.0
    clip = render(walk(), scales)
    corrections = refine(clip)
    rotation, _ = errors(clip, corrections)
    told = np.array([corrections[i].log_scale for i in range(FRAMES)])
    assert rotation <= 1.0
    assert np.std(told + np.log(scales)) <= 0.05


def test_what_moves_does_not_carry_the_camera() -> None:
    """A textured panel over 30 % of the picture, moving all the time."""
    clip = render(walk(), mover=0.3)
    corrections = refine(clip)
    assert errors(clip, corrections)[0] <= 1.0
    panel = [c.moving for c in corrections.values() if c.moving is not None]
    assert len(panel) > FRAMES / 4  # it is seen to move


def test_a_standing_camera_stays() -> None:
    clip = render([look(0, (0, 0, -2))] * 12)
    corrections = refine(clip)
    assert errors(clip, corrections)[0] <= 0.1
    assert max(np.linalg.norm(c.world_from_cam[:, 3]) for c in corrections.values()) < 0.02
    assert max(abs(c.log_scale) for c in corrections.values()) < 0.02


def test_a_pure_rotation_keeps_its_place_and_scale() -> None:
    clip = render([look(2.0 * i, (0, 0, -2)) for i in range(20)])
    corrections = refine(clip)
    assert errors(clip, corrections)[0] <= 0.5
    assert max(np.linalg.norm(c.world_from_cam[:, 3]) for c in corrections.values()) < 0.1
    assert max(abs(c.log_scale) for c in corrections.values()) < 0.05


def test_a_leap_is_recognised_by_what_is_seen() -> None:
    """14 degrees at once: too far to follow, near enough to recognise."""
    poses = walk()[:10] + [look(9.0 + 14 + i, (-0.5, 0.1, -1.4 + 0.05 * i)) for i in range(6)]
    clip = render(poses)
    corrections = refine(clip)
    assert errors(clip, corrections)[0] <= 1.0
    assert all(c.status != "lost" for c in corrections.values())


def test_an_impossible_speed_is_refused_and_a_fast_turn_is_not() -> None:
    """The same pictures, 1 and 1 / 1 000 of a second apart: a new piece begins, and is joined
    where its place is recognised."""
    far = [look(0, (0, 0, -3))] * 3 + [look(0, (0.4, 0, -2.0 + 0.1 * i)) for i in range(3)]
    fast = [look(4.0 * i, (0, 0, -2)) for i in range(6)]
    for poses, refused in ((far, True), (fast, False)):
        for apart in (1.0, 0.001):
            clip, refiner = render(poses), Refiner(InlineSolver(), EXACT)
            timed = [dataclasses.replace(p, time_s=apart * p.number) for p in clip.predictions]
            told = [refiner.add(g, p)[-1] for g, p in zip(clip.greys, timed, strict=True)]
            goes_on = all(c.status in ("tracked", "weak") for c in told)
            assert goes_on == (not refused or apart == 1)


def test_a_cut_is_lost_and_goes_on() -> None:
    """Nothing is recognised behind a cut: the frame says so, and tracking begins anew."""
    poses = walk()[:8] + [look(180.0 + i, (0, 0, 2)) for i in range(8)]
    corrections = refine(render(poses))
    assert corrections[8].status == "lost" and corrections[8].segment != corrections[7].segment
    assert [corrections[i].status for i in range(10, 16)] == ["tracked"] * 6
    # It stands where the camera head's motion (none, here) puts it: no pose jumps.
    step = corrections[8].world_from_cam[:, 3] - corrections[7].world_from_cam[:, 3]
    assert np.linalg.norm(step) < 0.05


def test_one_focal_length_a_stream() -> None:
    clip = render(walk())
    corrections = refine(clip)
    assert abs(corrections[FRAMES - 1].focal * WIDTH / FOCAL - 1) < 0.01


def test_corrections_come_newest_last_and_in_order() -> None:
    clip = render(walk()[:12])
    refiner, revision = Refiner(InlineSolver(), EXACT), 0
    for number, (grey, prediction) in enumerate(zip(clip.greys, clip.predictions, strict=True)):
        corrections = refiner.add(grey, prediction)
        assert [c.frame for c in corrections] == sorted(c.frame for c in corrections)
        assert corrections[-1].frame == number
        assert corrections[-1].revision > revision
        revision = corrections[-1].revision


def test_a_failed_window_leaves_it_usable() -> None:
    class Broken(InlineSolver):
        def submit(self, problem) -> None:
            """Loses every window."""

    clip = render(walk()[:12])
    refiner = Refiner(Broken(), EXACT)
    last = [refiner.add(g, p)[-1] for g, p in zip(clip.greys, clip.predictions, strict=True)]
    assert all(c.status == "tracked" for c in last)
    assert errors(clip, {c.frame: c for c in last})[0] <= 1.0


def test_windows_that_come_late_are_taken_one_at_a_time() -> None:
    """One that began before the last was taken would grow the world twice."""

    class Late(InlineSolver):
        looks = 0

        @property
        def busy(self) -> bool:
            return self._answer is not None

        def submit(self, problem) -> None:
            assert not self.busy
            super().submit(problem)
            self.looks = 0

        def collect(self, wait_s: float = 0.0):
            self.looks += 1
            return super().collect() if self.looks > 3 else None

    clip, refiner, newest = render(walk()), Refiner(Late(), EXACT), {}
    for grey, prediction in zip(clip.greys, clip.predictions, strict=True):
        newest |= {c.frame: c for c in refiner.add(grey, prediction)}
    rotation, position = errors(clip, newest)
    assert rotation <= 0.3 and position <= 0.01


def test_a_blank_wall_is_lost_without_an_error() -> None:
    clip = render(walk()[:4])
    blank = [np.full_like(grey, 128) for grey in clip.greys]
    refiner = Refiner(InlineSolver(), EXACT)
    statuses = [refiner.add(g, p)[-1].status for g, p in zip(blank, clip.predictions, strict=True)]
    assert statuses[1:] == ["lost"] * 3


def test_a_resumed_stream_equals_an_uninterrupted_one() -> None:
    clip = render(walk()[:20])
    whole, resumed = Refiner(InlineSolver(), EXACT), Refiner(InlineSolver(), EXACT)
    for number, (grey, prediction) in enumerate(zip(clip.greys, clip.predictions, strict=True)):
        if number == 11:
            resumed.settle_window()
            state = from_arrays(to_arrays(resumed.state))
            resumed = Refiner(InlineSolver(), EXACT, state)
        ours, theirs = whole.add(grey, prediction), resumed.add(grey, prediction)
        assert [c.frame for c in ours] == [c.frame for c in theirs]
        for a, b in zip(ours, theirs, strict=True):
            assert np.allclose(a.world_from_cam, b.world_from_cam, rtol=0, atol=1e-9)
            assert abs(a.log_scale - b.log_scale) < 1e-9 and abs(a.focal - b.focal) < 1e-9


def test_following_while_the_model_computes_changes_nothing() -> None:
    """Neither where it is done before a prediction comes, nor where none ever comes."""
    clip = render(walk()[:12])
    ahead, plain = Refiner(InlineSolver(), EXACT), Refiner(InlineSolver(), EXACT)
    for grey, prediction in zip(clip.greys, clip.predictions, strict=True):
        ahead.follow(clip.greys[0])  # the model failed
        followed = ahead.follow(grey)
        ours, theirs = ahead.add(grey, prediction, followed), plain.add(grey, prediction)
        assert [c.frame for c in ours] == [c.frame for c in theirs]
        assert all(
            np.array_equal(a.world_from_cam, b.world_from_cam) and a.log_scale == b.log_scale
            for a, b in zip(ours, theirs, strict=True)
        )


def test_the_first_depth_map_is_bent_by_what_was_seen_in_it_first() -> None:
    """Its corners are its own: nothing was followed into it."""
    clip = render(walk()[:16])
    first = clip.predictions[0]
    tilt = np.linspace(-0.2, 0.2, first.depth.shape[1])
    bent = dataclasses.replace(first, depth=(first.depth * np.exp(tilt)).astype(np.float32))
    clip = dataclasses.replace(clip, predictions=[bent, *clip.predictions[1:]])
    corrected = refine(clip)[0].correct(bent.depth)

    def off(depth: np.ndarray) -> float:
        ratio = np.log(depth / first.depth)
        return float(np.abs(ratio - np.median(ratio)).mean())

    assert off(corrected) < 0.7 * off(bent.depth)


def test_other_arrays_are_no_snapshot() -> None:
    with pytest.raises(ValueError, match="no snapshot"):
        from_arrays({"a": np.zeros(3)})


def test_a_lost_stretch_is_joined_when_its_place_is_recognised() -> None:
    """Two blank pictures, then another part of the room in the dark, then back."""
    there = walk()[:10]
    away = [look(150.0 + i, (0.5, 0, 1 + 0.05 * i)) for i in range(6)]
    back = [look(160.0 - 15.0 * i, (0.4 - 0.1 * i, 0, 1 - 0.25 * i)) for i in range(1, 11)]
    clip = render(there + away + back)
    corrections = refine(clip)
    statuses = [c.status for c in corrections.values()]
    assert "lost" in statuses and "recovered" in statuses
    assert len({c.segment for c in corrections.values()}) == 1
    assert errors(clip, corrections)[0] <= 3.0


@pytest.mark.slow
def test_a_long_stream_keeps_no_more_than_a_short_one() -> None:
    """Landmarks, observations and pictures are given back; frames leave a pose and a field."""
    poses = [look(3.0 * i, (np.sin(i / 9), 0, np.cos(i / 9))) for i in range(60)]
    clip, refiner, kept = render(poses), Refiner(InlineSolver(), EXACT), []
    for grey, prediction in zip(clip.greys, clip.predictions, strict=True):
        refiner.add(grey, prediction)
        s = refiner.state
        observations = sum(len(k.ids) for k in s.keyframes)
        kept.append((len(s.landmarks.positions), observations, len(s.places)))
    assert np.all(np.max(kept[40:], axis=0) <= 1.3 * np.max(kept[20:40], axis=0))


def test_frames_grow_with_their_keyframe() -> None:
    """A window that doubles its world about the first camera doubles all of the trajectory."""

    class Recording(InlineSolver):
        def submit(self, problem) -> None:
            self.problem = problem

    clip, solver = render(walk()[:16]), Recording()
    refiner = Refiner(solver, EXACT)
    for grey, prediction in zip(clip.greys, clip.predictions, strict=True):
        refiner.add(grey, prediction)
    state, problem = refiner.state, solver.problem
    assert problem.held == 1 and len(state.frames) > len(state.keyframes)

    def places() -> np.ndarray:
        frames = [(state.keyframes[p.keyframe].pose, p.keyframe_from_cam) for p in state.frames]
        return np.stack([geometry.compose(*frame)[:, 3] for frame in frames])

    before, depth = places(), np.array([placed.log_scale for placed in state.frames])
    grown = problem.world_from_cam.copy()
    grown[:, :, 3] *= 2
    errors = np.zeros(len(problem.pixels))
    found = WindowSolution(problem, grown, problem.focal, 0.0, 2 * problem.points, errors)
    apply_window(state, found, drop_pixels=4.0)
    assert np.allclose(places(), 2 * before, atol=1e-9)
    after = np.array([placed.log_scale for placed in state.frames])
    assert np.allclose(after, depth + np.log(2), atol=1e-6)


def test_no_keyframe_keeps_what_the_landmarks_forgot() -> None:
    """Also an old one that was recognised, and so gained observations behind the window."""
    state = RefinerState()
    for number, count in enumerate((3, 0, 5)):
        ids = state.landmarks.add(np.ones((count, 3)), np.zeros(3), number)
        pixels = np.zeros((count, 2), np.float32)
        state.keyframes.append(Keyframe(number, 0, np.eye(3, 4), ids, pixels))
    first = state.landmarks.first
    forget(state, first=2)
    assert state.landmarks.first == first + 3
    assert all((keyframe.ids >= state.landmarks.first).all() for keyframe in state.keyframes)


def test_a_stream_may_end_before_it_began() -> None:
    assert Refiner(InlineSolver()).settle() == []
    clip = render(walk()[:1])
    assert [c.frame for c in refine(clip).values()] == [0]


@pytest.mark.parametrize("share", [0.6, 1.4])
def test_a_focal_length_that_is_wrong_by_a_factor_is_found(share: float) -> None:
    """The camera head knows one field of view: of a narrow one it says half of the focal length."""
    clip = render([look(2.0 * i, (-1 + 0.05 * i, 0, -2 + 0.06 * i)) for i in range(FRAMES)])
    found = refine(with_focal(clip, share))
    assert abs(found[FRAMES - 1].focal * WIDTH / FOCAL - 1) < 0.03


def with_focal(clip: Rendered, share: float) -> Rendered:
    """The same, where the camera head's focal length is so much of the true one."""
    chance, wrong = np.random.default_rng(0), []
    for prediction in clip.predictions:
        intrinsics = prediction.intrinsics.copy()
        intrinsics[[0, 1], [0, 1]] *= share * np.exp(0.03 * chance.normal())
        wrong.append(dataclasses.replace(prediction, intrinsics=intrinsics))
    return dataclasses.replace(clip, predictions=wrong)


def test_a_focal_length_that_is_known_is_kept_from_the_first_frame_on() -> None:
    """Also where the camera does not turn, and nothing but the camera head speaks of it."""
    clip = render([look(0.0, (-1 + 0.05 * i, 0, -2 + 0.06 * i)) for i in range(FRAMES)])
    known = float(np.degrees(2 * np.arctan(WIDTH / 2 / FOCAL)))
    found = refine(with_focal(clip, 0.6), field_of_view=known)
    assert all(abs(each.focal * WIDTH / FOCAL - 1) < 0.02 for each in found.values())
    not_known = refine(with_focal(clip, 0.6))
    assert abs(not_known[FRAMES - 1].focal * WIDTH / FOCAL - 1) > 0.1


def test_what_has_the_most_texture_has_not_all_of_the_corners() -> None:
    """A quarter of the picture that is full of corners gets no more than three quarters."""
    noise = np.random.default_rng(0).integers(0, 255, (80, 120), np.uint8)
    faint = cv2.resize(noise // 8 + 100, (480, 320), interpolation=cv2.INTER_NEAREST)
    strong = cv2.resize(noise, (480, 320), interpolation=cv2.INTER_NEAREST)
    faint[80:240, 120:360] = strong[80:240, 120:360]
    corners = find_corners(faint, np.ones((320, 480), bool), np.zeros((0, 2)), 200)
    inside = (np.abs(corners - (240, 160)) < (120, 80)).all(1)
    assert len(corners) == 200 and 0.25 < inside.mean() <= 0.75
