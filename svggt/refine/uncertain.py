"""Points of the world whose depths are known less well than the rays they lie on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.refine.camera import Camera

Array = NDArray[Any]

_INFINITY = -1.0  # so much nearer is as far as can be
_NEAREST = 30.0
_AHEAD = 1e-6  # in the world's scale
_WORST = 0.5  # standard deviations that a wrong distance counts as, at most


@dataclass(frozen=True)
class Projection:
    """What a camera sees of points at certain distances; where they lie ahead of it.

    Attributes:
        pixels: (N, 2) where.
        gain: (N, 2) pixels that one more of `offset` adds to them: along the epipolar lines.
        rays: (N, 2) x and y of the rays (x, y, 1) in the camera's axes, undistorted.
        inverse: (N,) inverse z-depths.
        ahead: (N,) bool, whether a point lies before the camera; elsewhere the rest is void.
    """

    pixels: Array
    gain: Array
    rays: Array
    inverse: Array
    ahead: NDArray[np.bool_]


@dataclass(frozen=True)
class Uncertain:
    """Points of the world, with priors on their distances from where they were first seen.

    How much nearer a point is than said is a number of its own, its inverse-depth `offset`: what
    is to be added to its inverse distance, as a share of it; -1 is infinitely far. Pixels are
    almost linear in it (Civera, Davison and Montiel 2008). A wrong distance is an outlier of what
    is said, not of what is seen: however wrong, it counts as half a standard deviation at most,
    and the point goes on to hold the camera by its epipolar line.

    Attributes:
        positions: (N, 3).
        origins: (N, 3) where they were first seen from.
        spreads: (N,) standard deviation of the log of their distance from there; towards
            infinity of the share of their inverse distance, so that it is a finite way there.
    """

    positions: Array
    origins: Array
    spreads: Array

    def view(self, offset: Array, camera: Camera, world_from_cam: Array) -> Projection:
        """The points (N,) nearer than said, seen by a camera from its pose (3, 4)."""
        turn, centre = world_from_cam[:, :3], world_from_cam[:, 3]
        way = (self.origins - centre) @ turn
        # In units that grow with the distance, so that infinity has a place.
        seen = (self.positions - self.origins) @ turn + (1 + offset)[:, None] * way
        ahead = seen[:, 2] > _AHEAD
        depth = np.where(ahead, seen[:, 2], _AHEAD)[:, None]
        rays = seen[:, :2] / depth
        bent = camera.radial_factor(rays)
        gain = bent * (way[:, :2] - rays * way[:, 2:]) / depth
        return Projection(
            bent * rays + camera.centre, gain, rays, (1 + offset) / depth[:, 0], ahead
        )

    def robust_cost(self, offset: Array) -> Array:
        """(N,) how much what is said disagrees, in squared deviations (Geman-McClure)."""
        # A square near 0 that levels off at _WORST squared: however wrong, the price is bounded.
        square = (_off(offset) / self.spreads) ** 2
        return square / (1 + square / _WORST**2)

    def weight(self, offset: Array) -> Array:
        """(N,) weights of `offset` squared whose slope is that of its surprise."""
        positive = np.maximum(offset, 1e-9)
        slope = np.where(offset > 0, np.log1p(positive) / (positive * (1 + positive)), 1.0)
        square = (_off(offset) / self.spreads) ** 2
        return slope / (self.spreads * (1 + square / _WORST**2)) ** 2

    def approach(
        self, offset: Array, pixels: Array, camera: Camera, world_from_cam: Array, rounds: int
    ) -> Array:
        """(N,) how much nearer they are for a camera whose pose is held (Gauss-Newton).

        Args:
            offset: (N,) to begin from.
            pixels: (N, 2) where they are seen.
            camera: that sees them.
            world_from_cam: (3, 4) its pose.
            rounds: steps.
        """
        # One unknown a point: a step along its epipolar line towards where it is seen, against the
        # prior's pull back to what the model said.
        for _ in range(rounds):
            view, weight = self.view(offset, camera, world_from_cam), self.weight(offset)
            along = (view.gain * (pixels - view.pixels)).sum(axis=1) - weight * offset
            step = along / ((view.gain**2).sum(axis=1) + weight)
            # What the camera has passed is farther than said, if it is seen at all.
            offset = np.where(view.ahead, np.clip(offset + step, _INFINITY, _NEAREST), _INFINITY)
        return offset


def _off(offset: Array) -> Array:
    """The change of log distance where points are nearer; of inverse distance where farther."""
    return np.where(offset > 0, np.log1p(np.maximum(offset, 0)), offset)
