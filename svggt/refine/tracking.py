"""Corners found in one picture and followed into the next (OpenCV, one thread)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Grey = NDArray[np.uint8]

cv2.setNumThreads(1)  # the cores are the model's

_FLOW = {
    "winSize": (15, 15),
    "maxLevel": 4,
    "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.03),
}
_APART = 8  # pixels between corners
_CANDIDATES = 4  # for each corner that is wanted
_GRID = (6, 8)  # cells, down and across,
_SHARE = 2.0  # of which none has more than so many times its part of the corners
_SHRINK = 4  # of the copies whose shift is looked for
_RETURN = 1.0  # pixels that a corner may miss its start by, tracked there and back


@dataclass(frozen=True)
class Tracks:
    """Landmarks that are followed: (N,) ids, and (N, 2) float32 pixels where they are now."""

    ids: NDArray[Any]
    pixels: Array

    @classmethod
    def none(cls) -> Tracks:
        """Nothing is followed."""
        return cls(np.zeros(0, int), np.zeros((0, 2), np.float32))

    def __len__(self) -> int:
        return len(self.ids)

    def only(self, mask: NDArray[np.bool_]) -> Tracks:
        """Some of them."""
        return Tracks(self.ids[mask], self.pixels[mask])

    def sightings(self, size: tuple[int, int]) -> Sightings:
        """The same for a picture of any size; their own is of this (height, width)."""
        return Sightings(self.ids, ((self.pixels + 0.5) / size[::-1]).astype(np.float32))

    def and_new(self, other: Tracks) -> Tracks:
        """These, and those of others that are not among them."""
        new = ~np.isin(other.ids, self.ids)
        ids = np.concatenate([self.ids, other.ids[new]])
        return Tracks(ids, np.concatenate([self.pixels, other.pixels[new]]).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Sightings:
    """Landmarks that a frame sees.

    Attributes:
        ids: (N,) the landmarks', see `Landmarks`.
        places: (N, 2) float32, shares of the picture's width and height from its upper left corner.
    """

    ids: NDArray[Any]
    places: NDArray[np.float32]


def find_corners(grey: Grey, allowed: NDArray[np.bool_], taken: Array, count: int) -> Array:
    """New corners, spread over the picture, at least 8 pixels from each other and those taken.

    Args:
        grey: (H, W).
        allowed: (H, W), where corners may lie.
        taken: (N, 2) pixels (x, y) of corners already followed.
        count: at most.

    Returns:
        (M, 2) float32 pixels (x, y), best first.
    """
    # A disc around every corner that is followed keeps new ones from it.
    mask = allowed.astype(np.uint8)
    for x, y in taken.astype(int).tolist():
        cv2.circle(mask, (x, y), _APART, 0, -1)
    if count <= 0:
        return np.zeros((0, 2), np.float32)
    found = cv2.goodFeaturesToTrack(
        grey, _CANDIDATES * count, qualityLevel=0.001, minDistance=_APART, mask=mask
    )
    if found is None:
        return np.zeros((0, 2), np.float32)
    # What has the most texture must not have all of the corners: each cell has a share at most.
    found = found.reshape(-1, 2)
    cells, held = (
        _cell(found, grey.shape),
        np.bincount(_cell(taken, grey.shape), minlength=_GRID[0] * _GRID[1]),
    )
    quota = _SHARE * (len(taken) + count) / (_GRID[0] * _GRID[1])
    order = np.argsort(cells, kind="stable")  # cell by cell, the best of each first
    first = np.searchsorted(cells[order], cells[order])
    rank = np.empty(len(found), int)
    rank[order] = np.arange(len(found)) - first
    return found[rank + held[cells] < quota][:count]


def _cell(pixels: Array, size: tuple[int, ...]) -> NDArray[Any]:
    """(N,) number of the grid's cell that pixels (N, 2) lie in."""
    rows, columns = _GRID
    at = (pixels * (columns / size[1], rows / size[0])).astype(int)
    at = at.clip(0, (columns - 1, rows - 1))
    return at[:, 1] * columns + at[:, 0]


def follow(
    before: Grey, after: Grey, corners: Array, guess: Array, check: bool = True
) -> tuple[Array, Array]:
    """Follows corners by pyramidal Lucas-Kanade, forward and back.

    Args:
        before: (H, W), where the corners are.
        after: (H, W).
        corners: (N, 2) pixels (x, y).
        guess: (N, 2), where they may be found.
        check: follow them back too; half of the cost, and most of the certainty.

    Returns:
        (N, 2) where they are, and (N,) whether they were found and returned to their start.
    """
    if len(corners) == 0:
        return corners, np.zeros(0, bool)
    # There, and back again: what does not return to its start was not the same corner.
    start, there = corners.astype(np.float32), guess.astype(np.float32).copy()
    flags = cv2.OPTFLOW_USE_INITIAL_FLOW
    there, status, _ = cv2.calcOpticalFlowPyrLK(before, after, start, there, flags=flags, **_FLOW)
    height, width = after.shape
    found = (status[:, 0] == 1) & ((there >= 0) & (there < (width, height))).all(axis=1)
    if check:
        back, status, _ = cv2.calcOpticalFlowPyrLK(
            after, before, there, start.copy(), flags=flags, **_FLOW
        )
        found &= (status[:, 0] == 1) & (np.linalg.norm(back - start, axis=1) < _RETURN)
    return there, found


def shift(before: Grey, after: Grey) -> Array:
    """How far the whole picture moved, (2,) pixels: phase correlation of small copies."""
    size = (before.shape[1] // _SHRINK, before.shape[0] // _SHRINK)
    a, b = (cv2.resize(grey, size, interpolation=cv2.INTER_AREA) for grey in (before, after))
    window = cv2.createHanningWindow(size, cv2.CV_32F)
    moved, _ = cv2.phaseCorrelate(a.astype(np.float32), b.astype(np.float32), window)
    return _SHRINK * np.array(moved, np.float32)
