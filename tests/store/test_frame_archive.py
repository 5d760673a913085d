"""Frames on disk: whole or not there, and what was put in comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from svggt.errors import DamagedFrame, ThinnedFrame
from svggt.refine.tracking import Sightings
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


def test_what_a_frame_sees_is_kept_and_stays_when_it_is_thinned(tmp_path: Path) -> None:
    archive, rng = FrameArchive(tmp_path), np.random.default_rng(0)
    seen = [Sightings(rng.integers(0, 1 << 60, 5), rng.random((5, 2), np.float32))] * 20
    for number, each in enumerate(seen):
        archive.add(prediction(number), None, each)
    assert archive.thin(before=20) == 10
    for number, each in enumerate(seen):
        found = archive.sightings(number)
        assert found is not None and np.array_equal(found.ids, each.ids)
        assert np.array_equal(found.places, each.places)
    archive.add(prediction(20))
    assert archive.sightings(20) is None  # an older version kept it
    archive.add(prediction(21), None, Sightings(seen[0].ids[:3], seen[0].places))
    with pytest.raises(DamagedFrame):
        archive.sightings(21)


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


def test_thinned_frames_keep_their_camera_and_look_alike(tmp_path: Path) -> None:
    archive = FrameArchive(tmp_path)
    made = [prediction(number, turn=number) for number in range(80)]
    smooth = cv2.resize(made[0].image[:4, :6], made[0].image.shape[1::-1])  # JPEG likes no noise
    made = [replace(each, image=smooth) for each in made]
    for each in made:
        archive.add(each, np.zeros((8, 8), np.uint8))
    assert archive.thin(before=60) == 30 == archive.num_thinned and len(archive) == 80
    whole, thin = (tmp_path / name for name in ("000002.npz", "000001.thin.npz"))
    assert thin.stat().st_size < 0.5 * whole.stat().st_size
    for number, each in enumerate(made):
        found, is_thin = archive.load(number), 0 < number < 60 and number % 2 == 1
        assert np.array_equal(found.cam_from_world, each.cam_from_world)
        assert found.image.shape == each.image.shape and found.depth.shape == each.depth.shape
        assert np.allclose(found.depth[::2, ::2], each.depth[::2, ::2], rtol=1e-3)
        assert np.abs(found.image.astype(int) - each.image).mean() < 4
        if is_thin:
            with pytest.raises(ThinnedFrame):
                archive.frame(number)
        else:
            assert np.array_equal(found.image, archive.frame(number).image)
    assert archive.thin(before=60) > 0  # every second of those that are whole
    while archive.thin(before=60):
        pass
    assert not archive.num_lost() and archive.frame(0).number == 0  # the first one stays whole


def test_a_frame_that_is_computed_again_is_whole(tmp_path: Path) -> None:
    archive = FrameArchive(tmp_path)
    for number in range(20):
        archive.add(prediction(number))
    archive.thin(before=20)
    archive.add(prediction(1), np.zeros((8, 8), np.uint8))
    assert archive.num_thinned == 9
    assert archive.frame(1).number == 1 and np.array_equal(
        archive.load(1).image, prediction(1).image
    )
