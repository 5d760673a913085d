"""Points worth drawing, in bands by confirmations; and many clouds merged into one by voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.refine.field import still
from svggt.scene.confirmations import confirmations
from svggt.scene.frame_poses import FARTHER
from svggt.scene.posed_frame import PosedFrame
from svggt.scene.sky import sky_of
from svggt.view_options import CONFIRMED, MOST_CONFIRMED, ViewOptions

NUM_BANDS = MOST_CONFIRMED + 3
"""After those by confirmations: what is far, of what is shown at first, and the sky."""

FAR, SKY = NUM_BANDS - 2, NUM_BANDS - 1
"""Their numbers."""

_EDGE = 0.04  # relative depth step between neighbouring pixels above which points would fly
_MOST_CELLS = 2_000_000  # in a row; what is further shares the last one
_RIM = 3  # pixels
_OVERLAP = 1.2  # of a point with its neighbours; less shows gaps
_VOXEL = 0.7  # of a point's size, in which points become one


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points of one size.

    Attributes:
        points: (N, 3).
        colors: (N, 3) uint8.
        size: across a point, so that neighbours close the gaps, in the unit of the points.
    """

    points: NDArray[Any]
    colors: NDArray[np.uint8]
    size: float = 0.0

    def __len__(self) -> int:
        return len(self.points)

    @classmethod
    def empty(cls) -> Cloud:
        """Without a point."""
        return cls(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8))

    @classmethod
    def joined(cls, clouds: Sequence[Cloud]) -> Cloud:
        """All points of clouds in the same coordinates, in the mean of their sizes."""
        counts = [len(cloud) for cloud in clouds]
        return cls(
            np.concatenate([cloud.points for cloud in clouds]),
            np.concatenate([cloud.colors for cloud in clouds]),
            float(np.average([c.size for c in clouds], weights=counts)) if sum(counts) else 0.0,
        )

    def moved(self, pose: NDArray[Any], stretch: NDArray[Any]) -> Cloud:
        """Multiplied by (3,) and brought from a camera's coordinates by its (3, 4) pose."""
        points = stretch * self.points @ pose[:, :3].T + pose[:, 3]
        return Cloud(points, self.colors, self.size * float(stretch[0]))


def banded(shot: PosedFrame, stride: int, views: Sequence[PosedFrame] = ()) -> list[Cloud]:
    """A frame's points in its camera's coordinates, without depth edges and what moves.

    Args:
        shot: the frame.
        stride: take every n-th row and column.
        views: frames that may confirm its points.

    Returns:
        A cloud for each number of confirmations, `MOST_CONFIRMED` first and 0 last, one of what is
        far, and one of the sky.
    """
    points = shot.points
    keep, band = band_of(shot, points, stride, views)
    grid = points[::stride, ::stride]
    points, apart = grid[keep], _spacing(grid)[keep]
    colors = shot.prediction.image[::stride, ::stride][keep]
    clouds = []
    for which in range(NUM_BANDS):
        chosen = band == which
        size = _OVERLAP * np.median(apart[chosen]) if chosen.any() else 0.0
        clouds.append(Cloud(points[chosen], colors[chosen], float(size)))
    return clouds


def band_of(
    shot: PosedFrame, points: NDArray[Any], stride: int, views: Sequence[PosedFrame]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which pixels of every n-th row and column (h, w) are worth drawing, and their bands (N,).

    `NUM_BANDS` is what is drawn in none. See `banded`; points (H, W, 3) are the frame's own.
    """
    # What flies at depth edges, lies at the padded rim or moves by itself is left out.
    depth = shot.prediction.depth
    keep = ~depth_edges(depth) & _inside(depth.shape)
    if shot.correction is not None:
        keep &= still(shot.correction.moving, depth.shape)
    is_far, is_sky = depth > FARTHER * np.median(depth), sky_of(shot.prediction)
    keep, is_far, is_sky = (mask[::stride, ::stride] for mask in (keep, is_far, is_sky))
    # Layers by confirmations, so that the slider hides and shows nodes; what is far is a layer of
    # its own, as far as it is shown at first.
    confirmed = confirmations(shot.in_world(points[::stride, ::stride][keep]), views)
    band = (MOST_CONFIRMED - confirmed).astype(np.int64)
    band[is_far[keep]] = FAR
    band[is_far[keep] & (confirmed < CONFIRMED)] = NUM_BANDS
    band[is_sky[keep]] = SKY
    return keep, band


def is_shown(band: int, look: ViewOptions) -> bool:
    """Whether the points of a band are."""
    if band in (FAR, SKY):
        return look.far if band == FAR else look.sky
    return band < FAR and MOST_CONFIRMED - band >= look.confirmed


def merge(clouds: Sequence[Cloud], voxel: float | None = None) -> Cloud:
    """One cloud, with the mean of what falls into the same voxel.

    Args:
        clouds: in the same coordinates.
        voxel: edge in their unit; by their points' size if left out.
    """
    whole = Cloud.joined(clouds)
    voxel = _VOXEL * whole.size if voxel is None else voxel
    if not len(whole) or not voxel:
        return whole
    points, colors = whole.points.astype(np.float64), whole.colors.astype(np.float64)
    # One key a voxel; what shares it is averaged by counting sums, a column at a time.
    cells = np.floor(points / voxel).astype(np.int64)
    cells = np.minimum(cells - cells.min(axis=0), _MOST_CELLS)
    keys = np.ravel_multi_index(tuple(cells.T), tuple((cells.max(axis=0) + 1).tolist()))
    _, where, counts = np.unique(keys, return_inverse=True, return_counts=True)
    mean = [np.bincount(where, weights=column) / counts for column in (*points.T, *colors.T)]
    return Cloud(
        np.stack(mean[:3], axis=1).astype(np.float32),
        np.stack(mean[3:], axis=1).astype(np.uint8),
        whole.size,
    )


def depth_edges(depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels (H, W) whose depth differs from a neighbour's by more than 4 %: points there fly."""
    edges = np.zeros(depth.shape, dtype=bool)
    for axis in (0, 1):
        step = np.abs(np.diff(np.log(depth), axis=axis)) > _EDGE
        before, after = [(0, 0), (0, 0)], [(0, 0), (0, 0)]
        before[axis], after[axis] = (1, 0), (0, 1)
        edges |= np.pad(step, before) | np.pad(step, after)
    return edges


def stride_of(pixels: int, budget: int) -> int:
    """The smallest stride in both directions that leaves at most `budget` points of a frame."""
    return int(np.ceil(np.sqrt(pixels / budget)))


def _spacing(grid: NDArray[Any]) -> NDArray[Any]:
    """(H, W) how far points (H, W, 3) are from their neighbours: the root of the area between."""
    area = np.ones(grid.shape[:2])
    for axis in (0, 1):
        x, y, z = np.moveaxis(np.diff(grid, axis=axis), -1, 0)  # norms along three are slow
        step = np.sqrt(x * x + y * y + z * z)
        area *= np.concatenate([step, step.take([-1], axis=axis)], axis=axis)
    return np.sqrt(area)


def _inside(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """All but the picture's rim, where the dense head's padding bends the depth."""
    inside = np.zeros(shape, dtype=bool)
    inside[_RIM:-_RIM, _RIM:-_RIM] = True
    return inside
