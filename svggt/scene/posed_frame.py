"""One frame with its camera: where its points are, and what it sees of others' points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.geometry import Similarity
from svggt.prediction import FramePrediction
from svggt.refine.camera import Camera
from svggt.refine.correction import Correction
from svggt.scene.frame_poses import stretched

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class PosedFrame:
    """One frame with its camera.

    Attributes:
        prediction: what the model says of it.
        correction: by refinement; None where the camera head's camera is meant, or there is none.
        scale: that positions, depth and points are multiplied by.
    """

    prediction: FramePrediction
    correction: Correction | None
    scale: float = 1.0

    @property
    def world_from_cam(self) -> NDArray[np.float64]:
        """(3, 4); the world is the first frame's camera."""
        said = self.prediction if self.correction is None else self.correction
        return said.world_from_cam * [1.0, 1.0, 1.0, self.scale]

    @property
    def intrinsics(self) -> NDArray[np.float64]:
        """(3, 3), pixels of the frame's picture; the first pixel's centre is at 0."""
        intrinsics = self.prediction.intrinsics.copy()
        if self.correction is not None:
            height, width = self.prediction.depth.shape
            intrinsics[0, 0] = self.correction.focal * width
            intrinsics[1, 1] = self.correction.focal * height / self.correction.aspect
        return intrinsics

    @property
    def distortion(self) -> tuple[float, float]:
        """Radial k1 and k2 as OpenCV and COLMAP mean them: r is the undistorted ray's."""
        return (0.0 if self.correction is None else self.correction.radial), 0.0

    @property
    def depth(self) -> NDArray[np.float32]:
        """(H, W) z-depth in the world's scale."""
        depth = self.prediction.depth
        if self.correction is not None:
            depth = self.correction.correct(depth)
        return np.float32(self.scale) * depth

    @property
    def points(self) -> NDArray[np.float32]:
        """(H, W, 3) in the camera's coordinates; the point head's where it was run."""
        return np.float32(self.scale) * self._unscaled_points

    @property
    def _unscaled_points(self) -> NDArray[np.float32]:
        if self.prediction.head_points is None:
            if self.correction is None:
                return self.prediction.camera_points
            return self.correction.lift(self.prediction)[0]
        if self.correction is None:
            return self.prediction.head_points
        focal = self.prediction.intrinsics[0, 0] / self.prediction.depth.shape[1]
        stretch = stretched(focal, None, self.correction)
        return (self.prediction.head_points * stretch).astype(np.float32)

    def in_world(self, points: Array) -> Array:
        """Points (..., 3) of the camera's coordinates in the world."""
        return Similarity(1.0, self.world_from_cam).points(points)

    def project(self, points: Array) -> tuple[Array, Array]:
        """Pixels (..., 2) and depths (...,) of world points (..., 3); behind it: depth <= 0."""
        intrinsics, unit = self.intrinsics, Camera(1.0, np.zeros(2), self.distortion[0])
        bent, depth = unit.project(points, self.world_from_cam)
        return bent * np.diag(intrinsics)[:2] + intrinsics[:2, 2], depth
