"""Camera trajectories against the truth, as evo and the papers of feed-forward models measure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from svggt import geometry, metrics
from svggt.data.truth import Array

MOST_DEGREES = 30
"""Up to which the area under the curve goes."""


@dataclass(frozen=True)
class PoseErrors:
    """Of one sequence.

    Attributes:
        ate: RMS distance of positions after one Sim(3), metres.
        rpe_translation: RMS error of the motion from a frame to the next, after the same, metres.
        rpe_rotation: the same of its rotation, degrees.
        auc30: area under the curve of the share of pairs whose rotation and direction are both
            right within so many degrees, up to 30.
        frames: compared.
    """

    ate: float
    rpe_translation: float
    rpe_rotation: float
    auc30: float
    frames: int


def pose_errors(predicted: Array, true: Array) -> PoseErrors:
    """Of cameras (N, 3, 4) world_from_cam, at least two.

    Rotation errors are angles; evo's `rpe` with `rotation_angle_deg`, delta one frame, all pairs.
    """
    similarity = geometry.Similarity(*geometry.align_sim3(predicted[:, :, 3], true[:, :, 3]))
    aligned = np.stack([similarity.pose(pose) for pose in predicted])
    steps, expected = (
        geometry.compose(geometry.invert(poses[:-1]), poses[1:]) for poses in (aligned, true)
    )
    errors = geometry.compose(geometry.invert(expected), steps)
    return PoseErrors(
        ate=metrics.trajectory_error(predicted[:, :, 3], true[:, :, 3]),
        rpe_translation=_rms(np.linalg.norm(errors[:, :, 3], axis=1)),
        rpe_rotation=_rms(geometry.rotation_angle(errors[:, :, :3])),
        auc30=pose_auc(predicted, true),
        frames=len(true),
    )


def pose_auc(predicted: Array, true: Array, most: int = MOST_DEGREES) -> float:
    """Area under the curve of right pairs against degrees, 0 to 1 (VGGT, section 4.1).

    A pair's error is the larger of its rotation's angle and of the angle between directions of
    translation, up to their sign; the curve has a step a degree.

    Args:
        predicted: (N, 3, 4) world_from_cam.
        true: the same.
        most: degrees.
    """
    first, second = np.array(list(combinations(range(len(true)), 2))).T
    motions = [
        geometry.compose(geometry.invert(poses[first]), poses[second])
        for poses in (predicted, true)
    ]
    turned = geometry.rotation_angle(np.swapaxes(motions[0][:, :, :3], 1, 2) @ motions[1][:, :, :3])
    ours, theirs = (
        motion[:, :, 3] / np.maximum(np.linalg.norm(motion[:, :, 3], axis=1, keepdims=True), 1e-12)
        for motion in motions
    )
    cosine = np.abs((ours * theirs).sum(axis=1)).clip(0, 1)
    errors = np.maximum(turned, np.degrees(np.arccos(cosine)))
    right = [(errors < degrees).mean() for degrees in range(1, most + 1)]
    return float(np.mean(right))


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
