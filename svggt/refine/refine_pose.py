"""A camera's pose, bettered until uncertain points agree with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from svggt.geometry import compose, invert
from svggt.refine.camera import Camera
from svggt.refine.uncertain import Projection, Uncertain

Array = NDArray[Any]

_ITERATIONS = 8
_ROUNDS = 3  # in which distances follow a pose
_STILL = 1e-5  # radians, or of the world's scale
_NEAR = 0.05  # of the median depth: nearer points say nothing
_DOUBT = 3.0  # standard deviations at which a point counts a quarter (Geman-McClure)


@dataclass(frozen=True)
class Expected:
    """Where a camera should be before anything is seen.

    Attributes:
        world_from_cam: (3, 4).
        reach: standard deviation of its place in each direction, in the world's scale. Where
            depths are uncertain a turn and a shift look alike; this tells them apart.
    """

    world_from_cam: Array
    reach: float


def refine_pose(
    points: Uncertain, pixels: Array, camera: Camera, expected: Expected, world_from_cam: Array
) -> tuple[Array, Array]:
    """The pose near a first one that uncertain points agree with (Gauss-Newton, robust).

    A corner's error is one pixel. Distances are variables of their own; see `Uncertain`.

    Args:
        points: N of the world.
        pixels: (N, 2) where they are seen.
        camera: that sees them.
        expected: where it should be.
        world_from_cam: (3, 4) to begin from.

    Returns:
        World_from_cam (3, 4), and (N,) by how many standard deviations each point disagrees;
        infinite behind the camera.
    """
    pose = world_from_cam
    # Distances first, for the pose to begin from; then pose and distances in turn.
    offset = points.approach(np.zeros(len(pixels)), pixels, camera, pose, _ROUNDS)
    for _ in range(_ITERATIONS):
        step = _step(points, offset, pixels, camera, expected, pose)
        turn = cv2.Rodrigues(step[:3])[0]
        pose = compose(pose, invert(np.concatenate([turn, step[3:, None]], axis=1)))
        offset = points.approach(offset, pixels, camera, pose, 1)
        if np.abs(step).max() < _STILL:
            break
    offset = points.approach(offset, pixels, camera, pose, _ROUNDS)
    view = points.view(offset, camera, pose)
    return pose, np.where(view.ahead, np.sqrt(_squares(points, offset, pixels, view)), np.inf)


def _squares(points: Uncertain, offset: Array, pixels: Array, view: Projection) -> Array:
    """(N,) squared standard deviations by which points disagree."""
    return ((pixels - view.pixels) ** 2).sum(axis=1) + points.robust_cost(offset)


def _step(
    points: Uncertain,
    offset: Array,
    pixels: Array,
    camera: Camera,
    expected: Expected,
    pose: Array,
) -> Array:
    """(6,) turn and shift of cam_from_world, from the left; distances are eliminated (Schur)."""
    view, weight = points.view(offset, camera, pose), points.weight(offset)
    off, gain = pixels - view.pixels, view.gain
    # Robust weights (Geman-McClure): a point that disagrees by 3 sigma counts a quarter.
    weights = 1 / (1 + _squares(points, offset, pixels, view) / _DOUBT**2) ** 2
    said = points.view(np.zeros(len(pixels)), camera, pose).inverse
    weights *= view.ahead & (view.inverse < np.median(said) / _NEAR)
    # Each point's distance is one variable: its 1x1 block is inverted and folded into the six
    # of the pose, so that what distance can explain does not move the camera.
    own = (gain**2).sum(axis=1) + weight
    along = ((gain * off).sum(axis=1) - weight * offset) / own
    jacobian = _jacobian(view, camera)
    across = jacobian - gain[:, :, None] * (gain[:, None] @ jacobian) / own[:, None, None]
    weighted, both = weights[:, None, None] * jacobian, ([0, 1], [0, 1])
    normal = np.tensordot(weighted, across, both)
    target = np.tensordot(weighted, off - along[:, None] * gain, both)
    # A weak prior on the camera's place tells a shift from a turn where depths are uncertain.
    sure = 1 / expected.reach**2
    normal[3:, 3:] += sure * np.eye(3)
    target[3:] -= sure * pose[:, :3].T @ (expected.world_from_cam[:, 3] - pose[:, 3])
    return np.linalg.solve(normal + 1e-6 * np.eye(6), target)


def _jacobian(view: Projection, camera: Camera) -> Array:
    """(N, 2, 6) of the projection by a turn and a shift of cam_from_world, from the left.

    Without what distortion adds: it is small, and the steps end where they did.
    """
    (u, v), inverse, zero = view.rays.T, view.inverse, np.zeros(len(view.rays))
    rows = [
        [-u * v, 1 + u * u, -v, inverse, zero, -u * inverse],
        [-1 - v * v, u * v, u, zero, inverse, -v * inverse],
    ]
    return camera.focal * np.moveaxis(np.array(rows), -1, 0)
