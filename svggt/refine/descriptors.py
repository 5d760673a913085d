"""Points found again by what they look like, where tracking had to leap too far (SIFT)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from svggt.refine.tracking import find_corners

Array = NDArray[Any]
Grey = NDArray[np.uint8]

_SIZE = 10.0  # pixels across a described corner
_RATIO = 0.8  # of the best match to the second best (Lowe 2004, section 7.1)
_CANDIDATES = 800


def match(before: Grey, pixels: Array, after: Grey) -> tuple[Array, Array]:
    """Finds corners of one picture in another by SIFT.

    Upright and of one size: neighbours in a stream hardly roll or zoom, and what is given up is
    won in matches.

    Args:
        before: (H, W), where the corners are.
        pixels: (N, 2) corners (x, y).
        after: (H, W).

    Returns:
        (M, 2) float32 pixels in `after`, and (M,) which corners they are.
    """
    everywhere = np.ones(after.shape, bool)
    candidates = find_corners(after, everywhere, np.zeros((0, 2)), _CANDIDATES)
    ours, described = _describe(before, pixels)
    theirs, offered = _describe(after, candidates)
    if len(ours) == 0 or len(theirs) < 2:
        return np.zeros((0, 2), np.float32), np.zeros(0, int)
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(described, offered, k=2)
    good = [a for a, b in pairs if a.distance < _RATIO * b.distance]
    there = np.array([candidates[theirs[m.trainIdx]] for m in good], np.float32).reshape(-1, 2)
    return there, np.array([ours[m.queryIdx] for m in good], int)


def _describe(grey: Grey, pixels: Array) -> tuple[Array, Array]:
    """Which corners could be described, and (N, 128) their descriptors."""
    corners = [cv2.KeyPoint(x, y, _SIZE, 0, 0, 0, i) for i, (x, y) in enumerate(pixels.tolist())]
    corners, described = cv2.SIFT.create().compute(grey, corners)
    return np.array([corner.class_id for corner in corners], int), described
