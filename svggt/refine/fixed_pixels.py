"""What stands still in the picture while the rest of it moves: a hood, a gripper, a logo, bars.

Corners on it say that the camera stands. From keyframe to keyframe a pixel that stayed as it was is
held against where the cameras say that it came from: along its ray, from near to infinitely far.
Where a camera goes straight on, what is far stays as well, and nothing is said until it turns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from svggt.geometry import invert
from svggt.refine.camera import Camera
from svggt.refine.field import CELLS, cells, grid_rows, sample, upsample
from svggt.refine.flow_check import beside
from svggt.refine.tracking import Grey

Array = NDArray[Any]

_SAME = 6  # grey levels that noise and compression change a pixel by
_OTHER = 12  # grey levels that another pixel differs by, at the least
_MOVED = 4.0  # pixels, the least that a motion shows by
_NEAR, _FAR = 0.5, 1e4  # times the depth that is believed
_TIMES = 3  # keyframes in a row
_PROVEN = 0.03  # of a connected part that stayed, the least
_LEAST = 0.002  # of the picture: a smaller part is chance
_RIM = 9  # pixels around it, where corners still see its edge
_MOST = 255


@dataclass(frozen=True)
class FixedPixels:
    """How often in a row each pixel was found as it had been at the keyframe before.

    Attributes:
        stayed: (H, W) keyframes for which it was the same; (0, 0) before the first.
        proven: (H, W) those of them at which the scene's would have become another.
        mask: (H, W) pixels that no camera's motion moves, and a rim around them.
    """

    stayed: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    proven: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    mask: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((1, 1), bool))

    def advance(
        self, before: Grey, after: Grey, depth: Array, camera: Camera, motion: Array
    ) -> FixedPixels:
        """Takes in the next keyframe.

        Args:
            before: (H, W) the last keyframe's picture.
            after: (H, W) the new one's.
            depth: (h, w) z-depth of the new one's view, in the motion's scale.
            camera: of both.
            motion: before_from_after (3, 4).
        """
        was, now = (np.asarray(cv2.GaussianBlur(grey, (0, 0), 1.0)) for grey in (before, after))
        same = cv2.absdiff(was, now) < _SAME
        shows = _shows(was, now, depth, camera, motion)
        stayed = _counted(self.stayed, same, same)
        proven = _counted(self.proven, same, same & shows)
        return FixedPixels(stayed, proven, _fixed(stayed, proven))

    def at(self, pixels: Array) -> NDArray[np.bool_]:
        """(N,) whether pixels (N, 2) of such a picture are fixed."""
        return sample(self.mask, pixels + 0.5, self.mask.shape) > 0

    def among(self, moving: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """Cells of the grid that move, and those that are fixed; None if there are none."""
        if not self.mask.any():
            return moving
        size = CELLS, grid_rows(self.mask.shape)
        share = cv2.resize(self.mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        fixed = share > 0.5
        return fixed if moving is None else fixed | moving


def _fixed(stayed: NDArray[np.uint8], proven: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The mask that counts make."""
    same = stayed >= _TIMES
    count, found = cv2.connectedComponents(same.astype(np.uint8))
    parts = np.asarray(found, int)
    # A bar has an inside, which shows nothing; its edge tells what it is.
    whole = np.bincount(parts[same], minlength=count)
    sure = np.bincount(parts[proven >= _TIMES], minlength=count)
    large = whole > _LEAST * same.size
    fixed = (large & (sure > _PROVEN * whole))[parts].astype(np.uint8)
    return cv2.dilate(fixed, np.ones((_RIM, _RIM), np.uint8)) > 0


def _counted(
    before: NDArray[np.uint8], stays: NDArray[np.bool_], more: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Counts (H, W), one more where there is more, none where it does not stay."""
    if before.shape != stays.shape:
        before = np.zeros(stays.shape, np.uint8)
    return np.where(stays, np.minimum(before, _MOST - 1) + more, 0).astype(np.uint8)


def _shows(
    before: Array, after: Array, depth: Array, camera: Camera, motion: Array
) -> NDArray[np.bool_]:
    """(H, W) pixels that a scene would have changed: at any depth, by enough, into another grey."""
    size = (after.shape[0], after.shape[1])
    centres = cells(size)
    believed = sample(depth, centres, size)
    near, far = (
        camera.carry(centres, times * believed, invert(motion))[0] for times in (_NEAR, _FAR)
    )
    apart = beside(centres, near, far).reshape(-1, CELLS).astype(np.float32)
    shows = upsample(apart, size) > _MOVED
    y, x = np.indices(size, np.float32)
    for place in (near, far):
        moved = (place - centres).reshape(-1, CELLS, 2).astype(np.float32)
        at = x + upsample(moved[..., 0], size), y + upsample(moved[..., 1], size)
        came = cv2.remap(before, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        inside = (at[0] >= 0) & (at[0] < size[1]) & (at[1] >= 0) & (at[1] < size[0])
        shows &= inside & (cv2.absdiff(came, after) > _OTHER)
    return shows
