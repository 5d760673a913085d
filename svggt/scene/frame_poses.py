"""Where a frame stands: by the camera head, and by refinement."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.prediction import FramePrediction
from svggt.refine.correction import Correction
from svggt.scene.sky import sky_of
from svggt.view_options import Cameras

Array = NDArray[Any]
Point = tuple[float, float, float]

UP = np.array([0.0, -1.0, 0.0])
"""OpenCV's cameras: y points down."""

FARTHER = 4.0
"""Times a frame's median depth: what is farther is far."""

_SAMPLES = 12  # points in a row of what a frame saw


@dataclass
class FramePoses:
    """Both cameras of a frame, so that either can be shown.

    Attributes:
        head: world_from_cam (3, 4).
        focal: the camera head's focal length over the picture's width.
        depth: median of the predicted depth.
        seen: (M, 3) a few of its points as the model says them, in the camera's coordinates,
            neither sky nor far.
        sent: the correction that its points were made by.
        correction: the newest.
    """

    head: Array
    focal: float
    depth: float
    seen: Array
    sent: Correction | None
    correction: Correction | None

    @classmethod
    def of(cls, prediction: FramePrediction, correction: Correction | None) -> FramePoses:
        """Of a new frame, whose points are made by its first correction."""
        focal = prediction.intrinsics[0, 0] / prediction.depth.shape[1]
        depth = float(np.median(prediction.depth))
        step = max(1, prediction.depth.shape[1] // _SAMPLES)
        points = prediction.camera_points[step // 2 :: step, step // 2 :: step].reshape(-1, 3)
        hidden = sky_of(prediction)[step // 2 :: step, step // 2 :: step].reshape(-1)
        near = points[:, 2] < FARTHER * depth
        seen = points[near & ~hidden] if (near & ~hidden).any() else points[near]
        return cls(prediction.world_from_cam, float(focal), depth, seen, correction, correction)

    def pose(self, cameras: Cameras) -> Array:
        """World_from_cam of the cameras wanted, the head's where nothing is refined."""
        if cameras == "head" or self.correction is None:
            return self.head
        return self.correction.world_from_cam

    def world(self, cameras: Cameras) -> Array:
        """(M, 3) what it saw, in the world of the cameras wanted."""
        pose, stretch = self.pose(cameras), stretched(self.focal, None, self._shown(cameras))
        return stretch * self.seen @ pose[:, :3].T + pose[:, 3]

    def stretch(self, cameras: Cameras) -> Array:
        """(3,) what its points are multiplied by: depth's scale, and another focal length."""
        return stretched(self.focal, self.sent, self._shown(cameras))

    def now(self) -> FramePoses:
        """The same for points that are made by the newest correction."""
        return replace(self, sent=self.correction)

    def point_at(self, prediction: FramePrediction, u: int, v: int, cameras: Cameras) -> Point:
        """A pixel's point in the world; column and row are kept within the picture."""
        height, width = prediction.depth.shape
        row, column = min(max(v, 0), height - 1), min(max(u, 0), width - 1)
        now = self.now()
        points = prediction.camera_points
        if now.sent is not None:
            points, _ = now.sent.lift(prediction)
        pose = now.pose(cameras)
        point = pose[:, :3] @ (now.stretch(cameras) * points[row, column]) + pose[:, 3]
        x, y, z = point.tolist()
        return x, y, z

    def _shown(self, cameras: Cameras) -> Correction | None:
        """What cameras say beside the model; None: nothing."""
        return None if cameras == "head" else self.correction


def stretched(focal: float, made: Correction | None, shown: Correction | None) -> Array:
    """(3,) what a frame's points are multiplied by, made by one correction, to be as another says.

    Args:
        focal: the camera head's focal length over the picture's width.
        made: None: as the model says them.
        shown: likewise.
    """
    made_focal, shown_focal = (focal if c is None else c.focal for c in (made, shown))
    made_log, shown_log = (0.0 if c is None else c.log_scale for c in (made, shown))
    across = made_focal / shown_focal
    return np.exp(shown_log - made_log) * np.array([across, across, 1.0])
