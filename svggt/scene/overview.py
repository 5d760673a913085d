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
_SHARE = 92  # percent of what is seen that must be in sight; far walls through a door need not
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
    """A ball that holds most of what a scene's cameras saw, and a side to look at it from.

    Attributes:
        middle: (3,) in the level world.
        radius: of it.
        away: (3,) unit, from the middle to the eye.
    """

    middle: Array
    radius: float
    away: Array

    @classmethod
    def of(
        cls,
        placings: Sequence[FramePoses],
        cameras: Cameras,
        field: tuple[float, float],
        level: transforms.SO3,
    ) -> Overview:
        """From behind the cameras, a little above them.

        Args:
            placings: of all frames, at least one.
            cameras: which are shown.
            field: of one of them; see `field_of`.
            level: that the world is turned by.
        """
        turn = level.as_matrix()
        poses = turn @ np.stack([placing.pose(cameras) for placing in placings])
        reach = np.array([placing.distance(cameras) for placing in placings])
        # Where each stood, and the corners of what it saw at its median depth.
        corners = np.array([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)]) * [*field, 1.0]
        ends = np.einsum("nij,cj->nci", poses[:, :, :3], corners) * reach[:, None, None]
        seen = np.concatenate([poses[:, :, 3], (poses[:, None, :, 3] + ends).reshape(-1, 3)])
        middle = np.percentile(seen, [100 - _SHARE, _SHARE], axis=0).mean(axis=0)
        radius = float(np.percentile(np.linalg.norm(seen - middle, axis=1), _SHARE))
        ahead = poses[:, :, 2].mean(axis=0)
        if np.linalg.norm(ahead) < _TURNED_ABOUT:
            ahead = poses[0, :, 2]
        ahead = ahead - (ahead @ UP) * UP
        ahead /= np.linalg.norm(ahead) + 1e-9
        away = np.sin(_RISE) * UP - np.cos(_RISE) * ahead
        return cls(middle, max(radius, 1e-6), away / np.linalg.norm(away))

    def seen_by(self, aspect: float) -> CameraView:
        """As a browser whose view is `aspect` times as wide as high sees it whole."""
        across = np.arctan(np.tan(FIELD_OF_VIEW / 2) * aspect)
        half = min(FIELD_OF_VIEW / 2, across)
        eye = self.middle + self.radius / np.sin(half) * self.away
        return CameraView(eye, self.middle, UP, FIELD_OF_VIEW)
