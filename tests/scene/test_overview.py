"""The overview: most of what was seen is in sight, in a window of any shape, from above."""

from __future__ import annotations

import numpy as np
import pytest
from viser import transforms

from svggt import geometry
from svggt.scene.camera_view import CameraView
from svggt.scene.frame_poses import UP, FramePoses
from svggt.scene.overview import Overview
from svggt.scene.scale_bar import free_place
from tests.scene.frames import correction, prediction

LEVEL = transforms.SO3.identity()
SEEN = np.array([[x, y, 2.0] for x in np.linspace(-1, 1, 5) for y in np.linspace(-0.7, 0.7, 5)])


def walk(kind: str) -> list[FramePoses]:
    """Cameras two units from what they see: walking ahead, turning on the spot, or looking down."""
    made = []
    for number in range(20):
        angle = {"ahead": 0.0, "around": 2 * np.pi * number / 20, "down": 0.0}[kind]
        rotation = transforms.SO3.from_y_radians(angle).as_matrix()
        if kind == "down":
            rotation = transforms.SO3.from_x_radians(-0.6).as_matrix()
        step = 0.4 * number * (kind != "around")
        pose = np.concatenate([rotation, [[0.0], [0.0], [step]]], axis=1)
        made.append(FramePoses(pose, 0.9, 2.0, SEEN, None, None))
    return made


def in_view(view: CameraView, points: np.ndarray, aspect: float) -> np.ndarray:
    """Whether a window shows points."""
    ahead = (view.target - view.position) / np.linalg.norm(view.target - view.position)
    right = np.cross(ahead, view.up)
    right /= np.linalg.norm(right)
    up = np.cross(right, ahead)
    x, y, z = np.stack([right, up, ahead]) @ (points - view.position).T
    tangent = np.tan(view.fov / 2)
    return (z > 0) & (np.abs(y) <= tangent * z) & (np.abs(x) <= aspect * tangent * z)


@pytest.mark.parametrize("aspect", [0.5, 1.0, 1.8])
@pytest.mark.parametrize("kind", ["ahead", "around", "down"])
def test_most_of_what_was_seen_is_in_sight(kind: str, aspect: float) -> None:
    placings = walk(kind)
    whole = Overview.of(placings, "head", LEVEL)
    view = whole.seen_by(aspect)
    seen = [geometry.Similarity(1.0, placing.head).points(SEEN) for placing in placings]
    assert in_view(view, np.concatenate(seen), aspect).mean() > 0.9
    assert (view.position - view.target) @ UP > 0  # from above
    if kind != "around":  # and from behind
        assert (view.position - view.target)[2] < 0


@pytest.mark.parametrize("kind", ["ahead", "around", "down"])
def test_the_scale_bar_lies_on_the_floor_in_sight(kind: str) -> None:
    whole = Overview.of(walk(kind), "head", LEVEL)
    across = np.cross(UP, whole.away)
    half = 0.25 * whole.reach * across / np.linalg.norm(across)
    place = free_place(whole, half)
    assert place[1] == whole.floor
    for aspect in (0.6, 1.0, 2.2):
        view = whole.seen_by(aspect)
        bar = np.stack([place - half, place, place + half])
        x, y = view.in_window(bar, aspect).T
        assert in_view(view, bar, aspect).all()
        assert (np.abs(x) < 0.86).all() and (y > -0.51).all() and (y < 0.41).all()
        assert np.ptp(x) > 0.1 and np.ptp(y) < 0.05  # across


def test_it_is_level_where_the_world_is() -> None:
    """Cameras that all lean: their world is turned upright, and so is what the eye sees."""
    lean = transforms.SO3.from_z_radians(0.5)
    leaning = [
        FramePoses(
            np.concatenate([lean.as_matrix() @ p.head[:, :3], lean.as_matrix() @ p.head[:, 3:]], 1),
            p.focal, p.depth, p.seen, None, None,
        )
        for p in walk("ahead")
    ]  # fmt: skip
    turned = Overview.of(leaning, "head", lean.inverse())
    straight = Overview.of(walk("ahead"), "head", LEVEL)
    assert np.allclose(turned.middle, straight.middle) and np.allclose(turned.away, straight.away)


def test_it_is_filled(kind: str = "ahead", aspect: float = 1.5) -> None:
    """What is seen reaches near an edge of the window."""
    placings = walk(kind)
    view = Overview.of(placings, "head", LEVEL).seen_by(aspect)
    seen = np.concatenate([placing.world("head") for placing in placings])
    nearer = CameraView(0.75 * view.position + 0.25 * view.target, view.target, view.up, view.fov)
    assert in_view(view, seen, aspect).mean() > 0.95 > in_view(nearer, seen, aspect).mean()


def test_the_floor_lies_under_what_was_seen() -> None:
    whole = Overview.of(walk("ahead"), "head", LEVEL)
    assert whole.floor == pytest.approx(0.7, abs=0.05) and whole.reach > 1


def test_refined_cameras_see_at_a_depth_of_their_own() -> None:
    made = FramePoses.of(prediction(0), correction(0, (0, 0, 0), log_scale=float(np.log(3))))
    assert made.world("head")[:, 2].max() == pytest.approx(2)
    assert made.world("refined")[:, 2].max() == pytest.approx(6)
    assert 20 < len(made.seen) < 300


def test_sky_and_what_is_far_are_not_looked_at() -> None:
    made = prediction(0)
    made.image[:18], made.depth[:18], made.depth[-10:] = (100, 140, 230), 4.0, 90.0
    assert FramePoses.of(made, None).seen[:, 2].max() == 2.0


def test_a_frame_of_sky_alone_is_looked_at_all_the_same() -> None:
    made = prediction(0)
    made.image[:], made.depth[:] = (100, 140, 230), 4.0
    made.image[-2:] = 90
    assert len(FramePoses.of(made, None).seen) > 20


def test_a_turntable_is_seen_from_the_side() -> None:
    """Cameras all around that look down: the eye is above, not overhead."""
    placings = []
    for number in range(12):
        turn = transforms.SO3.from_y_radians(2 * np.pi * number / 12)
        rotation = (turn @ transforms.SO3.from_x_radians(-0.52)).as_matrix()
        pose = np.concatenate([rotation, -2 * rotation[:, 2:]], axis=1)
        placings.append(FramePoses(pose, 0.9, 2.0, SEEN, None, None))
    whole = Overview.of(placings, "head", LEVEL)
    assert 0.2 < whole.away @ UP < 0.7 and np.isfinite(whole.seen_by(1.0).position).all()
    below = transforms.SO3.from_x_radians(-np.pi / 2).as_matrix()
    down = [FramePoses(np.concatenate([below, np.zeros((3, 1))], 1), 0.9, 2.0, SEEN, None, None)]
    whole = Overview.of(down, "head", LEVEL)
    assert 0.2 < whole.away @ UP < 0.7 and np.isfinite(whole.seen_by(1.0).position).all()


def test_a_flight_begins_and_ends_where_it_should() -> None:
    a = CameraView(np.zeros(3), np.ones(3), UP, 1.0)
    b = CameraView(np.ones(3), np.zeros(3), UP, 0.5)
    assert a.towards(b, 0.0).like(a) and a.towards(b, 1.0).like(b)
    assert np.allclose(a.towards(b, 0.5).position, 0.5) and a.towards(b, 0.5).fov == 0.75
