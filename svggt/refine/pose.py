"""A camera's pose from known points and where they are seen."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from svggt.geometry import invert
from svggt.refine.camera import Camera
from svggt.refine.refine_pose import Expected, refine_pose
from svggt.refine.uncertain import Uncertain

Array = NDArray[Any]

MIN_INLIERS = 12
AGREES = 3.0
"""Standard deviations within which a point agrees."""

_RANSAC_PIXELS = 4.0  # depth errors included
_KNOWN = 0.1  # spread of a depth; enough such points may leave no doubt
_ENOUGH_KNOWN = 50
_CLEAR = 0.8  # share of agreeing points that leaves no doubt


def locate(
    points: Uncertain, pixels: Array, camera: Camera, expected: Expected, seed: int
) -> tuple[Array, Array]:
    """The pose that most points agree with.

    PnP, which trusts the points' depths, is polished; where that leaves doubts so is the expected
    pose, and the better end is taken.

    Args:
        points: N of the world, at least 4.
        pixels: (N, 2) where they are seen.
        camera: that sees them.
        expected: where it should be.
        seed: RANSAC's.

    Returns:
        World_from_cam (3, 4), and (N,) by how many standard deviations each point disagrees;
        infinite behind the camera.
    """
    pixels = pixels.astype(np.float64)
    ends = []
    by_pnp = _pnp(points.positions, pixels, camera, expected, seed)
    if by_pnp is not None:
        ends.append(refine_pose(points, pixels, camera, expected, by_pnp))
        known = (points.spreads < _KNOWN).sum() >= _ENOUGH_KNOWN
        if known and (ends[0][1] < AGREES).mean() > _CLEAR:
            return ends[0]
    ends.append(refine_pose(points, pixels, camera, expected, expected.world_from_cam))
    return min(ends, key=lambda end: _cost(end[0], end[1], expected))


def _cost(world_from_cam: Array, lengths: Array, expected: Expected) -> float:
    """Of a pose: how much points disagree, and how far from the expected place it is."""
    away = np.linalg.norm(world_from_cam[:, 3] - expected.world_from_cam[:, 3]) / expected.reach
    return float((np.minimum(lengths, AGREES) ** 2).sum() + away**2)


def _pnp(points: Array, pixels: Array, camera: Camera, expected: Expected, seed: int):
    start = invert(expected.world_from_cam)
    rotation, translation = cv2.Rodrigues(start[:, :3])[0], start[:, 3:].copy()
    cv2.setRNGSeed(seed)
    found, rotation, translation, _ = cv2.solvePnPRansac(
        points, pixels, camera.matrix, camera.distortion, rotation, translation,
        useExtrinsicGuess=True, iterationsCount=100, reprojectionError=_RANSAC_PIXELS,
        confidence=0.999, flags=cv2.SOLVEPNP_ITERATIVE,
    )  # fmt: skip
    pose = invert(np.concatenate([cv2.Rodrigues(rotation)[0], translation], axis=1))
    return pose if found and np.isfinite(pose).all() else None
