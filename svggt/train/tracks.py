"""Where points of a clip are in its other frames: exact, of what moves too."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from svggt.train.batch import Targets
from svggt.train.poses import rotation_of

_HIDDEN = 0.05  # of a point's depth: what is so much nearer hides it


@dataclass(frozen=True, eq=False)
class TrackTargets:
    """Points, by frame and by number, in all T frames of their clips.

    Attributes:
        places: (B, S, N, T, 2) pixels (x, y), whole in their middles.
        seen: (B, S, N, T) in the picture, known, and before all else.
    """

    places: Tensor
    seen: Tensor


@torch.no_grad()
def follow(targets: Targets, pixels: Tensor) -> TrackTargets:
    """Follows what is seen at pixels of the first S frames.

    Args:
        targets: a batch of clips'.
        pixels: (B, S, N, 2) whole columns and rows.
    """
    height, width = targets.depth.shape[2:]
    asked = pixels.shape[1]
    flat = pixels[..., 1] * width + pixels[..., 0]  # (B, S, N)
    points, motion = (
        x[:, :asked].flatten(2, 3).gather(2, flat[..., None].expand(*flat.shape, 3))
        for x in (targets.world_points, targets.motion)
    )
    known = targets.valid[:, :asked].flatten(2).gather(2, flat)
    passed = targets.when[None, :] - targets.when[:asked, None]  # (S, T)
    moved = points[..., None, :] + motion[..., None, :] * passed[:, None, :, None]
    rotation = rotation_of(targets.pose_enc[..., 3:7])
    seen_from = torch.einsum("btij,bsntj->bsnti", rotation, moved)
    seen_from = seen_from + targets.pose_enc[:, None, None, :, :3]
    places = _projected(seen_from, targets.pose_enc[:, 0, 7:9], (height, width))
    x, y = places.unbind(-1)
    column, row = x.nan_to_num().round(), y.nan_to_num().round()  # a pixel's number is its middle
    inside = (seen_from[..., 2] > 0) & (column >= 0) & (column < width) & (row >= 0)
    inside &= row < height
    column, row = column.clamp(0, width - 1).long(), row.clamp(0, height - 1).long()
    landed = (row * width + column).permute(0, 3, 1, 2).flatten(2)  # (B, T, S N)
    there = targets.depth.flatten(2).gather(2, landed)
    there = there.unflatten(2, (asked, -1)).permute(0, 2, 3, 1)
    open_to = (there - seen_from[..., 2]).abs() < _HIDDEN * seen_from[..., 2]
    return TrackTargets(places, inside & known[..., None] & open_to)


def _projected(points: Tensor, fields_of_view: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, ..., 3) in cameras to (B, ..., 2) pixels."""
    height, width = size
    z = points[..., 2].clamp_min(1e-3)
    tangents = torch.tan(fields_of_view / 2)[:, :, None, None, None]
    x = (points[..., 0] / z / tangents[:, 1] + 1) * width / 2
    y = (points[..., 1] / z / tangents[:, 0] + 1) * height / 2
    return torch.stack([x, y], dim=-1)
