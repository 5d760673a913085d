"""What refinement says of a frame that the model has predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from svggt import geometry
from svggt.prediction import FramePrediction
from svggt.refine.camera import undistort
from svggt.refine.field import correct, still

Array = NDArray[Any]

Status = Literal["tracked", "weak", "recovered", "lost"]


@dataclass(frozen=True, eq=False)
class Correction:
    """A frame's refined camera and the correction of its depth; a later one replaces it.

    Attributes:
        frame: number in the stream.
        keyframe: number of the keyframe that it hangs on; its own where it is one.
        segment: number of the trajectory segment; its frames are tied to each other by what was
            seen.
        world_from_cam: (3, 4) float64; the world is the first frame's camera, in the scale of
            the first frame's depth.
        focal: focal length over the picture's width, one for the whole stream,
        radial: and its distortion; see `Camera`.
        aspect: height over width of the picture where pixels are square.
        log_scale: what the logarithm of the frame's depth must be raised by to fit the world,
        field: and what besides, smooth over the picture: (rows, columns) float32 at cell
            centres; None where too few points say anything.
        moving: (rows, columns) bool, cells where something moves by itself; None if none does.
        status: "weak" has few inliers, or much of the picture moves otherwise; "lost" stands
            where the camera head's relative motion puts it and begins a segment; "recovered"
            merges it to an older one.
        settled: whether the field stays; the scale goes on to follow the world's.
        inlier_share: share of the tracked points that agree, 0 to 1.
        revision: grows with every correction of the stream.
        agreement: share of the picture that moves as the cameras say, over some frames, 0 to 1.
        closes: number of an old frame that this one was recognised in: a loop was closed.
    """

    frame: int
    keyframe: int
    segment: int
    world_from_cam: NDArray[np.float64]
    focal: float
    radial: float
    aspect: float
    log_scale: float
    field: NDArray[np.float32] | None
    moving: NDArray[np.bool_] | None
    status: Status
    settled: bool
    inlier_share: float
    revision: int
    agreement: float = 1.0
    closes: int | None = None

    def correct(self, depth: Array) -> NDArray[np.float32]:
        """A depth map (H, W) in the world's scale, bent to what was tracked."""
        return correct(depth, self.log_scale, self.field)

    def lift(self, prediction: FramePrediction) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Points (H, W, 3) in the camera's frame, and (H, W) whether they hold still."""
        depth = self.correct(prediction.depth)
        height, width = depth.shape
        intrinsics = prediction.intrinsics.copy()
        intrinsics[0, 0], intrinsics[1, 1] = self.focal * width, self.focal * height / self.aspect
        points = geometry.unproject(depth, intrinsics)
        rays = undistort(points[..., :2] / depth[..., None], self.radial)
        points[..., :2] = rays * depth[..., None]
        return points.astype(np.float32), still(self.moving, depth.shape)
