"""The camera that the tracking pictures are taken by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.geometry import invert

Array = NDArray[Any]

_WIDEST = 1.5  # tangent; distortion is not followed further out, where it folds the picture
_PASSES = 3  # of a fixed point; distortions of cameras are small


@dataclass(frozen=True)
class Camera:
    """The tracking picture's camera: square pixels, one radial distortion.

    A ray (x, y, 1) is seen at focal (1 + radial (x^2 + y^2)) (x, y) + centre.

    Attributes:
        focal: pixels.
        centre: (2,) principal point, pixels.
        radial: distortion; below 0 as a barrel.
    """

    focal: float
    centre: Array
    radial: float = 0.0

    @property
    def matrix(self) -> Array:
        """(3, 3) intrinsics."""
        f, (u, v) = self.focal, self.centre
        return np.array([[f, 0, u], [0, f, v], [0, 0, 1.0]])

    @property
    def distortion(self) -> Array:
        """(4,) as OpenCV has it."""
        return np.array([self.radial, 0, 0, 0])

    def project(self, points: Array, world_from_cam: Array) -> tuple[Array, Array]:
        """Pixels (..., 2) and depths (...,) of world points (..., 3); behind it: depth <= 0."""
        cam_from_world = invert(world_from_cam)
        seen = points @ cam_from_world[:, :3].T + cam_from_world[:, 3]
        depth = seen[..., 2]
        rays = seen[..., :2] / np.where(depth > 1e-6, depth, 1.0)[..., None]
        return self.radial_factor(rays) * rays + self.centre, depth

    def radial_factor(self, rays: Array) -> Array:
        """(..., 1) pixels from the centre that rays (x, y, 1) are seen at, over their (x, y)."""
        square = np.minimum(_squared(rays), _WIDEST**2)
        return self.focal * (1 + self.radial * square)

    def rays(self, pixels: Array) -> Array:
        """(N, 2) x and y of the rays (x, y, 1) that pixels (N, 2) see."""
        return undistort((pixels - self.centre) / self.focal, self.radial)

    def lift(self, pixels: Array, depth: Array, world_from_cam: Array) -> Array:
        """World points (N, 3) of pixels (N, 2) at z-depths (N,)."""
        rays = np.concatenate([self.rays(pixels), np.ones((len(pixels), 1))], axis=1)
        return (rays * depth[:, None]) @ world_from_cam[:, :3].T + world_from_cam[:, 3]

    def carry(self, pixels: Array, depth: Array, cam_from_other: Array) -> tuple[Array, Array]:
        """Where points at pixels (N, 2) and z-depths (N,) are seen by the same camera elsewhere.

        Returns:
            Pixels (N, 2) and depths (N,) there; see `project`.
        """
        return self.project(self.lift(pixels, depth, np.eye(3, 4)), cam_from_other)


def undistort(seen: Array, radial: float) -> Array:
    """Rays (..., 2) that are seen at (..., 2) in focal lengths from the centre; see `Camera`."""
    rays = seen
    for _ in range(_PASSES):
        rays = seen / (1 + radial * _squared(rays))
    return rays


def _squared(rays: Array) -> Array:
    """(..., 1) of the lengths of (..., 2); sums along so short an axis are slow in numpy."""
    x, y = rays[..., :1], rays[..., 1:]
    return x * x + y * y
