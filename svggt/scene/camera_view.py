"""Where a browser looks from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray
from viser import transforms

Array = NDArray[Any]

FIELD_OF_VIEW = float(np.radians(60.0))
"""Vertical, radians, of views that are not a camera's."""

_OUTSIDE = 1e6  # of every window


@dataclass(frozen=True, eq=False)
class CameraView:
    """A view as browsers hold it, in their level world.

    Attributes:
        position: (3,).
        target: (3,), that it turns about.
        up: (3,).
        fov: vertical, radians.
    """

    position: Array
    target: Array
    up: Array
    fov: float

    @classmethod
    def of(cls, camera: viser.CameraHandle) -> CameraView:
        """Where a browser looks now."""
        return cls(camera.position, camera.look_at, camera.up_direction, camera.fov)

    def turned(self, turn: transforms.SO3) -> CameraView:
        """The same view of a world that is turned."""
        return CameraView(turn @ self.position, turn @ self.target, turn @ self.up, self.fov)

    def towards(self, other: CameraView, share: float) -> CameraView:
        """A view on the way to another one: 0 is this one, 1 the other."""
        return CameraView(
            self.position + share * (other.position - self.position),
            self.target + share * (other.target - self.target),
            self.up + share * (other.up - self.up),
            self.fov + share * (other.fov - self.fov),
        )

    def in_window(self, points: Array, aspect: float) -> Array:
        """Where points (..., 3) are in a window `aspect` times as wide as high.

        Returns:
            (..., 2) from -1 at the left and the bottom to 1; what is behind the eye is far off.
        """
        ahead = self.target - self.position
        right = np.cross(ahead, self.up)
        axes = np.stack([right, np.cross(right, ahead), ahead])
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        x, y, z = np.moveaxis((points - self.position) @ axes.T, -1, 0)
        depth = np.tan(self.fov / 2) * np.maximum(z, 1e-9)
        at = np.stack([x / (depth * aspect), y / depth], axis=-1)
        return np.where(z[..., None] > 0, at, _OUTSIDE)

    def like(self, other: CameraView) -> bool:
        """Whether a visitor would say that it is the same."""
        return self.from_where(other.position) and bool(
            np.abs(self.target - other.target).max() < self._near
        )

    def from_where(self, position: Array) -> bool:
        """Whether it is from a position (3,), as near as a visitor sees it."""
        return bool(np.abs(self.position - position).max() < self._near)

    @property
    def _near(self) -> float:
        return 0.01 * float(np.linalg.norm(self.target - self.position))
