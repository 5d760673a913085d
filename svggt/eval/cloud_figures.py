"""The points of a run against those of the truth, in one world.

Protocol: the cloud is what an export holds; one Sim(3), of camera positions, brings it to the
truth; both are averaged in voxels of 2 cm, so that what was looked at long counts no more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svggt import geometry, metrics
from svggt.data.truth import Array, Truth
from svggt.exports.clouds import cloud_of
from svggt.geometry import Similarity
from svggt.media.frames import Frame
from svggt.prediction import FramePrediction
from svggt.refine.correction import Correction
from svggt.scene.clouds import Cloud, merge
from svggt.store.posed_frames import PosedFrames, poses
from svggt.store.recording import Recording

_VOXEL = 0.02  # metres
_STRIDE = 2  # of the true depth's pixels
_NEAR = (0.05, 0.10)  # metres


@dataclass(frozen=True)
class CloudFigures:
    """Of a run's points.

    Attributes:
        accuracy: median distance of its points to the nearest true one, metres.
        completeness: of true points to its nearest.
        f_5cm: harmonic mean of precision and recall: the shares of its points within 5 cm of a
            true one, and of true points within 5 cm of one of its.
        f_10cm: within 10 cm.
        points: in voxels.
    """

    accuracy: float
    completeness: float
    f_5cm: float
    f_10cm: float
    points: int


def export_figures(
    frames: Sequence[Frame],
    predictions: Sequence[FramePrediction],
    corrections: list[Correction],
    truth: Truth,
) -> CloudFigures:
    """Of what is exported of a run.

    Args:
        frames: of the clip.
        predictions: of the same.
        corrections: of the same; where there are none the head's cameras stand.
        truth: see `cloud_figures`, likewise errors.
    """
    with tempfile.TemporaryDirectory() as folder:
        recording = Recording(Path(folder))
        for frame, prediction in zip(frames, predictions, strict=True):
            recording.add(frame, prediction, [])
        recording.cameras.append(corrections)
        shots = PosedFrames.of(recording, "refined")
        return cloud_figures(cloud_of(shots).points, poses(shots)[:, :, 3], truth)


def cloud_figures(points: Array, positions: Array, truth: Truth) -> CloudFigures:
    """Of a run's points.

    Args:
        points: (M, 3) in the run's world.
        positions: (N, 3) of its cameras, a frame each.
        truth: of the clip, with depth and intrinsics.

    Raises:
        ValueError: the truth has no depth or no intrinsics, or the run no points.
    """
    true = true_points(truth, len(positions))
    if not len(points):
        raise ValueError("the run has no points that can be compared")
    way = truth.world_from_cam[: len(positions), :, 3]
    found = _in_voxels(Similarity(*geometry.align_sim3(positions, way)).points(points))
    off, missing = metrics.distances_between(found, true)
    f_5cm, f_10cm = (_f_score(float((off < r).mean()), float((missing < r).mean())) for r in _NEAR)
    return CloudFigures(float(np.median(off)), float(np.median(missing)), f_5cm, f_10cm, len(found))


def true_points(truth: Truth, count: int) -> Array:
    """(M, 3) of the truth's first frames, metres, in voxels.

    Raises:
        ValueError: it has no depth or no intrinsics.
    """
    clouds = []
    for number in range(count):
        depth, pose = truth.depth(number), truth.world_from_cam[number]
        if depth is None:
            continue
        intrinsics = truth.pixel_intrinsics(depth.shape)
        if intrinsics is None:
            raise ValueError("the clip has no intrinsics: its points are not known")
        points = geometry.unproject(depth.astype(np.float64), intrinsics)[::_STRIDE, ::_STRIDE]
        known = points[points[..., 2] > 0]
        clouds.append(_in_voxels(Similarity(1.0, pose).points(known)))
    if not sum(map(len, clouds)):
        raise ValueError("the clip has no depth: its points are not known")
    return _in_voxels(np.concatenate(clouds))


def _in_voxels(points: Array) -> Array:
    if not len(points):
        return points
    return merge([Cloud(points, np.zeros(points.shape, np.uint8))], _VOXEL).points


def _f_score(precision: float, recall: float) -> float:
    return 2 * precision * recall / max(precision + recall, 1e-9)
