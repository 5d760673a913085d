"""What moves by itself: points that were followed well and still do not fit the camera's motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from svggt.refine.field import CELLS, grid_rows
from svggt.refine.tracking import Grey, follow

Array = NDArray[Any]

_AGE = 30  # frames for which a point stays suspected
_MOST = 80
_REACH = 1.5  # cells around a point
_LEAST = 0.15  # of suspects about a cell: less is chance


@dataclass(frozen=True)
class DynamicPoints:
    """Points (N, 2) float32 pixels, and (N,) for how many frames they have been suspected."""

    pixels: Array
    ages: Array

    @classmethod
    def none(cls) -> DynamicPoints:
        """Nothing moves."""
        return cls(np.zeros((0, 2), np.float32), np.zeros(0, int))

    def advance(self, before: Grey, after: Grey, rejected: Array) -> DynamicPoints:
        """Follows them into the next picture, where some (M, 2) points were rejected anew."""
        # New suspects first: the oldest go where there are too many.
        pixels, found = follow(before, after, self.pixels, self.pixels, check=False)
        found &= self.ages < _AGE
        pixels = np.concatenate([rejected, pixels[found]]).astype(np.float32)
        ages = np.concatenate([np.zeros(len(rejected), int), self.ages[found] + 1])
        return DynamicPoints(pixels[:_MOST], ages[:_MOST])

    def moving(self, still: Array, size: tuple[int, int]) -> NDArray[np.bool_] | None:
        """Cells of the grid where they outnumber the (M, 2) points that hold still.

        None if there are none.
        """
        # Densities, not counts: a few wrong corners on a wall full of right ones are chance.
        suspected = _density(self.pixels, size)
        moving = (suspected > _LEAST) & (suspected > _density(still, size))
        return moving if moving.any() else None


def _density(pixels: Array, size: tuple[int, int]) -> Array:
    rows = grid_rows(size)
    at = (pixels * (CELLS / size[1], rows / size[0])).astype(int).clip(0, (CELLS - 1, rows - 1))
    count = np.bincount(at[:, 1] * CELLS + at[:, 0], minlength=rows * CELLS)
    return cv2.GaussianBlur(count.reshape(rows, CELLS).astype(np.float32), (0, 0), _REACH)
