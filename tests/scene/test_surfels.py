"""Surfels lie on the surface that their pixels saw, and take the points' place at rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from svggt.scene.clouds import banded
from svggt.scene.posed_frame import PosedFrame
from svggt.scene.scene import Scene
from svggt.scene.surfel_nodes import MOST_SURFELS
from svggt.scene.surfels import Surfels
from svggt.store.frame_archive import FrameArchive
from svggt.view_options import ViewOptions
from tests.scene.frames import correction, prediction

AS_SURFELS = ViewOptions(draw_as="surfels", cameras="refined")


@pytest.mark.parametrize("stride", [1, 2])
def test_they_lie_along_the_surface_and_close_it(stride: int) -> None:
    """A slanted wall: flat along it, and wide enough for the neighbours that were left out."""
    made = prediction()
    columns = np.arange(84) - 42
    made.depth[:] = 2 / (1 - 0.8 * columns / 80)  # z = 2 + .8 x
    surfels = Surfels.of(PosedFrame(made, None), stride, [], ViewOptions())
    normal = np.array([-0.8, 0, 1]) / np.hypot(0.8, 1)
    across = np.einsum("i,nij,j->n", normal, surfels.covariances, normal)
    spread = np.trace(surfels.covariances, axis1=1, axis2=2)
    assert len(surfels) > 800 and (across < 1e-4 * spread).all()
    (points,) = (cloud.points for cloud in banded(PosedFrame(made, None), stride) if len(cloud))
    assert np.allclose(points, surfels.centres)
    middle = np.argmin(np.linalg.norm(points - points.mean(axis=0), axis=1))
    gaps = np.sort(np.linalg.norm(points - points[middle], axis=1))[1:3]
    axes = np.sqrt(np.linalg.eigvalsh(surfels.covariances[middle])[1:])
    assert (axes > 0.45 * gaps[0]).all() and (axes < 0.8 * gaps[1] * 1.3).all()


def test_they_move_as_points_do() -> None:
    surfels = Surfels.of(PosedFrame(prediction(), None), 4, [], ViewOptions())
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    pose, stretch = np.column_stack([turn, [1.0, 2, 3]]), np.array([3.0, 3.0, 2.0])
    moved = surfels.moved(pose, stretch)
    ends = surfels.centres[:, None] + rng.normal(size=(1, 40, 3)) * 0.01
    where = (ends * stretch) @ turn.T + pose[:, 3] - moved.centres[:, None]
    before = np.cov((ends - surfels.centres[:, None])[0].T)
    assert np.allclose(np.cov(where[0].T), turn * stretch @ before @ (turn * stretch).T)
    expected = (turn * stretch) @ surfels.covariances @ (turn * stretch).T
    assert np.allclose(moved.covariances, expected)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    opened = Scene(FrameArchive(tmp_path))
    opened.reset(max_frames=40)
    opened.look(AS_SURFELS)
    yield opened
    opened.close()


def grow(scene: Scene, count: int) -> None:
    for number in range(scene.num_frames, scene.num_frames + count):
        made = prediction(number)
        scene._frames.add(made)
        scene.add(made, correction(number, (0.1 * number, 0, 0)))


def surfels_shown(scene: Scene) -> list[int]:
    return [number for number, node in scene._surfels._nodes.items() if node.visible]


def points_shown(scene: Scene) -> bool:
    return any(bands.visible for bands in scene._all_bands())


def test_they_take_the_points_place_once_no_frame_comes(scene: Scene) -> None:
    grow(scene, 24)
    assert points_shown(scene) and not surfels_shown(scene)
    scene.settle()
    assert surfels_shown(scene) == list(range(24)) and not points_shown(scene)
    scene.seek(4)
    assert surfels_shown(scene) == list(range(5)) and not points_shown(scene)
    scene.look(ViewOptions(draw_as="surfels", cameras="refined", show="one frame"))
    assert points_shown(scene) and not surfels_shown(scene)
    scene.seek(None)
    scene.look(ViewOptions(cameras="refined"))
    assert points_shown(scene) and not scene._surfels._nodes
    scene.look(AS_SURFELS)
    grow(scene, 1)  # resumed
    assert points_shown(scene) and not surfels_shown(scene)
    scene.settle()
    assert surfels_shown(scene) == list(range(25))


def test_they_stand_where_points_do_and_follow_their_flags(scene: Scene) -> None:
    grow(scene, 12)
    scene.settle()
    node = scene._surfels._nodes[8]
    placed = node.scale * node.buffer[:, :3].copy().view(np.float32)
    pose = scene._placings[8].pose("refined")
    stretch = scene._placings[8].stretch("refined")
    recent = np.concatenate([cloud.points for cloud in scene._recent[8].placed(pose, stretch)])
    apart = np.linalg.norm(placed[:, None] - recent[None], axis=2).min(axis=1)
    assert len(placed) > 1000 and apart.max() < 0.01
    scene.correct([correction(8, (0.8, 0.5, 0))])
    moved = scene._surfels._nodes[8]
    where = moved.scale * moved.buffer[:, :3].copy().view(np.float32)
    moves = where.min(axis=0) - placed.min(axis=0)
    assert np.allclose(moves[:2], [0, 0.5], atol=0.05)
    count = sum(len(node.buffer) for node in scene._surfels._nodes.values())
    scene.look(ViewOptions(draw_as="surfels", cameras="refined", confirmed=0))
    everything = sum(len(node.buffer) for node in scene._surfels._nodes.values())
    assert count <= everything <= MOST_SURFELS


def test_a_long_run_has_few_nodes_and_a_lost_frame_no_surfels(scene: Scene) -> None:
    scene.reset(max_frames=250)
    grow(scene, 250)
    for path in scene._frames.folder.glob("*249*"):
        path.unlink()
    scene.settle()
    numbers = surfels_shown(scene)
    assert 40 <= len(numbers) <= 60 and numbers[-1] < 249 and np.unique(np.diff(numbers)).size == 1
