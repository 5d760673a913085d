"""Metrics on analytic cases, and the office clip's smoke test on the embedded weights."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svggt import geometry, metrics
from svggt.data.layouts import open_sequence
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.stream import Stream
from svggt.eval.smoke import BOUNDS, SmokeFigures, office_frames, office_truth, smoke_figures
from svggt.files import ASSETS
from svggt.media.clips import open_clip
from svggt.media.frames import InputLimits
from svggt.model.policies import window
from svggt.refine.refiner import Refiner
from svggt.refine.solver import SolverProcess, WaitingSolver

RNG = np.random.default_rng(0)


def trajectory(frames: int = 20) -> np.ndarray:
    """World_from_cam of a turning, moving camera."""
    half = np.radians(3.0 * np.arange(frames)) / 2
    quaternions = np.stack([0 * half, np.sin(half), 0 * half, np.cos(half)], axis=1)
    rotations = geometry.rotation_from_quaternion(quaternions)
    positions = np.cumsum(RNG.normal(size=(frames, 3)), axis=0)
    return np.concatenate([rotations, positions[:, :, None]], axis=2)


def test_absrel_forgives_one_scale_and_nothing_else() -> None:
    true = RNG.uniform(1, 5, (30, 40))
    true[:5] = 0  # unknown
    assert metrics.absrel(true * 7 + (true == 0), true) < 1e-12
    off = true * np.where(np.arange(40) % 2, 1.1, 0.9)
    assert abs(metrics.absrel(off + (true == 0), true) - 0.1) < 0.03


def test_a_motionless_camera_scores_one() -> None:
    true = trajectory()
    still = np.broadcast_to(true[:1], true.shape)
    assert np.allclose(metrics.quotients([(still, true)]), (1, 1))


def test_the_truth_in_another_world_and_scale_scores_zero() -> None:
    true = trajectory()
    other = np.concatenate(
        [geometry.rotation_from_quaternion(RNG.normal(size=4)), [[1], [2], [3]]], 1
    )
    moved = geometry.compose(other[None], true)
    moved[:, :, 3] *= 4
    rotation, ate = metrics.quotients([(moved, true)])
    assert rotation < 1e-6 and ate < 1e-6


def test_a_rotation_error_is_told_in_degrees() -> None:
    true = trajectory(2)
    off = true.copy()
    half = np.radians(10) / 2
    turn = geometry.rotation_from_quaternion(np.array([np.sin(half), 0, 0, np.cos(half)]))
    off[1, :, :3] = true[1, :, :3] @ turn
    assert np.allclose(metrics.rotation_errors(off, true), [0, 10])


@pytest.mark.parametrize(("frames", "size"), [(120, 8), (120, 32), (100, 100), (9, 8)])
def test_windows_fit_and_are_about_seven(frames: int, size: int) -> None:
    starts = metrics.window_starts(frames, size)
    assert starts[0] == 0 and starts[-1] + size <= frames and len(starts) <= 7


def test_a_folder_that_lacks_something_is_told_what(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"poses\.txt"):
        open_sequence(tmp_path)
    for name in ("images", "depth"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "images/0.png")
    np.savetxt(tmp_path / "poses.txt", np.eye(4).reshape(1, 16))
    with pytest.raises(ValueError, match="0 depth maps"):
        open_sequence(tmp_path)


def inside(figures: SmokeFigures, bounds: SmokeFigures) -> bool:
    values, limits = dataclasses.asdict(figures), dataclasses.asdict(bounds)
    return all(values[name] <= limits[name] for name in values)


@pytest.mark.slow
def test_smoke_tells_right_weights_from_wrong_ones(embedded: LoadedModel) -> None:
    frames, truth = office_frames(embedded.input_width), office_truth()
    bounds = BOUNDS["embedded"].figures
    assert inside(smoke_figures(embedded, frames, truth), bounds)
    swapped = [dataclasses.replace(f, image=f.image[..., ::-1].copy()) for f in frames]
    dark = [dataclasses.replace(f, image=f.image // 255) for f in frames]
    inverted = dataclasses.replace(truth, world_from_cam=geometry.invert(truth.world_from_cam))
    assert not inside(smoke_figures(embedded, swapped, truth), bounds)  # colour order
    assert not inside(smoke_figures(embedded, dark, truth), bounds)  # range
    assert not inside(smoke_figures(embedded, frames, inverted), bounds)  # convention


@pytest.mark.slow
def test_refined_cameras_beat_the_head(tmp_path: Path) -> None:
    """The command on a plain folder made of the shipped clip: a stretch of 24 frames."""
    truth = office_truth()
    for name in ("images", "depth"):
        (tmp_path / name).mkdir()
    frames = office_frames(448)[40:64]
    for number, frame in enumerate(frames):
        Image.fromarray(frame.image).save(tmp_path / f"images/{number:03}.png")
        metres = truth.depth(8 * ((40 + number) // 8))
        assert metres is not None
        Image.fromarray((1000 * metres).astype(np.uint16)).save(tmp_path / f"depth/{number:03}.png")
    poses = np.tile(np.eye(4), (24, 1, 1))
    poses[:, :3] = truth.world_from_cam[40:64]
    np.savetxt(tmp_path / "poses.txt", poses.reshape(24, 16))
    rotation = {}
    for cameras in ("head", "refined"):
        command = [sys.executable, "-m", "svggt.eval", "cameras", str(tmp_path), "--json"]
        done = subprocess.run(
            [*command, "--cameras", cameras, "--seeds", "1"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        rotation[cameras] = json.loads(done.stdout)["windows"]["all"]["rotation"]
    assert rotation["refined"] < 0.3 < rotation["head"]


@pytest.mark.slow
def test_a_highway_is_driven_straight(embedded: LoadedModel) -> None:
    """Far trees, little structure, other cars: the scale of the beginning must last."""
    frames = open_clip(
        [ASSETS / "clips" / "drive.mp4"], embedded.input_width, 5.0, InputLimits()
    ).frames()
    stream, newest = Stream(embedded, window(8)), {}
    with SolverProcess() as process:
        refiner = Refiner(WaitingSolver(process))
        for frame in frames:
            newest |= {c.frame: c for c in refiner.add(frame.grey, stream.step(frame))}
        newest |= {c.frame: c for c in refiner.settle()}
    poses = np.stack([newest[n].world_from_cam for n in sorted(newest)])
    status = [newest[n].status for n in sorted(newest)]
    whole = poses[-1, :, 3] - poses[0, :, 3]
    path = np.linalg.norm(np.diff(poses[:, :, 3], axis=0), axis=1).sum()
    assert status.count("tracked") >= 0.95 * len(status)
    assert geometry.rotation_angle(poses[-1, :, :3]) < 10
    assert np.linalg.norm(whole) >= 0.9 * path
    assert whole @ poses[0, :, 2] >= np.cos(np.radians(15)) * np.linalg.norm(whole)
