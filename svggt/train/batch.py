"""Clips to learn from, and what the network should say of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from svggt.train.poses import compose, encode_pose, invert, transform


@dataclass(frozen=True, eq=False)
class ClipBatch:
    """B clips of S frames of one size.

    Attributes:
        images: (B, S, 3, H, W) in [0, 1].
        depth: (B, S, H, W) z-depth in metres, 0 where nothing is or it is too far to count.
        world_from_cam: (B, S, 3, 4), metres.
        fields_of_view: (B, 2) vertical and horizontal, radians.
        motion: (B, S, H, W, 3) metres a frame that what is seen moves by itself, in the world.
        when: (S,) number of every frame as time goes.
        good: (B,) whether a clip is worth learning from.
    """

    images: Tensor
    depth: Tensor
    world_from_cam: Tensor
    fields_of_view: Tensor
    motion: Tensor
    when: Tensor
    good: Tensor

    @property
    def moving(self) -> Tensor:
        """(B, S, H, W) of what moves by itself."""
        return (self.motion != 0).any(-1)

    def only_good(self) -> ClipBatch:
        """Clips that are worth learning from; all where none is."""
        chosen = self.good.nonzero()[:, 0]  # the host waits for a device once
        if len(chosen) in (0, len(self.good)):
            return self
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return ClipBatch(**{n: x if n == "when" else x[chosen] for n, x in named.items()})

    def reordered(self, order: Tensor) -> ClipBatch:
        """The same frames in another order (S,); the first one is the world then."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("images", "depth", "world_from_cam", "motion"):
            named[name] = named[name][:, order]
        return ClipBatch(**named | {"when": self.when[order]})


Source = Callable[[int, int], ClipBatch]
"""The clips of a step, by its number, and by that of the part of it that is asked for."""


@dataclass(frozen=True, eq=False)
class Targets:
    """In the first camera's frame, where points are 1 away on average (VGGT, section 3.3).

    Attributes:
        pose_enc: (B, S, 9); see `svggt.train.poses.encode_pose`.
        depth: (B, S, H, W), 0 where unknown.
        world_points: (B, S, H, W, 3).
        valid: (B, S, H, W) where depth is known.
        scale: (B,) metres of the unit.
        motion: (B, S, H, W, 3) of every pixel's point, a frame.
        when: (S,) number of every frame as time goes.
    """

    pose_enc: Tensor
    depth: Tensor
    world_points: Tensor
    valid: Tensor
    scale: Tensor
    motion: Tensor
    when: Tensor


def targets_of(batch: ClipBatch) -> Targets:
    """What the network should say of a batch."""
    first_from_cam = compose(invert(batch.world_from_cam[:, :1]), batch.world_from_cam)
    points = transform(camera_points(batch), first_from_cam[:, :, None, None])
    valid = batch.depth > 0
    count = valid.sum((1, 2, 3)).clamp_min(1)
    scale = ((points.norm(dim=-1) * valid).sum((1, 2, 3)) / count).clamp_min(1e-3)
    cam_from_first = invert(first_from_cam)
    unit = scale[:, None, None]
    scaled = torch.cat([cam_from_first[..., :3], cam_from_first[..., 3:] / unit[..., None]], dim=-1)
    return Targets(
        pose_enc=encode_pose(scaled, batch.fields_of_view),
        depth=batch.depth / unit[..., None],
        world_points=points / unit[..., None, None],
        valid=valid,
        scale=scale,
        motion=turn_by(batch.motion, invert(batch.world_from_cam[:, :1])) / unit[..., None, None],
        when=batch.when,
    )


def turn_by(vectors: Tensor, to_from: Tensor) -> Tensor:
    """(B, S, H, W, 3) in other axes, by rigid (B, 1, 3, 4)."""
    return torch.einsum("bij,bshwj->bshwi", to_from[:, 0, :, :3], vectors)


def camera_points(batch: ClipBatch) -> Tensor:
    """(B, S, H, W, 3) of every pixel in its own camera's frame; 0 where depth is unknown."""
    height, width = batch.depth.shape[-2:]
    return batch.depth[..., None] * rays((height, width), batch.fields_of_view)[:, None]


def rays(size: tuple[int, int], fields_of_view: Tensor) -> Tensor:
    """(B, H, W, 3) through every pixel, 1 along z; pixel (W/2, H/2) looks ahead.

    Args:
        size: (H, W).
        fields_of_view: (B, 2) vertical and horizontal, radians.
    """
    height, width = size
    like = fields_of_view
    rows, columns = (torch.arange(n, device=like.device, dtype=like.dtype) for n in size)
    tangents = torch.tan(fields_of_view / 2)
    down = (rows - height / 2) / (height / 2) * tangents[:, 0, None]  # (B, H)
    right = (columns - width / 2) / (width / 2) * tangents[:, 1, None]  # (B, W)
    shape = (len(like), height, width)
    x, y = right[:, None, :].expand(shape), down[:, :, None].expand(shape)
    return torch.stack([x, y, torch.ones_like(x)], dim=-1)
