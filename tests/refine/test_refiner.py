"""Refined cameras on rendered clips with exact depth: the truth is recovered."""

from __future__ import annotations

import numpy as np

from svggt import geometry
from svggt.refine.correction import Correction
from svggt.refine.options import RefineOptions
from svggt.refine.refiner import Refiner
from svggt.refine.solver import InlineSolver
from tests.refine.scenes import FOCAL, WIDTH, Rendered, look, render

FRAMES = 32
# The depth is exact here: nothing must be forgotten of its scale.
EXACT = RefineOptions(pull=0.0)


def walk() -> list[np.ndarray]:
    """Forward and sideways, turning a degree a frame."""
    return [
        look(1.0 * i, (-1 + 0.05 * i, 0.1 * np.sin(i / 5), -2 + 0.06 * i)) for i in range(FRAMES)
    ]


def refine(clip: Rendered, options: RefineOptions = EXACT) -> dict[int, Correction]:
    refiner, newest = Refiner(InlineSolver(), options), {}
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
    assert rotation <= 0.2 and position <= 0.01


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


def test_what_moves_carries_the_camera_a_little() -> None:
    """A textured panel over 15 % of the picture, moving all the time. Known limit: 2 degrees."""
    clip = render(walk(), mover=True)
    rotation, _ = errors(clip, refine(clip))
    assert rotation <= 3.0


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


def test_a_cut_is_lost_and_goes_on() -> None:
    """Nothing is recognised behind a cut: the frame says so, and tracking begins anew."""
    poses = walk()[:8] + [look(180.0 + i, (0, 0, 2)) for i in range(8)]
    corrections = refine(render(poses))
    assert corrections[8].status == "lost"
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


def test_a_blank_wall_is_lost_without_an_error() -> None:
    clip = render(walk()[:4])
    blank = [np.full_like(grey, 128) for grey in clip.greys]
    refiner = Refiner(InlineSolver(), EXACT)
    statuses = [refiner.add(g, p)[-1].status for g, p in zip(blank, clip.predictions, strict=True)]
    assert statuses[1:] == ["lost"] * 3
