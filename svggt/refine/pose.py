"""A camera's pose from known points and where they are seen (OpenCV)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from svggt.geometry import invert

Array = NDArray[Any]

MIN_INLIERS = 12
_PIXELS = 3.0  # reprojection error of an inlier


@dataclass(frozen=True)
class Camera:
    """The tracking picture's camera: square pixels, no distortion."""

    focal: float
    centre: Array

    @property
    def matrix(self) -> Array:
        """(3, 3) intrinsics."""
        f, (u, v) = self.focal, self.centre
        return np.array([[f, 0, u], [0, f, v], [0, 0, 1.0]])

    def project(self, points: Array, world_from_cam: Array) -> tuple[Array, Array]:
        """Pixels (N, 2) and depths (N,) of world points (N, 3); behind the camera: depth <= 0."""
        cam_from_world = invert(world_from_cam)
        seen = points @ cam_from_world[:, :3].T + cam_from_world[:, 3]
        depth = seen[:, 2]
        safe = np.where(depth > 1e-6, depth, 1.0)[:, None]
        return self.focal * seen[:, :2] / safe + self.centre, depth

    def lift(self, pixels: Array, depth: Array) -> Array:
        """Points (N, 3) in the camera's frame of pixels (N, 2) at z-depths (N,)."""
        rays = np.concatenate([(pixels - self.centre) / self.focal, np.ones((len(pixels), 1))], 1)
        return rays * depth[:, None]


@dataclass(frozen=True)
class Located:
    """A pose, and which points agree with it."""

    world_from_cam: Array
    inliers: NDArray[np.bool_]


def locate(points: Array, pixels: Array, camera: Camera, guess: Array, seed: int) -> Located | None:
    """PnP with RANSAC, refined on its inliers; None if too few agree.

    Args:
        points: (N, 3) in the world.
        pixels: (N, 2) where they are seen.
        camera: that sees them.
        guess: (3, 4) world_from_cam to begin with.
        seed: of the sampling.
    """
    if len(points) < MIN_INLIERS:
        return None
    start = invert(guess)
    rotation, translation = cv2.Rodrigues(start[:, :3])[0], start[:, 3:].copy()
    pixels = pixels.astype(np.float64)
    cv2.setRNGSeed(seed)
    found, rotation, translation, inliers = cv2.solvePnPRansac(
        points, pixels, camera.matrix, None, rotation, translation,
        useExtrinsicGuess=True, iterationsCount=100, reprojectionError=_PIXELS, confidence=0.999,
        flags=cv2.SOLVEPNP_ITERATIVE,
    )  # fmt: skip
    if not found or inliers is None or len(inliers) < MIN_INLIERS:
        return None
    chosen = np.asarray(inliers, int)[:, 0]
    rotation, translation = cv2.solvePnPRefineLM(
        points[chosen], pixels[chosen], camera.matrix, None, rotation, translation
    )
    pose = invert(np.concatenate([cv2.Rodrigues(rotation)[0], translation], axis=1))
    if not np.isfinite(pose).all():
        return None
    mask = np.zeros(len(points), bool)
    mask[chosen] = True
    return Located(pose, mask)
