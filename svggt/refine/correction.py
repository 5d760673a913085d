"""What refinement says of a frame that the model has predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Status = Literal["tracked", "weak", "lost"]


@dataclass(frozen=True, eq=False)
class Correction:
    """A frame's refined camera and the scale of its depth; a later one replaces it.

    Attributes:
        frame: number in the stream.
        keyframe: number of the keyframe that it hangs on; its own where it is one.
        world_from_cam: (3, 4) float64; the world is the first frame's camera, in the scale of
            the first frame's depth.
        focal: focal length over the picture's width, one for the whole stream.
        log_scale: what the logarithm of the frame's depth must be raised by to fit the world.
        status: "weak" has few inliers; "lost" stands where the camera head's relative motion
            puts it.
        inlier_share: of the tracked points, 0 to 1.
        revision: grows with every correction of the stream.
    """

    frame: int
    keyframe: int
    world_from_cam: NDArray[np.float64]
    focal: float
    log_scale: float
    status: Status
    inlier_share: float
    revision: int
