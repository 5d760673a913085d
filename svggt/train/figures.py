"""What is said of clips beside the truth: cameras, depth and the scene that they make."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from svggt import metrics
from svggt.model.network import VGGT
from svggt.train.batch import ClipBatch, Targets, targets_of
from svggt.train.poses import decode_pose, invert

_POINTS = 4000  # of a clip's cloud


class Said(Protocol):
    """By a network, or by a teacher.

    Attributes:
        pose_enc: (B, S, 9).
        depth: (B, S, H, W, 1).
        world_points: (B, S, H, W, 3).
    """

    @property
    def pose_enc(self) -> Tensor: ...
    @property
    def depth(self) -> Tensor: ...
    @property
    def world_points(self) -> Tensor | None: ...


@dataclass(frozen=True)
class Figures:
    """Means over clips; less is better.

    Attributes:
        rotation: error by that of a camera that never moves.
        ate: the same of positions, after Sim(3).
        absrel: depth, with one scale a frame.
        accuracy: mean distance from a predicted point to the nearest true one, after one scale;
            the unit is the scene's mean distance.
        completeness: the other way round.
    """

    rotation: float
    ate: float
    absrel: float
    accuracy: float
    completeness: float


NAMES = tuple(field.name for field in fields(Figures))


def mean_of(several: list[Figures]) -> Figures:
    """Figure by figure."""
    return Figures(*np.mean([astuple(each) for each in several], axis=0).tolist())


@torch.no_grad()
def network_figures(network: VGGT, batches: list[ClipBatch], causal: bool) -> Figures:
    """Of what a network says of clips."""
    return mean_of([figures_of(network(b.images, causal), b) for b in batches])


def figures_of(pred: Said, batch: ClipBatch) -> Figures:
    """Of one batch; clips that are not good do not count."""
    targets, good = targets_of(batch), batch.good.nonzero()[:, 0].tolist()
    assert pred.world_points is not None
    ours, theirs = (
        invert(decode_pose(x)).double().cpu().numpy() for x in (pred.pose_enc, targets.pose_enc)
    )
    rotation, ate = metrics.quotients([(ours[clip], theirs[clip]) for clip in good])
    depth, target = (x.double().cpu().numpy() for x in (pred.depth[..., 0], targets.depth))
    frames = [(clip, frame) for clip in good for frame in range(target.shape[1])]
    errors = [metrics.absrel(depth[at], target[at]) for at in frames if (target[at] > 0).any()]
    clouds = [_cloud_errors(pred.world_points[clip], targets, clip) for clip in good]
    accuracy, completeness = np.mean(clouds, axis=0).tolist()
    return Figures(rotation, ate, float(np.mean(errors)), accuracy, completeness)


def _cloud_errors(points: Tensor, targets: Targets, clip: int) -> tuple[float, float]:
    """Both in the first camera's frame; the scale is the median ratio of distances."""
    valid = targets.valid[clip]
    pred, target = (x[valid].double().cpu().numpy() for x in (points, targets.world_points[clip]))
    every = max(1, len(pred) // _POINTS)
    pred, target = pred[::every], target[::every]
    lengths = np.linalg.norm(pred, axis=1)
    pred = pred * np.median(np.linalg.norm(target, axis=1) / np.maximum(lengths, 1e-6))
    return metrics.nearest_distances(pred, target)
