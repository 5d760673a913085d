"""A pose from points whose depths may be wrong: what is seen counts apart from what is said."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from svggt import geometry
from svggt.refine.camera import Camera
from svggt.refine.pose import AGREES, locate
from svggt.refine.refine_pose import Expected, refine_pose
from svggt.refine.uncertain import Uncertain

CAMERA = Camera(400.0, np.array([240.0, 135.0]), -0.03)
START = np.eye(3, 4)


def scene(count: int = 300) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Pixels (N, 2) all over the picture, and z-depths (N,) of a road: 4 to 400."""
    rng = np.random.default_rng(0)
    pixels = rng.uniform((10, 10), (470, 260), (count, 2))
    return pixels, np.exp(rng.uniform(np.log(4), np.log(400), count))


def said_to_lie(depth: NDArray[np.floating], spread: float = 0.24) -> Uncertain:
    """The scene's points, if its depths were these (N,)."""
    pixels, _ = scene()
    points = CAMERA.lift(pixels, depth, START)
    return Uncertain(points, np.zeros_like(points), np.full(len(points), spread))


def seen_from(pose: NDArray[np.floating], said: NDArray[np.floating], spread: float):
    """What `locate` finds of the scene from a pose, where its depths are said to be (N,)."""
    pixels, depth = scene()
    there, _ = CAMERA.project(CAMERA.lift(pixels, depth, START), pose)
    there += np.random.default_rng(1).normal(0, 0.3, there.shape)
    points = said_to_lie(said, spread)
    return locate(points, there, CAMERA, Expected(START, 0.05 * float(np.median(said))), seed=0)


def turned(pose: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """Degrees between the directions of two poses."""
    return float(geometry.rotation_angle(pose[:, :3].T @ truth[:, :3]))


def test_exact_depth_gives_the_exact_pose() -> None:
    truth = np.concatenate([np.eye(3), [[0.1], [0.02], [0.3]]], axis=1)
    _, depth = scene()
    pose, lengths = seen_from(truth, depth, spread=0.01)
    assert turned(pose, truth) < 0.1 and np.linalg.norm((pose - truth)[:, 3]) < 0.02
    assert (lengths < AGREES).mean() > 0.98


def test_a_wrong_depth_is_no_wrong_estimate() -> None:
    """A road driven straight on, by a model that brings far hills near, as models do."""
    truth = np.concatenate([np.eye(3), [[0.0], [0.0], [0.8]]], axis=1)
    _, depth = scene()
    pose, lengths = seen_from(truth, 4 * (depth / 4) ** 0.4, spread=0.24)
    way = pose[:, 3] / np.linalg.norm(pose[:, 3])
    assert turned(pose, truth) < 0.3
    assert way[2] > np.cos(np.radians(5))
    assert (lengths < AGREES).mean() > 0.95


def test_beyond_infinity_is_a_wrong_estimate() -> None:
    """Points that move against the camera's motion along their lines are not believed."""
    truth = np.concatenate([np.eye(3), [[0.4], [0.0], [0.0]]], axis=1)
    pixels, depth = scene()
    there, _ = CAMERA.project(CAMERA.lift(pixels, depth, START), truth)
    against = depth < 12
    there[against, 0] = 2 * pixels[against, 0] - there[against, 0]
    pose, lengths = locate(said_to_lie(depth), there, CAMERA, Expected(START, 1.0), seed=0)
    assert turned(pose, truth) < 0.3
    assert (lengths[against] > AGREES).all() and (lengths[~against] < AGREES).all()


@pytest.mark.parametrize("yaw", (-8.0, -4.0, -2.0, 2.0, 4.0, 8.0))
def test_a_turn_is_found_where_a_shift_was_expected(yaw: float) -> None:
    """At first most points seem to lie beyond infinity, on one of the two sides."""
    half = np.radians(yaw) / 2
    turn = geometry.rotation_from_quaternion(np.array([0, np.sin(half), 0, np.cos(half)]))
    truth = np.concatenate([turn, np.zeros((3, 1))], axis=1)
    shifted = np.concatenate([np.eye(3), [[0.5], [0.0], [0.0]]], axis=1)
    pixels, depth = scene()
    there, _ = CAMERA.project(CAMERA.lift(pixels, depth, START), truth)
    pose, lengths = refine_pose(said_to_lie(depth), there, CAMERA, Expected(shifted, 1.0), shifted)
    assert turned(pose, truth) < 0.1 and (lengths < AGREES).mean() > 0.99


def test_what_the_camera_seems_to_have_passed_is_farther_than_said() -> None:
    truth = np.concatenate([np.eye(3), [[0.0], [0.0], [8.0]]], axis=1)
    pixels, depth = scene()
    depth = 5 * depth
    there, _ = CAMERA.project(CAMERA.lift(pixels, depth, START), truth)
    _, lengths = refine_pose(said_to_lie(depth / 10), there, CAMERA, Expected(truth, 1e-3), truth)
    assert (lengths < AGREES).all()
