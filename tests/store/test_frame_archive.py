"""Frames on disk: whole or not there, and what was put in comes out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from svggt.store.frame_archive import FrameArchive
from tests.scene.frames import prediction


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    archive, made = FrameArchive(tmp_path / "new"), prediction(7, turn=10.0)
    archive.add(made)
    found = archive.load(7)
    assert (found.number, found.time_s, found.memory_bytes) == (7, 7.0, 1000)
    assert np.array_equal(found.image, made.image)
    assert np.array_equal(found.cam_from_world, made.cam_from_world)
    assert np.allclose(found.depth, made.depth, rtol=1e-3)
    assert np.allclose(found.depth_conf, made.depth_conf, rtol=3e-3)
    assert found.world_points is None


def test_point_maps_are_kept_too(tmp_path: Path) -> None:
    archive, made = FrameArchive(tmp_path), prediction(0)
    object.__setattr__(made, "world_points", made.camera_points)
    object.__setattr__(made, "world_points_conf", made.depth_conf)
    archive.add(made)
    found = archive.load(0)
    assert np.allclose(found.world_points, made.camera_points, rtol=1e-3, atol=1e-3)
    assert np.allclose(found.world_points_conf, made.depth_conf, rtol=3e-3)


def test_unknown_frames_are_not_there(tmp_path: Path) -> None:
    archive = FrameArchive(tmp_path)
    archive.add(prediction(0))
    with pytest.raises(KeyError):
        archive.load(1)


def test_nothing_half_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = FrameArchive(tmp_path)

    def full(file, **arrays) -> None:
        file.write(b"half of it")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="disk full"):
        archive.add(prediction(0))
    with pytest.raises(KeyError):
        archive.load(0)
