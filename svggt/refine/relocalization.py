"""The newest keyframes recognised by what they look like (SIFT), where tracking has to leap.

Each is remembered with its picture and its corrected depth, so that any point of it can be lifted:
what is matched need not have been tracked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from svggt.refine.field import sample
from svggt.refine.tracking import Grey

Array = NDArray[Any]

NEWEST = 3
"""Keyframes that a leap is compared with."""

_FEATURES = 800
_CONTRAST = 0.02
_RATIO = 0.8  # of the best match to the second best (Lowe 2004, section 7.1)


@dataclass
class Features:
    """Points of a picture, described: (N, 2) pixels and (N, 128) descriptors."""

    pixels: Array
    descriptors: Array

    @classmethod
    def of(cls, grey: Grey, count: int = _FEATURES) -> Features:
        """Finds and describes so many at most."""
        sift = cv2.SIFT.create(count, contrastThreshold=_CONTRAST)
        points, descriptors = sift.detectAndCompute(grey, None)
        if descriptors is None:
            return cls(np.zeros((0, 2)), np.zeros((0, 128), np.float32))
        return cls(np.array([point.pt for point in points]), descriptors)


@dataclass
class Remembered:
    """A keyframe that can be recognised.

    Attributes:
        keyframe: its index.
        grey: its tracking picture.
        depth: (H, W) float16, its depth in the world's scale.
    """

    keyframe: int
    grey: Grey
    depth: NDArray[np.float16]
    _features: Features | None = field(default=None, repr=False)

    def match(self, features: Features) -> tuple[Array, Array, Array]:
        """Points of this keyframe found in another picture.

        Returns:
            (M, 2) their pixels here, (M, 2) there, and (M,) their z-depths here.
        """
        self._features = self._features or Features.of(self.grey)
        ours = self._features
        if len(features.pixels) < 2 or not len(ours.pixels):
            return np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0)
        mine, its = clear_matches(ours.descriptors, features.descriptors)
        here, there = ours.pixels[mine], features.pixels[its]
        _, first = np.unique(there, axis=0, return_index=True)  # one of each
        here, there = here[first], there[first]
        return here, there, sample(self.depth, here, self.grey.shape)


def clear_matches(ours: Array, theirs: Array) -> tuple[Array, Array]:
    """Indices (M,) of each of our descriptors (N, 128) that has a clear match, and of that.

    Args:
        ours: float32.
        theirs: float32, at least two.
    """
    # Lowe's ratio: a match must be clearly better than the second best.
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(ours, theirs, k=2)
    good = [a for a, b in pairs if a.distance < _RATIO * b.distance]
    mine, its = ([getattr(m, name) for m in good] for name in ("queryIdx", "trainIdx"))
    return np.array(mine, int), np.array(its, int)


def mutual_matches(ours: Array, theirs: Array) -> tuple[Array, Array]:
    """Indices (M,) of descriptors (N, 128) that are each other's nearest, and clearly so."""
    if min(len(ours), len(theirs)) < 2:
        return np.zeros(0, int), np.zeros(0, int)
    ours, theirs = ours.astype(np.float32), theirs.astype(np.float32)
    back = cv2.BFMatcher(cv2.NORM_L2).knnMatch(theirs, ours, k=1)
    mine, its = clear_matches(ours, theirs)
    mutual = np.array([best.trainIdx for (best,) in back])[its] == mine
    return mine[mutual], its[mutual]
