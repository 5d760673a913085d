"""A smooth correction of a depth map, from the depths of tracked points.

Log ratios of tracked to predicted depth are a Gaussian process over the picture: near points
that were seen from far apart it follows them, elsewhere it returns to their median.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

CELLS = 18
"""Of the grid, across the picture's width."""

_SCALES = ((0.15, 0.3), (0.12, 0.08))  # (log depth, share of the width): a map's bends
_NOISE = 0.05  # of a log ratio, besides triangulation's own
_OUTLIER = 3.0  # robust spreads from the median
_LEAST, _MOST = 12, 200


def fit_field(
    pixels: Array, ratios: Array, spreads: Array, size: tuple[int, int]
) -> tuple[float, NDArray[np.float32] | None]:
    """Log scale and field of one depth map.

    Args:
        pixels: (N, 2) of the tracked points (x, y).
        ratios: (N,) log of tracked over predicted depth.
        spreads: (N,) standard deviation of each.
        size: (height, width) of the picture in those pixels.

    Returns:
        The weighted median of the ratios, and what is to be added to it: (rows, columns) over
        the whole picture, cell centres; None where too few points say anything.
    """
    # One scale first, by the surest landmarks; what is far from it is an outlier.
    weights = 1 / (spreads**2 + _NOISE**2)
    scale = weighted_median(ratios, weights)
    rest = ratios - scale
    spread = max(1.4826 * weighted_median(np.abs(rest), weights), _NOISE)
    good = np.abs(rest) < _OUTLIER * spread
    if good.sum() < _LEAST:
        return scale, None
    width, few = size[1], np.flatnonzero(good)
    few = few[:: -(-len(few) // _MOST)]  # solving grows with their cube
    places, rest, spreads = pixels[few] / width, rest[few], spreads[few]
    # What is left is a Gaussian process: its mean at the grid's cells, given the landmarks.
    grid = cells(size) / width
    covariance = _kernel(places, places) + np.diag(spreads**2 + _NOISE**2)
    field = _kernel(grid, places) @ np.linalg.solve(covariance, rest)
    return scale, field.reshape(-1, CELLS).astype(np.float32)


def grid_rows(size: tuple[int, int]) -> int:
    """Of the grid over a picture (height, width)."""
    return max(1, round(CELLS * size[0] / size[1]))


def cells(size: tuple[int, int]) -> Array:
    """(rows * columns, 2) pixels (x, y) of the grid's cell centres in a picture (height, width)."""
    (height, width), rows = size, grid_rows(size)
    y, x = np.mgrid[:rows, :CELLS] + 0.5
    return np.stack([x.ravel() * width / CELLS, y.ravel() * height / rows], axis=1)


def correct(depth: Array, log_scale: float, field: Array | None) -> NDArray[np.float32]:
    """A depth map (H, W) raised by a log scale and bent by a field."""
    log = np.float32(log_scale)
    if field is not None:
        log = log + upsample(field, depth.shape)
    return (depth * np.exp(log)).astype(np.float32)


def still(moving: NDArray[np.bool_] | None, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(H, W), pixels that hold still, of the grid's cells that move."""
    if moving is None:
        return np.ones(shape, bool)
    return upsample(moving.astype(np.float32), shape) < 0.5


def upsample(field: Array, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The field at every pixel of a map (H, W), bilinear between cell centres."""
    scaled = cv2.resize(field, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(scaled, np.float32)


def sample(depth: Array, pixels: Array, size: tuple[int, int]) -> Array:
    """A map's values (N,) at pixels (N, 2) of a picture of a size (height, width); nearest."""
    height, width = size
    columns = (pixels[:, 0] * depth.shape[1] / width).astype(int).clip(0, depth.shape[1] - 1)
    rows = (pixels[:, 1] * depth.shape[0] / height).astype(int).clip(0, depth.shape[0] - 1)
    return depth[rows, columns].astype(np.float64)


def weighted_median(values: Array, weights: Array) -> float:
    """The value that half of the weight lies below."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _kernel(a: Array, b: Array) -> Array:
    square = -0.5 * ((a[:, None, 0] - b[:, 0]) ** 2 + (a[:, None, 1] - b[:, 1]) ** 2)
    square = square.astype(np.float32)
    kernels = [s**2 * np.exp(square / reach**2) for s, reach in _SCALES]
    return np.sum(kernels, axis=0)
