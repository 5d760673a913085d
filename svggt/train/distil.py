"""What a teacher says of a clip, and what it costs to say something else.

Source: StreamVGGT (arXiv 2507.11539), equation 7; constants: docs/training.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from svggt.model.network import VGGT, NetworkOutput
from svggt.model.track_head import TrackOutput
from svggt.train.batch import ClipBatch
from svggt.train.losses import (
    aligned,
    camera_loss,
    dense_loss,
    gradient_loss,
    normal_loss,
    track_loss,
)

CAMERA, DEPTH, POINTS, TRACK = 20.0, 20.0, 10.0, 0.5
"""Weights of equation 7."""

_TRACK_DECAY = 0.8  # of every pass of the tracker before the last one
_SURE = 0.5  # of the teacher's visibility


@dataclass(frozen=True, eq=False)
class TeacherOutput:
    """What a teacher says of B clips of S frames.

    Attributes:
        pose_enc: (B, S, 9).
        depth: (B, S, H, W, 1).
        world_points: (B, S, H, W, 3).
        queries: (B, N, 2) pixels of frame 0 that it followed; None without a track head.
        tracks: what became of them.
    """

    pose_enc: Tensor
    depth: Tensor
    world_points: Tensor
    queries: Tensor | None = None
    tracks: TrackOutput | None = None


Teacher = Callable[[ClipBatch, Tensor], TeacherOutput]
"""(clips, (B, N, 2) pixels to follow) to a lesson."""


def teacher_of(network: VGGT) -> Teacher:
    """A teacher that sees all frames of a clip at once, and does not learn."""
    network.requires_grad_(False).eval()

    def teach(batch: ClipBatch, queries: Tensor) -> TeacherOutput:
        pred = network(batch.images, causal=False)
        tracks = None
        if network.track_head is not None:
            tracks = network.track_head(pred.tokens, batch.images.shape[-2:], queries)
        return TeacherOutput(pred.pose_enc, pred.depth, pred.world_points, queries, tracks)

    return torch.no_grad()(teach)


def distillation_loss(
    pred: NetworkOutput, teacher: TeacherOutput, counts: Tensor
) -> dict[str, Tensor]:
    """Weighted parts of equation 7, but for the tracks.

    Depth and points are brought to one unit, each clip's mean distance, then every frame by the
    scale and shift that fit best.

    Args:
        pred: the student's words.
        teacher: the teacher's.
        counts: (B,) weights of clips.
    """
    assert pred.world_points is not None and pred.world_points_conf is not None
    valid = counts[:, None, None, None].expand(pred.depth.shape[:-1])
    depth, target_depth = in_unit(pred.depth), in_unit(teacher.depth)
    points, target_points = in_unit(pred.world_points), in_unit(teacher.world_points)
    return {
        "distill_camera": CAMERA * camera_loss(pred.pose_enc_passes, teacher.pose_enc, counts),
        "distill_depth": DEPTH
        * dense_loss(
            aligned(depth, target_depth, valid), pred.depth_conf, target_depth, valid, gradient_loss
        ),
        "distill_points": POINTS
        * dense_loss(
            aligned(points, target_points, valid),
            pred.world_points_conf,
            target_points,
            valid,
            normal_loss,
        ),
    }


def distill_tracks_loss(pred: TrackOutput, teacher: TrackOutput) -> Tensor:
    """The last part of equation 7: every pass of the tracker, the later ones counting more."""
    seen = teacher.visibility > _SURE
    return TRACK * tracks_loss(pred, teacher.iterations[-1], seen, teacher.confidence)


def tracks_loss(
    pred: TrackOutput, places: Tensor, seen: Tensor, sure: Tensor | None = None
) -> Tensor:
    """Of all passes of a tracker.

    Args:
        pred: of N points.
        places: (B, S, N, 2) pixels where they are.
        seen: (B, S, N).
        sure: (B, S, N) a teacher's confidence.
    """
    last = len(pred.iterations) - 1
    weights = [_TRACK_DECAY ** (last - number) for number in range(last + 1)]
    losses = torch.stack(
        [
            track_loss(each, pred.visibility, pred.confidence, places, seen, sure)
            for each in pred.iterations
        ]
    )
    return (losses * losses.new_tensor(weights)).sum() / sum(weights)


def in_unit(values: Tensor) -> Tensor:
    """(B, S, H, W, C) divided by each clip's mean length."""
    mean = values.norm(dim=-1).mean((1, 2, 3)).clamp_min(1e-6)
    return values / mean[:, None, None, None, None]
