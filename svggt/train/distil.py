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
        said = network(batch.images, causal=False)
        tracks = None
        if network.track_head is not None:
            tracks = network.track_head(said.tokens, batch.images.shape[-2:], queries)
        return TeacherOutput(said.pose_enc, said.depth, said.world_points, queries, tracks)

    return torch.no_grad()(teach)


def distillation_loss(
    said: NetworkOutput, lesson: TeacherOutput, counts: Tensor
) -> dict[str, Tensor]:
    """Weighted parts of equation 7, but for the tracks.

    Depth and points are brought to one unit, each clip's mean distance, then every frame by the
    scale and shift that fit best.

    Args:
        said: the student's words.
        lesson: the teacher's.
        counts: (B,) weights of clips.
    """
    assert said.world_points is not None and said.world_points_conf is not None
    valid = counts[:, None, None, None].expand(said.depth.shape[:-1])
    depth, true_depth = in_unit(said.depth), in_unit(lesson.depth)
    points, true_points = in_unit(said.world_points), in_unit(lesson.world_points)
    return {
        "taught_camera": CAMERA * camera_loss(said.pose_enc_passes, lesson.pose_enc, counts),
        "taught_depth": DEPTH
        * dense_loss(
            aligned(depth, true_depth, valid), said.depth_conf, true_depth, valid, gradient_loss
        ),
        "taught_points": POINTS
        * dense_loss(
            aligned(points, true_points, valid),
            said.world_points_conf,
            true_points,
            valid,
            normal_loss,
        ),
    }


def taught_tracks(said: TrackOutput, lesson: TrackOutput) -> Tensor:
    """The last part of equation 7: every pass of the tracker, the later ones counting more."""
    seen = lesson.visibility > _SURE
    return TRACK * tracks_loss(said, lesson.iterations[-1], seen, lesson.confidence)


def tracks_loss(
    said: TrackOutput, places: Tensor, seen: Tensor, sure: Tensor | None = None
) -> Tensor:
    """Of all passes of a tracker.

    Args:
        said: of N points.
        places: (B, S, N, 2) pixels where they are.
        seen: (B, S, N).
        sure: (B, S, N) a teacher's confidence.
    """
    last = len(said.iterations) - 1
    weights = [_TRACK_DECAY ** (last - number) for number in range(last + 1)]
    losses = torch.stack(
        [
            track_loss(each, said.visibility, said.confidence, places, seen, sure)
            for each in said.iterations
        ]
    )
    return (losses * losses.new_tensor(weights)).sum() / sum(weights)


def in_unit(values: Tensor) -> Tensor:
    """(B, S, H, W, C) divided by each clip's mean length."""
    mean = values.norm(dim=-1).mean((1, 2, 3)).clamp_min(1e-6)
    return values / mean[:, None, None, None, None]
