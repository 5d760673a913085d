"""How far a run agrees with another of the same frames, or with the truth.

Depth, cameras and points: scales are arbitrary, so depth is compared after one scale for the clip,
cameras after one Sim(3), and points after the Sim(3) that brings the same pixels together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt import geometry, metrics
from svggt.data.truth import Truth
from svggt.geometry import Similarity
from svggt.scene.posed_frame import PosedFrame

Array = NDArray[Any]

_STRIDE = 4  # of pixels that are compared
_MOST_POINTS = 20_000  # of the chamfer distance


@dataclass(frozen=True)
class Agreement:
    """Of one run with another, or with the truth.

    Attributes:
        frames: compared.
        absrel: absolute relative error of depth, with one scale for the clip.
        delta1: share of depths within a factor of 1.25, likewise.
        rotation_deg: mean angle between cameras, relative to the first.
        translation: mean distance of camera positions after the Sim(3) of trajectories, over the
            other's path length.
        ate: RMS of the same, over the other's path length.
        chamfer: symmetric, after the points' Sim(3), over the other's median depth; None where
            the truth has no focal length.
    """

    frames: int
    absrel: float
    delta1: float
    rotation_deg: float
    translation: float
    ate: float
    chamfer: float | None


@dataclass(frozen=True, eq=False)
class Seen:
    """What is compared of one frame.

    Attributes:
        world_from_cam: (3, 4).
        depth: (h, w) of every n-th pixel, 0 where unknown.
        points: (h, w, 3) of the same, in the run's world; None if unknown.
    """

    world_from_cam: Array
    depth: Array
    points: Array | None

    @classmethod
    def of(cls, shot: PosedFrame) -> Seen:
        """Of a run's frame."""
        depth = shot.depth[::_STRIDE, ::_STRIDE].astype(np.float64)
        points = pixel_points(shot)[::_STRIDE, ::_STRIDE]
        return cls(shot.world_from_cam, depth, points)

    @classmethod
    def true(cls, truth: Truth, time_s: float, size: tuple[int, int]) -> Seen | None:
        """Of a moment of a clip; None after its end.

        Args:
            truth: the clip's.
            time_s: when the frame is in it, seconds.
            size: (H, W) of the run's depth maps.
        """
        number = truth.number_at(time_s)
        if number is None:
            return None
        pose, depth = truth.world_from_cam[number], truth.depth(number)
        depth = np.zeros(size) if depth is None else metrics.resample(depth, size)
        intrinsics = truth.pixel_intrinsics(size)
        if intrinsics is None:
            return cls(pose, depth[::_STRIDE, ::_STRIDE], None)
        points = Similarity(1.0, pose).points(geometry.unproject(depth, intrinsics))
        return cls(pose, depth[::_STRIDE, ::_STRIDE], points[::_STRIDE, ::_STRIDE])


def agree(ones: Iterable[PosedFrame], others: Iterable[PosedFrame]) -> Agreement:
    """Compares two runs frame by frame, of the same pictures.

    Raises:
        ValueError: there is no frame in both.
    """
    pairs = zip(ones, others, strict=False)
    return agreement_of([(Seen.of(one), Seen.of(other)) for one, other in pairs])


def agreement_of(pairs: Sequence[tuple[Seen, Seen]]) -> Agreement:
    """Of a run with what stands in for the truth, frame by frame.

    Raises:
        ValueError: there is no frame in both, or no depth is known.
    """
    known = [pair[1].depth > 0 for pair in pairs]
    if not any(mask.any() for mask in known):
        raise ValueError("there is no frame in both runs: let them take at least one")
    there, true = (np.stack([pair[i].world_from_cam for pair in pairs]) for i in (0, 1))
    scale, rigid = geometry.align_sim3(there[:, :, 3], true[:, :, 3])
    distances = np.linalg.norm(
        Similarity(scale, rigid).points(there[:, :, 3]) - true[:, :, 3], axis=1
    )
    path = float(np.linalg.norm(np.diff(true[:, :, 3], axis=0), axis=1).sum()) or 1.0
    depth, true_depth = (
        np.concatenate([pair[i].depth[mask] for pair, mask in zip(pairs, known, strict=True)])
        for i in (0, 1)
    )
    return Agreement(
        frames=len(pairs),
        absrel=metrics.absrel(depth, true_depth),
        delta1=metrics.delta1(depth, true_depth),
        rotation_deg=float(metrics.rotation_errors(there, true).mean()),
        translation=float(distances.mean()) / path,
        ate=metrics.trajectory_error(there[:, :, 3], true[:, :, 3]) / path,
        chamfer=_chamfer(pairs, known, float(np.median(true_depth))),
    )


def similarity_of(points: Array, others: Array) -> Similarity:
    """What brings points (N, 3) to others (N, 3) of the same pixels, the worst third left out."""
    scale, rigid = geometry.align_sim3(points, others)
    distance = np.linalg.norm(Similarity(scale, rigid).points(points) - others, axis=1)
    near = distance <= np.percentile(distance, 67)
    return Similarity(*geometry.align_sim3(points[near], others[near]))


def world_of(seen: Iterable[Seen]) -> Array:
    """(N, 3) all points of frames whose depth is known everywhere."""
    return np.concatenate([each.points.reshape(-1, 3) for each in seen if each.points is not None])


def pixel_points(shot: PosedFrame) -> Array:
    """(H, W, 3) of a frame's pixels, in the run's world."""
    return shot.in_world(shot.points.astype(np.float64))


def _chamfer(pairs: Sequence[tuple[Seen, Seen]], known: list[Array], unit: float) -> float | None:
    """Over a length, after the Sim(3) of the pixels whose points are known in both."""
    there, true = [], []
    for (one, other), mask in zip(pairs, known, strict=True):
        if one.points is None or other.points is None:
            return None
        there.append(one.points[mask])
        true.append(other.points[mask])
    points, others = np.concatenate(there), np.concatenate(true)
    step = -(-len(points) // _MOST_POINTS)
    moved = similarity_of(points, others).points(points)
    return metrics.chamfer(moved[::step], others[::step]) / unit
