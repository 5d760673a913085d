"""Whether the whole picture moves as its cameras say, whatever corners were tracked.

Corners lie where texture is, and what has most of it wins the camera, silently. Here one point in
each textured cell of a uniform grid is followed from each picture into the next. It agrees if it
arrives where the camera's motion puts it for some depth near the one that is believed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from svggt.refine.camera import Camera
from svggt.refine.field import sample
from svggt.refine.tracking import Grey, follow

Array = NDArray[Any]

_GRID = (12, 16)  # cells, down and across
_TEXTURE = 2e-4  # of the smaller eigenvalue of the structure tensor
_BLOCK = 5  # pixels
_RIM = 8  # pixels
_AGREES = 1.5  # pixels
_DEPTH = 2.0  # factor that depth may be wrong by
_FEWEST = 20  # points that say anything
_NEWEST = 10  # frames that count


@dataclass(frozen=True)
class Flow:
    """What two pictures say, before the model speaks of the newer one.

    Attributes:
        start: (N, 2) pixels of the points that were found again.
        depth: (N,) theirs, but for the frame's scale.
        there: (N, 2) where they went.
        points: (M, 2) the newer picture's own; see `textured`.
    """

    start: Array
    depth: Array
    there: Array
    points: Array


@dataclass(frozen=True)
class FlowCheck:
    """Points of the newest picture, and how those of pictures before agreed.

    Attributes:
        pixels: (N, 2), one in each textured cell.
        depth: (N,) z-depth at them, but for the frame's scale.
        shares: of the points that agreed, the newest frames'.
    """

    pixels: Array = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    depth: Array = field(default_factory=lambda: np.zeros(0))
    shares: list[float] = field(default_factory=list)

    @property
    def agreement(self) -> float:
        """Share of the picture that moves as its cameras say, 0 to 1; 1 where nothing tells."""
        return float(np.mean(self.shares)) if self.shares else 1.0

    def follow(self, before: Grey, after: Grey) -> Flow:
        """Where the points went from their picture to the next one."""
        there, found = follow(before, after, self.pixels, self.pixels)
        return Flow(self.pixels[found], self.depth[found], there[found], textured(after))

    def advance(self, flow: Flow, scale: float, camera: Camera, motion: Array) -> FlowCheck:
        """Judges a motion by where the points went.

        Args:
            flow: of theirs; see `follow`.
            scale: that brings their depth into the motion's scale.
            camera: of both pictures.
            motion: before_from_after (3, 4).
        """
        if len(flow.start) < _FEWEST:
            return self
        near, far = (
            camera.carry(flow.start, depth, motion)[0]
            for depth in (scale * flow.depth / _DEPTH, scale * flow.depth * _DEPTH)
        )
        share = float((beside(flow.there, near, far) < _AGREES).mean())
        return FlowCheck(self.pixels, self.depth, [*self.shares, share][-_NEWEST:])

    def look(self, points: Array, depth: Array, size: tuple[int, int]) -> FlowCheck:
        """Takes the points of the newest picture.

        Args:
            points: (N, 2) pixels; see `textured`.
            depth: (H', W') of the same view, but for its scale.
            size: (height, width) of the picture.
        """
        return FlowCheck(points, sample(depth, points, size), self.shares)


def textured(grey: Grey) -> Array:
    """(N, 2) float32 pixels: the best corner of each cell of a picture (H, W) with texture."""
    quality = cv2.cornerMinEigenVal(grey, _BLOCK)
    quality[:_RIM] = quality[-_RIM:] = quality[:, :_RIM] = quality[:, -_RIM:] = 0
    rows, columns = _GRID
    height, width = grey.shape[0] // rows, grey.shape[1] // columns
    # A cell a row of the table; what is left over at two edges belongs to the rim.
    cells = quality[: rows * height, : columns * width].reshape(rows, height, columns, width)
    cells = cells.transpose(0, 2, 1, 3).reshape(rows * columns, height * width)
    best = cells.argmax(axis=1)
    cell = np.flatnonzero(cells.max(axis=1) > _TEXTURE)
    y = cell // columns * height + best[cell] // width
    x = cell % columns * width + best[cell] % width
    return np.stack([x, y], axis=1).astype(np.float32)


def beside(points: Array, start: Array, end: Array) -> Array:
    """(N,) distances of points (N, 2) from segments between (N, 2) and (N, 2)."""
    way = end - start
    along = ((points - start) * way).sum(1) / np.maximum((way**2).sum(1), 1e-9)
    return np.linalg.norm(points - start - along.clip(0, 1)[:, None] * way, axis=1)
