"""From where all of a scene is in sight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from viser import transforms

from svggt.prediction import FramePrediction
from svggt.scene.camera_view import FIELD_OF_VIEW, CameraView
from svggt.scene.frame_poses import UP, FramePoses
from svggt.view_options import Cameras

Array = NDArray[Any]

_RISE = np.radians(25.0)  # above the horizon
_SHARE = 98  # percent of what is seen that must be in sight; far walls through a door need not
_MARGIN = 0.9  # of the view that it fills
_LEAST = 0.5  # of its reach: the eye does not go among it
_FRAMES = 200  # whose points are looked at
_TURNED_ABOUT = 0.3  # length of the mean way to look, of cameras that looked all around


def field_of(prediction: FramePrediction) -> tuple[float, float]:
    """Tangents of half a camera's angles, across and down."""
    height, width = prediction.depth.shape
    return (
        float(width / 2 / prediction.intrinsics[0, 0]),
        float(height / 2 / prediction.intrinsics[1, 1]),
    )


@dataclass(frozen=True, eq=False)
class Overview:
    """What a scene's cameras saw, and a side to look at it from.

    Attributes:
        seen: (M, 3) some of it, and the cameras themselves, in the level world.
        middle: (3,) of it.
        away: (3,) unit, from the middle to the eye.
    """

    seen: Array
    middle: Array
    away: Array

    @classmethod
    def of(
        cls, placings: Sequence[FramePoses], cameras: Cameras, level: transforms.SO3
    ) -> Overview:
        """From behind the cameras, a little above them.

        Args:
            placings: of all frames, at least one.
            cameras: which are shown.
            level: that the world is turned by.
        """
        turn = level.as_matrix()
        poses = turn @ np.stack([placing.pose(cameras) for placing in placings])
        few = placings[:: -(-len(placings) // _FRAMES)]
        seen = np.concatenate([placing.world(cameras) @ turn.T for placing in few])
        seen = np.concatenate([seen, poses[:, :, 3]])
        level_ahead = poses[:, :, 2] * (1 - np.abs(UP))  # without what is up or down
        ahead = level_ahead.mean(axis=0)
        if np.linalg.norm(ahead) < _TURNED_ABOUT:
            ahead = level_ahead[0]
        if np.linalg.norm(ahead) < _TURNED_ABOUT:  # it looked down: behind is below the picture
            ahead = -poses[0, :, 1] * (1 - np.abs(UP))
        ahead /= np.linalg.norm(ahead) + 1e-9
        away = np.sin(_RISE) * UP - np.cos(_RISE) * ahead
        ends = np.percentile(seen, [100 - _SHARE, _SHARE], axis=0)
        return cls(seen, ends.mean(axis=0), away / np.linalg.norm(away))

    @property
    def floor(self) -> float:
        """Height of what lies lowest, along the world's y, which points down."""
        return float(np.percentile(self.seen[:, 1], _SHARE))

    @property
    def reach(self) -> float:
        """Distance from the middle within which most of it lies."""
        away = np.linalg.norm(self.seen - self.middle, axis=1)
        return max(float(np.percentile(away, _SHARE)), 1e-6)

    @property
    def across(self) -> Array:
        """(3,) unit, level, from side to side as the eye sees it."""
        across = np.cross(self.away, UP)
        return across / np.linalg.norm(across)

    def seen_by(self, aspect: float) -> CameraView:
        """As a browser whose view is `aspect` times as wide as high sees most of it."""
        across = self.across
        axes = np.stack([across, np.cross(across, self.away), self.away])
        x, y, near = axes @ (self.seen - self.middle).T
        # From so far along the axis a point is just in sight; most are from the distance taken.
        tangent = np.tan(FIELD_OF_VIEW / 2) * _MARGIN
        needed = near + np.maximum(np.abs(x) / (tangent * aspect), np.abs(y) / tangent)
        distance = max(float(np.percentile(needed, _SHARE)), _LEAST * self.reach)
        return CameraView(self.middle + distance * self.away, self.middle, UP, FIELD_OF_VIEW)
