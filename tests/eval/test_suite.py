"""The suite: its metrics, what degrades a clip, rendered walks; it goes on when cut off."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from svggt import geometry, metrics
from svggt.data.layouts import open_sequence
from svggt.data.truth import Truth
from svggt.engine.checkpoints import LoadedModel
from svggt.eval import degrade, suite
from svggt.eval.clip_figures import pose_figures
from svggt.eval.posed_clip import PosedClip
from svggt.eval.suite import SuiteClip
from svggt.eval.suite_report import markdown, run_suite
from svggt.eval.walks import Walk, down_a_corridor, render_walk
from svggt.train.synth.buildings import apartment, corridor, street
from svggt.train.synth.bundles import Bundles, Rays
from svggt.train.synth.camera_paths import make_way_walks
from svggt.train.synth.raycast import nearest
from svggt.train.synth.render import Appearance, render_frames
from svggt.train.synth.rng import Rng
from svggt.train.synth.surfaces import FACES

CPU = torch.device("cpu")


def walk(count: int = 60, drift: float = 0.0) -> np.ndarray:
    """World_from_cam of a camera that goes on by a metre a frame and turns; steps may grow."""
    half = np.radians(2.0 * np.arange(count)) / 2
    turns = geometry.rotation_from_quaternion(
        np.stack([0 * half, np.sin(half), 0 * half, np.cos(half)], 1)
    )
    steps = np.exp(drift * np.arange(count))[:, None] * turns[:, :, 2]
    return np.concatenate([turns, np.cumsum(steps, 0)[:, :, None]], 2)


def clip_of(frames: int = 12, size: tuple[int, int] = (60, 80)) -> PosedClip:
    """Noise that moves, with a depth that says which frame and column it is of."""
    noise = np.random.default_rng(0).integers(0, 255, (size[0], size[1] + frames, 3), np.uint8)
    pictures = [noise[:, n : n + size[1]] for n in range(frames)]
    columns = np.tile(np.arange(size[1] // 2, dtype=float), (size[0] // 2, 1))
    intrinsics = np.array([[0.9, 0, 0.5], [0, 1.2, 0.5], [0, 0, 1.0]])
    return PosedClip(
        pictures, Truth(walk(frames), intrinsics, 1.0, lambda n: columns + 100 * n + 1)
    )


def test_only_wrong_motion_is_wrong() -> None:
    true, depth = walk(), np.full(60, 4.0)
    other = geometry.compose(walk(2)[1][None], true)
    other[:, :, 3] *= 3
    assert not metrics.wrong_motion(other, true, depth).any()  # another world and scale
    leap = true.copy()
    leap[30:, :, 3] += [0.0, 8.0, 0.0]
    wrong = metrics.wrong_motion(leap, true, depth)
    assert wrong[30:].all()  # a leap is wrong for the 30 frames that see it
    turned = true.copy()
    turned[20:, :, :3] = true[20:, :, :3] @ walk(8)[7][:, :3]
    assert metrics.wrong_motion(turned, true, depth)[20:50].all()


def test_what_is_told_is_no_silent_failure() -> None:
    leap = walk()
    leap[30:, :, 3] += [0.0, 30.0, 0.0]
    truth = Truth(walk(), None, 1.0, lambda _: np.full((4, 4), 4.0))
    told = metrics.wrong_motion(leap, truth.world_from_cam, np.full(60, 4.0))
    silent, all_told = (pose_figures(leap, t, truth) for t in (np.zeros(60, bool), told))
    assert silent.silent == told.mean() > 0.3 and silent.false_alarms == 0
    assert all_told.silent == 0 and pose_figures(walk(), told, truth).false_alarms == told.mean()


def test_the_gap_of_a_loop_is_a_share_of_its_path() -> None:
    loop = walk(181)
    whole = (0, len(loop) - 1)
    assert metrics.gap(loop, whole) < 0.01 and metrics.gap(loop, whole, loop) < 1e-9
    assert metrics.gap(walk(181, drift=0.01), whole, loop) > 0.1


def test_a_clip_that_stands_still_has_no_quotient() -> None:
    still = np.tile(np.eye(3, 4), (20, 1, 1))
    truth = Truth(still, None, 1.0, lambda _: None)
    figures = pose_figures(still, np.zeros(20, bool), truth)
    assert all(math.isnan(value) for value in figures.windows["all"].values())


@pytest.mark.parametrize("name", [*degrade.DEGRADATIONS, "hood", "gripper", "letterbox"])
def test_the_truth_goes_along_with_what_degrades_a_clip(name: str) -> None:
    clip = clip_of()
    changed = getattr(degrade, name)(clip)
    assert changed.truth is not None and clip.truth is not None
    assert len(changed.pictures) == len(changed.truth.world_from_cam)
    for number in range(len(changed.pictures)):
        depth = changed.truth.depth(number)
        assert depth is not None and (depth > 0).any()
        frame = int(depth[depth > 0].max() - 1) // 100
        assert np.array_equal(
            changed.truth.world_from_cam[number], clip.truth.world_from_cam[frame]
        )
    assert any(
        one.shape != other.shape or not np.array_equal(one, other)
        for one, other in zip(changed.pictures, clip.pictures, strict=False)
    )
    hides = {"occluder": 0.3, "hood": 0.2, "gripper": 0.2, "letterbox": 0.2}
    if name in hides:
        hidden = np.mean([(changed.truth.depth(n) == 0).mean() for n in range(12)])
        assert abs(hidden - hides[name]) < 0.12


def test_a_portrait_is_the_middle_with_its_own_focal_length() -> None:
    clip = clip_of()
    changed = degrade.portrait(clip)
    assert changed.truth is not None and changed.truth.intrinsics is not None
    height, width = changed.pictures[0].shape[:2]
    assert (height, width) == (60, 45)
    assert changed.truth.intrinsics[0, 2] * width == pytest.approx(0.5 * 80 - 17)
    assert changed.truth.intrinsics[0, 0] * width == pytest.approx(0.9 * 80)
    depth = changed.truth.depth(0)
    assert depth is not None and depth[0, 0] == 1 + (40 - depth.shape[1]) // 2


def test_a_letterboxed_clip_is_tried_without_its_bars_as_the_page_takes_it() -> None:
    clip = clip_of()
    boxed = degrade.letterbox(clip)
    changed, whole = boxed.without_bars(), clip.truth
    assert changed.pictures[0].shape == (44, 80, 3) and changed.truth is not None
    assert clip.without_bars() is clip and whole is not None and whole.intrinsics is not None
    assert changed.truth.intrinsics is not None
    height = changed.pictures[0].shape[0]
    same = (clip.pictures[0].shape[0] * whole.intrinsics[1]) - [0, 0, 8]
    assert np.allclose(height * changed.truth.intrinsics[1], same)
    depth = changed.truth.depth(0)
    assert depth is not None and (depth > 0).all()


@pytest.mark.parametrize("build", [apartment, corridor, street])
def test_a_way_leads_through_no_wall_and_no_furniture(build) -> None:
    chance = Rng(3, CPU)
    building = build(2, chance)
    poses = make_way_walks(building.way, 120, chance)
    place, steps = poses[:, :-1, :, 3], poses[:, 1:, :, 3] - poses[:, :-1, :, 3]
    rays = Rays(place, steps, torch.zeros(2, 119), place)
    distance, _ = nearest(building.places, Bundles.of(rays))
    assert (distance > 1).all()  # in steps
    turned = torch.einsum("bsij,bsik->bsjk", poses[:, :-1, :, :3], poses[:, 1:, :, :3])
    angle = torch.rad2deg(torch.acos(((turned.diagonal(0, -1, -2).sum(-1) - 1) / 2).clamp(-1, 1)))
    assert angle.max() < 20 and angle.median() < 5  # as people walk


def test_mirrors_show_what_is_before_them_and_plain_walls_nothing() -> None:
    building = apartment(1, chance := Rng(4, CPU))
    poses = make_way_walks(building.way, 40, chance)[:, :40:13]
    views, size = torch.tensor([[0.8, 1.0]]), (70, 98)
    none = torch.zeros_like(building.walls)
    plain = torch.cat([none, torch.zeros(1, FACES, dtype=torch.bool)], 1)
    shown = {}
    for name, appearance in {
        "as it is": Appearance(plain, none),
        "mirrors": Appearance(plain, building.walls),
        "plain": Appearance(torch.cat([building.walls, ~plain[:, -FACES:]], 1), none),
    }.items():
        frames = list(render_frames(building.places, poses, views, size, appearance, 4))
        shown[name] = [torch.stack(x) for x in zip(*frames, strict=True)]
    colors, depth = shown["mirrors"]
    mirrored = (depth == 0) & (shown["as it is"][1] > 0)
    assert 0.01 < mirrored.float().mean() < 0.9  # a mirror's depth is unknown
    same = (colors == shown["as it is"][0]).all(-1)
    assert same[~mirrored].all() and not same[mirrored].any()
    busy = [(shown[name][0].diff(dim=2).abs()).mean() for name in ("as it is", "plain")]
    assert busy[1] < 0.8 * busy[0] and torch.equal(shown["plain"][1], shown["as it is"][1])


@pytest.fixture
def cache(monkeypatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(suite, "CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def test_a_rendered_walk_is_a_sequence_whose_depth_fits_its_cameras(tmp_path: Path) -> None:
    render_walk(Walk(down_a_corridor, 1, frames=3), tmp_path / "walk")
    sequence = open_sequence(tmp_path / "walk")
    clip = PosedClip.of(sequence)
    assert clip.truth is not None and clip.truth.intrinsics is not None
    (height, width), depth = clip.pictures[0].shape[:2], clip.truth.depth(0)
    later = clip.truth.depth(1)
    assert depth is not None and later is not None
    # Points of the first frame, lifted by its depth, lie on the surfaces that the second one sees.
    assert sequence.intrinsics is not None
    intrinsics = sequence.intrinsics / np.array([[2.0], [2.0], [1.0]])  # the depth is half as large
    points = geometry.unproject(depth, intrinsics).reshape(-1, 3)
    move = geometry.compose(
        geometry.invert(clip.truth.world_from_cam[1]), clip.truth.world_from_cam[0]
    )
    seen = points @ move[:, :3].T + move[:, 3]
    at = np.rint((seen @ intrinsics.T)[:, :2] / seen[:, 2:]).astype(int)
    inside = (at >= 0).all(1) & (at < (width // 2, height // 2)).all(1)
    there = later[at[inside, 1], at[inside, 0]]
    assert np.median(np.abs(there / seen[inside, 2] - 1)) < 0.01


@pytest.mark.slow  # three minutes, most of it a rendered walk
def test_the_quick_suite_holds_and_goes_on(cache: Path, embedded: LoadedModel, tmp_path) -> None:
    """Its rows, kept as they come; a second run computes nothing."""
    path, clips = tmp_path / "suite.jsonl", suite.suite(quick=True)
    rows = {row["clip"]: row for row in run_suite(embedded, clips, 1, path)}
    assert {"office/2", "office+portrait/2", "room"} <= rows.keys()
    assert rows["office/2"]["rotation"] <= 0.1 and rows["office/2"]["ate"] <= 0.1
    assert rows["office+portrait/2"]["focal"] <= 0.15
    assert rows["room"]["rotation"] <= 0.3
    lines = path.read_text().splitlines()
    again = [SuiteClip(clip.name, clip.kind, lambda: None) for clip in clips]  # nothing is loaded
    assert list(run_suite(embedded, again, 1, path)) == [json.loads(line) for line in lines]
    assert "| room |" in (table := markdown(list(rows.values()))) and "**walk**" in table
