"""Clips whose truth is known by construction: a tilted plane seen by cameras that move."""

from __future__ import annotations

import torch
from torch import Tensor

from svggt.train.batch import ClipBatch, rays
from svggt.train.poses import rotation_of

VIEWS = torch.tensor([[0.9, 1.1]])


def turned(degrees: float, axis: tuple[float, float, float] = (0.0, 1.0, 0.0)) -> Tensor:
    """(3, 3) about an axis of length 1."""
    half = torch.deg2rad(torch.tensor(degrees)) / 2
    xyz = torch.sin(half) * torch.tensor(axis)
    return rotation_of(torch.cat([xyz, torch.cos(half)[None]]))


def plane(poses: Tensor, size: tuple[int, int], views: Tensor = VIEWS) -> ClipBatch:
    """What cameras (S, 3, 4) see of the plane z = 3 + 0.3 x of the world."""
    directions = torch.einsum("sij,hwj->shwi", poses[:, :, :3], rays(size, views)[0])
    origin = poses[:, None, None, :, 3]
    depth = (3 + 0.3 * origin[..., 0] - origin[..., 2]) / (
        directions[..., 2] - 0.3 * directions[..., 0]
    )
    frames = len(poses)
    return ClipBatch(
        images=torch.rand(1, frames, 3, *size),
        depth=depth[None],
        world_from_cam=poses[None],
        fields_of_view=views,
        motion=torch.zeros(1, frames, *size, 3),
        when=torch.arange(frames, dtype=torch.float32),
        good=torch.ones(1, dtype=torch.bool),
    )


def walk(frames: int) -> Tensor:
    """(S, 3, 4) that goes right and turns left."""
    poses = [
        torch.cat([turned(-3.0 * n), torch.tensor([[0.2 * n], [0.02 * n], [0.0]])], dim=1)
        for n in range(frames)
    ]
    return torch.stack(poses)
