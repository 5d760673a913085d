"""A film of a run: it grows, a flight follows, and it is the same every time."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from svggt.errors import Cancelled
from svggt.exports import film
from svggt.exports.exporter import make_export
from svggt.scene.clouds import Cloud
from svggt.scene.raster import render
from svggt.store.posed_frames import PosedFrames
from svggt.store.recording import Recording
from tests.exports.test_exports import COUNT, recording  # noqa: F401  # a fixture

SIZE, FLYING, TURNING = (90, 160), 12, 4


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SIZE", SIZE), ("_FLYING", FLYING), ("_TURNING", TURNING), ("_RIM", 2)):
        monkeypatch.setattr(film, name, value)


def drawn(picture: np.ndarray) -> float:
    """Share of it that is no backdrop, the corner of the inset left out."""
    backdrop = np.linspace((44, 52, 66), (14, 17, 23), len(picture))[:, None]
    return float((np.abs(picture - backdrop).max(axis=2) > 30)[:, SIZE[1] // 3 :].mean())


def test_a_film_grows_flies_and_comes_back(recording: Recording) -> None:  # noqa: F811
    path = make_export(recording, "film", "refined")
    pictures = imageio.imread(path, plugin="pyav").astype(int)
    assert pictures.shape == (COUNT + FLYING + 2 * TURNING, *SIZE, 3)
    grown = [drawn(picture) for picture in pictures[:COUNT]]
    assert 0.02 < grown[0] < grown[-1] and grown == sorted(grown)
    around = np.s_[:, SIZE[1] // 3 :]  # where no inset was
    away, back = (
        np.abs(pictures[at][around] - pictures[COUNT - 1][around]).mean()
        for at in (COUNT + TURNING + FLYING // 2, -1)
    )
    assert back < 10 and back < 0.4 * away  # what H.264 makes of noise


def test_the_frames_own_picture_lies_in_the_corner(recording: Recording) -> None:  # noqa: F811
    shots = PosedFrames.of(recording, "refined")
    for number, picture in zip(range(COUNT), film._pictures(shots, 1), strict=False):
        image = shots.shot(number).prediction.image
        height, width = (round(0.24 * SIZE[1] / image.shape[1] * side) for side in image.shape[:2])
        inset = picture[-height - 2 : -2, 2 : width + 2]
        assert np.abs(inset.mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() < 3


def test_it_is_the_same_every_time_and_a_gif_goes_round(
    recording: Recording,  # noqa: F811
    tmp_path: Path,
) -> None:
    path = make_export(recording, "gif", "refined")
    pictures = imageio.imread(path)
    assert pictures.shape == (-(-(COUNT + FLYING + 2 * TURNING) // 3), 225, 400, 3)
    assert imageio.immeta(path)["loop"] == 0
    first = path.read_bytes()
    path.unlink()
    assert make_export(recording, "gif", "refined").read_bytes() == first


def test_a_film_that_nobody_waits_for_ends(recording: Recording) -> None:  # noqa: F811
    calls = []

    def tired(number: int) -> None:
        calls.append(number)
        if len(calls) > 2 * COUNT:
            raise Cancelled

    with pytest.raises(Cancelled):
        make_export(recording, "film", "refined", tired)
    assert not list(recording.folder.rglob("*.mp4*"))


def test_a_point_covers_its_size_and_the_nearest_is_seen() -> None:
    points = np.array([[0.0, 0, 2], [0.1, 0, 4], [-0.9, 0, 2], [0, 0, -1]])
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8)
    sizes, black = np.array([0.16, 0.16, 0.08, 5.0]), np.zeros((100, 200, 3), np.uint8)
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        cloud = Cloud(points[order], colors[order])
        picture = render(cloud, np.eye(3, 4), 1.0, black, sizes=sizes[order])
        covered = [(picture == color).all(axis=2).sum() for color in colors]
        assert covered[0] == 16**2 and covered[2] == 8**2 and covered[3] == 0
        assert 0 < covered[1] < 8**2  # red hides most of it
    aside = render(
        Cloud(np.array([[1.02, 0, 2]]), colors[:1]), np.eye(3, 4), 1.0, black, sizes=0.16
    )
    assert 0 < (aside[..., 0] > 0).sum() < 16**2 and not aside[:, :190].any()  # half outside
