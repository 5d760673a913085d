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


def figures_of(said: Said, batch: ClipBatch) -> Figures:
    """Of one batch; clips that are not good do not count."""
    targets, good = targets_of(batch), batch.good.nonzero()[:, 0].tolist()
    assert said.world_points is not None
    ours, theirs = (
        invert(decode_pose(x)).double().cpu().numpy() for x in (said.pose_enc, targets.pose_enc)
    )
    rotation, ate = metrics.quotients([(ours[clip], theirs[clip]) for clip in good])
    depth, true = (x.double().cpu().numpy() for x in (said.depth[..., 0], targets.depth))
    frames = [(clip, frame) for clip in good for frame in range(true.shape[1])]
    errors = [metrics.absrel(depth[at], true[at]) for at in frames if (true[at] > 0).any()]
    clouds = [_cloud_errors(said.world_points[clip], targets, clip) for clip in good]
    accuracy, completeness = np.mean(clouds, axis=0).tolist()
    return Figures(rotation, ate, float(np.mean(errors)), accuracy, completeness)


def _cloud_errors(points: Tensor, targets: Targets, clip: int) -> tuple[float, float]:
    """Both in the first camera's frame; the scale is the median ratio of distances."""
    valid = targets.valid[clip]
    said, true = (x[valid].double().cpu().numpy() for x in (points, targets.world_points[clip]))
    every = max(1, len(said) // _POINTS)
    said, true = said[::every], true[::every]
    lengths = np.linalg.norm(said, axis=1)
    said = said * np.median(np.linalg.norm(true, axis=1) / np.maximum(lengths, 1e-6))
    return metrics.nearest_distances(said, true)
