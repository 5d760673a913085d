"""How many other views confirm a point: they see a surface where it is.

As multi-view stereo filters depth maps by each other (Schoenberger et al., "Pixelwise View
Selection for Unstructured Multi-View Stereo", ECCV 2016, section 6), by depth alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.scene.posed_frame import PosedFrame
from svggt.view_options import MOST_CONFIRMED

Array = NDArray[Any]

_AROUND = (-6, -3, 3, 6)  # counted from a frame: far enough to see its points from elsewhere
FURTHEST = _AROUND[-1]
"""Frames on either side of one that look at its points."""

_NEAR = 0.08  # log depth
_WITNESS = 1 / 3  # of what a view sees it must confirm; else its camera is wrong, not the points


def around(number: int) -> list[int]:
    """Frames that look at a frame's points, from 0 on; the last of them may not be there."""
    return [number + offset for offset in _AROUND if number + offset >= 0]


def confirmations(points: Array, views: Sequence[PosedFrame]) -> NDArray[np.int8]:
    """How many of the views that see a point confirm it.

    Args:
        points: (..., 3) in the world.
        views: other frames, in the same world.

    Returns:
        (...,) 0 to `MOST_CONFIRMED`, which also stands where all confirm it that see it at all: of
        what nobody has looked at yet. What all contradict has 0.
    """
    seen = np.zeros(points.shape[:-1], np.int8)
    agreed = np.zeros_like(seen)
    for view in views:
        inside, near = _look(points, view)
        if near.sum() >= _WITNESS * inside.sum():
            seen += inside
            agreed += near
    return np.where(agreed >= seen, MOST_CONFIRMED, np.minimum(agreed, MOST_CONFIRMED)).astype(
        np.int8
    )


def _look(points: Array, view: PosedFrame) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Points that lie in a view's picture, and those of them that lie on what it sees there."""
    depth = view.depth
    pixels, ahead = view.project(points)
    column, row = np.moveaxis(np.rint(pixels), -1, 0)
    height, width = depth.shape
    inside = (ahead > 1e-6) & (row >= 0) & (row < height) & (column >= 0) & (column < width)
    there = depth[row[inside].astype(int), column[inside].astype(int)]
    near = np.zeros_like(inside)
    near[inside] = np.abs(np.log(ahead[inside] / there)) < _NEAR
    return inside, near
