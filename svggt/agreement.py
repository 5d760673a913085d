"""How far two runs of the same frames agree: depth, cameras, points.

Neither is the truth. Scales are arbitrary, so depth is compared after one scale for the clip,
cameras after one Sim(3), and points after the Sim(3) that brings the same pixels' points together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt import geometry, metrics
from svggt.exports.frames import PosedFrame
from svggt.geometry import Similarity

Array = NDArray[Any]

_STRIDE = 4  # of pixels that are compared
_MOST_POINTS = 60_000  # of the chamfer distance


@dataclass(frozen=True)
class Agreement:
    """Of one run with another, which stands in for the truth.

    Attributes:
        frames: compared.
        absrel: of depth, with one scale for the clip.
        delta1: share of depths within a factor of 1.25, likewise.
        rotation_deg: mean angle between cameras, relative to the first.
        translation: mean distance of camera positions after the Sim(3) of trajectories, over the
            other's path length.
        ate: RMS of the same, over the other's path length.
        chamfer: symmetric, after the points' Sim(3), over the other's median depth.
    """

    frames: int
    absrel: float
    delta1: float
    rotation_deg: float
    translation: float
    ate: float
    chamfer: float


def agree(ones: Iterable[PosedFrame], others: Iterable[PosedFrame]) -> Agreement:
    """Compares two runs frame by frame, of the same pictures.

    Raises:
        ValueError: there is no frame in both.
    """
    pairs = [(_seen(one), _seen(other)) for one, other in zip(ones, others, strict=False)]
    if not pairs:
        raise ValueError("there is no frame in both runs: let them take at least one")
    one, other = (_Seen.joined([pair[i] for pair in pairs]) for i in (0, 1))
    there, true = one.poses[:, :, 3], other.poses[:, :, 3]
    scale, rigid = geometry.align_sim3(there, true)
    distances = np.linalg.norm(Similarity(scale, rigid).points(there) - true, axis=1)
    path = float(np.linalg.norm(np.diff(true, axis=0), axis=1).sum()) or 1.0
    step = -(-len(one.points) // _MOST_POINTS)
    moved = similarity_of(one.points, other.points).points(one.points)
    return Agreement(
        frames=len(pairs),
        absrel=metrics.absrel(one.depth, other.depth),
        delta1=metrics.delta1(one.depth, other.depth),
        rotation_deg=float(metrics.rotation_errors(one.poses, other.poses).mean()),
        translation=float(distances.mean()) / path,
        ate=metrics.trajectory_error(there, true) / path,
        chamfer=metrics.chamfer(moved[::step], other.points[::step])
        / float(np.median(other.depth)),
    )


def similarity_of(points: Array, others: Array) -> Similarity:
    """What brings points (N, 3) to others (N, 3) of the same pixels, the worst third left out."""
    scale, rigid = geometry.align_sim3(points, others)
    distance = np.linalg.norm(Similarity(scale, rigid).points(points) - others, axis=1)
    near = distance <= np.percentile(distance, 67)
    return Similarity(*geometry.align_sim3(points[near], others[near]))


def world_points(shot: PosedFrame, stride: int = _STRIDE) -> Array:
    """(N, 3) of every so manieth pixel in both directions, in the run's world."""
    points = shot.prediction.camera_points
    if shot.correction is not None:
        points, _ = shot.correction.lift(shot.prediction)
    flat = points[::stride, ::stride].reshape(-1, 3).astype(np.float64)
    return flat @ shot.world_from_cam[:, :3].T + shot.world_from_cam[:, 3]


@dataclass(frozen=True)
class _Seen:
    """Of one frame, or of all: (N,) depth, (N, 3) points, (S, 3, 4) poses."""

    depth: Array
    points: Array
    poses: Array

    @classmethod
    def joined(cls, seen: list[_Seen]) -> _Seen:
        parts = (
            np.concatenate([getattr(each, name) for each in seen])
            for name in ("depth", "points", "poses")
        )
        return cls(*parts)


def _seen(shot: PosedFrame) -> _Seen:
    depth = shot.depth[::_STRIDE, ::_STRIDE].ravel().astype(np.float64)
    return _Seen(depth, world_points(shot), shot.world_from_cam[None])
