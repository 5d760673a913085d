"""Surfels lie on the surface that their pixels saw, and take the points' place at rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
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
    """A stretched frame's surfels are those of its stretched points."""
    made = prediction()
    surfels = Surfels.of(PosedFrame(made, None), 4, [], ViewOptions())
    turn = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
    moved = surfels.moved(np.column_stack([turn, [1.0, 2, 3]]), np.array([1.5, 1.5, 3.0]))
    stretched = replace(made, depth=3 * made.depth, intrinsics=made.intrinsics.copy())
    stretched.intrinsics[[0, 1], [0, 1]] *= 2
    expected = Surfels.of(PosedFrame(stretched, None), 4, [], ViewOptions())
    assert np.allclose(moved.centres, expected.centres @ turn.T + [1, 2, 3], atol=1e-5)
    assert np.allclose(moved.covariances, turn @ expected.covariances @ turn.T, atol=1e-7)


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
    return [number for number, node in scene._points.surfels._nodes.items() if node.visible]


def points_shown(scene: Scene) -> bool:
    return any(bands.visible for bands in scene._points.layers)


def test_they_take_the_points_place_once_no_frame_comes(scene: Scene) -> None:
    grow(scene, 24)
    assert points_shown(scene) and not surfels_shown(scene)
    scene.settle()
    assert surfels_shown(scene) == list(range(24)) and not points_shown(scene)
    scene.seek(4)
    assert surfels_shown(scene) == list(range(5)) and not points_shown(scene)
    scene.look(replace(AS_SURFELS, show="one frame"))
    assert points_shown(scene) and not surfels_shown(scene)
    scene.seek(None)
    scene.look(ViewOptions(cameras="refined"))
    assert points_shown(scene) and not scene._points.surfels._nodes
    scene.look(AS_SURFELS)
    grow(scene, 1)  # resumed
    assert points_shown(scene) and not surfels_shown(scene)
    scene.settle()
    assert surfels_shown(scene) == list(range(25))


def centres(scene: Scene, number: int) -> np.ndarray:
    node = scene._points.surfels._nodes[number]
    return node.scale * node.buffer[:, :3].copy().view(np.float32)


def count(scene: Scene) -> int:
    return sum(len(node.buffer) for node in scene._points.surfels._nodes.values())


@pytest.mark.parametrize("cameras", ["refined", "head"])
def test_they_stand_where_points_do(scene: Scene, cameras) -> None:
    scene.look(replace(AS_SURFELS, cameras=cameras))
    grow(scene, 12)
    scene.settle()
    placing = scene._placings[8]
    place = placing.pose(cameras), placing.stretch(cameras)
    recent = np.concatenate([cloud.points for cloud in scene._points.recent[8].placed(*place)])
    placed = centres(scene, 8)
    apart = np.linalg.norm(placed[:, None] - recent[None], axis=2).min(axis=1)
    assert len(placed) > 1000 and apart.max() < 0.01


def test_they_follow_flags_and_corrections(scene: Scene) -> None:
    grow(scene, 12)
    scene.settle()
    before, fewer = centres(scene, 8), count(scene)
    scene.look(replace(AS_SURFELS, confirmed=0))
    assert count(scene) > fewer
    scene.correct([correction(n, (0.1 * n, 0.5, 0)) for n in range(12)])
    scene.settle()
    scene.look(AS_SURFELS)
    assert np.allclose(centres(scene, 8), before + [0, 0.5, 0], atol=1e-3)  # noqa: RUF005  # a sum


def test_what_is_much_wider_than_the_rest_stays_finite(scene: Scene) -> None:
    made = prediction(0)
    made.depth[:28] = np.linspace(5000, 2.0, 28)[:, None]  # a ramp to far hills
    scene.look(replace(AS_SURFELS, confirmed=0, sky=True))
    scene._frames.add(made)
    scene.add(made)
    scene.settle()
    (node,) = scene._points.surfels._nodes.values()
    covariances = node.buffer[:, 4:7].copy().view(np.float16)
    assert len(covariances) > 1000 and np.isfinite(covariances).all()


def test_a_long_run_has_few_nodes_from_its_first_frame_to_its_last(scene: Scene) -> None:
    scene.reset(max_frames=250)
    grow(scene, 250)
    for path in scene._frames.folder.glob("*004.*"):
        path.unlink()
    scene.settle()
    numbers = surfels_shown(scene)
    assert len(numbers) == 59 and numbers[0] == 0 and numbers[-1] == 249  # one is gone
    assert np.diff(numbers).max() < 10 and count(scene) <= MOST_SURFELS
    scene.seek(0)
    assert surfels_shown(scene) == [0]


def test_where_no_frame_can_be_read_points_stay(scene: Scene) -> None:
    grow(scene, 3)
    for path in scene._frames.folder.glob("*"):
        path.unlink()
    scene.settle()
    assert points_shown(scene) and not surfels_shown(scene)


def test_nothing_is_made_that_is_not_shown(scene: Scene) -> None:
    grow(scene, 3)
    scene.look(replace(AS_SURFELS, show="one frame"))
    scene.settle()
    assert points_shown(scene) and not scene._points.surfels._nodes


def test_the_view_is_not_blank_while_others_are_made(scene: Scene, monkeypatch) -> None:
    grow(scene, 5)
    scene.settle()
    made, seen = scene._points._made.surfels, list[list[int]]()

    def watched(*arguments) -> Iterator[tuple[int, Surfels]]:
        for each in made(*arguments):
            seen.append(surfels_shown(scene))
            yield each

    monkeypatch.setattr(scene._points._made, "surfels", watched)
    scene.look(replace(AS_SURFELS, confirmed=0))
    assert seen == [list(range(5))] * 5 and surfels_shown(scene) == list(range(5))
