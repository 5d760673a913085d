"""Points that other views confirm, and what they contradict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from svggt.prediction import FramePrediction
from svggt.scene.clouds import banded
from svggt.scene.confirmations import confirmations
from svggt.scene.posed_frame import PosedFrame
from svggt.view_options import MOST_CONFIRMED
from tests.scene.frames import correction, prediction


def wall(number: int = 0, depth: float = 2.0) -> FramePrediction:
    """A plane, seen by cameras in a row."""
    made = prediction(number)
    return replace(made, depth=np.full_like(made.depth, depth))


def look(made: FramePrediction, views: list[FramePrediction]) -> np.ndarray:
    shot = PosedFrame(made, None)
    return confirmations(shot.in_world(shot.points), [PosedFrame(view, None) for view in views])


def test_what_nobody_looked_at_is_not_doubted() -> None:
    assert (look(wall(), []) == MOST_CONFIRMED).all()
    assert (look(wall(), [wall(1000)]) == MOST_CONFIRMED).all()  # it looks elsewhere


def test_a_point_has_as_many_confirmations_as_views_that_see_a_surface_there() -> None:
    bumped = wall(0)
    bumped.depth[20:30, 40:50] = 1.5
    views = [wall(1), wall(2), wall(3), wall(4)]
    said = look(bumped, views)
    assert (said[22:28, 42:48] == 0).all()
    assert (said[40:, 40:] == MOST_CONFIRMED).all()
    # Of three views one sees the bump too, or two of them do.
    for many in (1, 2):
        for view in views[:many]:
            column = 40 - round(0.1 * view.number * 80 / 1.5)  # the bump's, nearer by parallax
            view.depth[20:30, column : column + 10] = 1.5
        assert (look(bumped, views)[22:28, 42:48] == many).all()


def test_a_view_whose_camera_is_wrong_says_nothing() -> None:
    assert (look(wall(), [wall(1, depth=5.0)]) == MOST_CONFIRMED).all()


def test_a_view_sees_with_its_lens() -> None:
    """Points of a frame seen by the same camera are at their own pixels, distortion and all."""
    refined = correction(0, (0.3, 0, 0), np.log(2.0), radial=-0.2)
    shot = PosedFrame(prediction(0), refined)
    pixels, depth = shot.project(shot.in_world(shot.points))
    rows, columns = np.indices(depth.shape)
    assert np.allclose(pixels, np.stack([columns, rows], axis=-1), atol=0.4)
    assert np.allclose(depth, shot.depth, rtol=1e-5)


def test_contradicted_points_are_in_the_last_band_but_that_of_what_is_far() -> None:
    bumped = wall(0)
    bumped.depth[20:30, 40:50] = 1.5
    shot, views = PosedFrame(bumped, None), [PosedFrame(wall(1), None), PosedFrame(wall(2), None)]
    first, *_, contradicted, far, _ = banded(shot, 1, views)
    assert (contradicted.points[:, 2] == 1.5).mean() > 0.9 and (first.points[:, 2] == 2).all()
    assert not len(far)


def test_what_is_far_outside_is_not_folded_into_the_picture() -> None:
    """A barrel's polynomial turns back: a point at 68 degrees would land within the picture."""
    barrel = correction(0, (0.0, 0, 0), radial=-0.15)
    shot = PosedFrame(prediction(0), barrel)
    angle = np.radians(68)
    point = shot.in_world(np.array([[np.sin(angle), 0.0, np.cos(angle)]]))
    pixels, depth = shot.project(point)
    assert depth[0] > 0 and pixels[0, 0] > shot.depth.shape[1]
