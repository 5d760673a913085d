"""Points worth drawing, in bands of confidence; and many clouds merged into one by voxels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.prediction import FramePrediction
from svggt.refine.correction import Correction
from svggt.scene.frame_poses import FramePoses

PERCENTILES = (75, 50, 25)
"""Of a frame's confidence: the lower ends of the bands; what is below them is never drawn."""

SHARE = 0.75
"""Of a frame's pixels that are in a band, at most."""

NUM_BANDS = len(PERCENTILES) + 1
"""The last one holds what is far, of the surer half."""

_FAR = 4.0  # times the frame's median depth
_EDGE = 0.04  # relative depth step between neighbouring pixels above which points would fly
_MOST_CELLS = 2_000_000  # in a row; what is further shares the last one
_RIM = 3  # pixels


@dataclass(frozen=True)
class Cloud:
    """(N, 3) points and their (N, 3) uint8 colours."""

    points: NDArray[Any]
    colors: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.points)

    @classmethod
    def joined(cls, clouds: list[Cloud]) -> Cloud:
        """All points of clouds in the same coordinates."""
        return cls(
            np.concatenate([cloud.points for cloud in clouds]),
            np.concatenate([cloud.colors for cloud in clouds]),
        )

    def moved(self, pose: NDArray[Any], stretch: NDArray[Any]) -> Cloud:
        """Multiplied by (3,) and brought from a camera's coordinates by its (3, 4) pose."""
        return Cloud(stretch * self.points @ pose[:, :3].T + pose[:, 3], self.colors)


def banded(
    prediction: FramePrediction, stride: int, correction: Correction | None = None
) -> list[Cloud]:
    """A frame's points in its camera's coordinates, without depth edges and what moves.

    Args:
        prediction: one frame's; the point head's points are taken where it was run.
        stride: take every n-th row and column.
        correction: the scale of its depth, and its focal length.

    Returns:
        One cloud for each of `PERCENTILES`, the surest first, and one of what is far.
    """
    # What flies at depth edges, lies at the padded rim or moves by itself is left out.
    depth, confidence = prediction.depth, prediction.depth_conf
    keep = ~depth_edges(depth) & _inside(depth.shape)
    points = prediction.camera_points
    if correction is not None:
        points, still = correction.lift(prediction)
        keep &= still
    if prediction.head_points is not None and prediction.world_points_conf is not None:
        points, confidence = prediction.head_points, prediction.world_points_conf
        if correction is not None:
            points = points * FramePoses.of(prediction, None).corrected(correction)
    # Layers of confidence, so that the slider hides and shows nodes; what is far is a layer of its
    # own, of the surest alone.
    bounds = np.percentile(confidence, PERCENTILES)
    band = (confidence[..., None] < bounds).sum(axis=-1)
    far = depth > _FAR * np.median(depth)
    keep &= np.where(far, band < 2, band < len(PERCENTILES))
    band[far] = NUM_BANDS - 1
    keep, band = keep[::stride, ::stride], band[::stride, ::stride]
    points, colors = points[::stride, ::stride][keep], prediction.image[::stride, ::stride][keep]
    band = band[keep]
    return [Cloud(points[band == which], colors[band == which]) for which in range(NUM_BANDS)]


def merge(clouds: list[Cloud], voxel: float) -> Cloud:
    """One cloud, with the mean of what falls into the same voxel.

    Args:
        clouds: in the same coordinates.
        voxel: edge in their unit.
    """
    whole = Cloud.joined(clouds)
    if not len(whole):
        return whole
    points, colors = whole.points.astype(np.float64), whole.colors.astype(np.float64)
    # One key a voxel; what shares it is averaged by counting sums, a column at a time.
    cells = np.floor(points / voxel).astype(np.int64)
    cells = np.minimum(cells - cells.min(axis=0), _MOST_CELLS)
    keys = np.ravel_multi_index(tuple(cells.T), tuple((cells.max(axis=0) + 1).tolist()))
    _, where, counts = np.unique(keys, return_inverse=True, return_counts=True)
    mean = [np.bincount(where, weights=column) / counts for column in (*points.T, *colors.T)]
    return Cloud(
        np.stack(mean[:3], axis=1).astype(np.float32), np.stack(mean[3:], axis=1).astype(np.uint8)
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
    return int(np.ceil(np.sqrt(SHARE * pixels / budget)))


def _inside(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """All but the picture's rim, where the dense head's padding bends the depth."""
    inside = np.zeros(shape, dtype=bool)
    inside[_RIM:-_RIM, _RIM:-_RIM] = True
    return inside
