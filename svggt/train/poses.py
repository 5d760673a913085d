"""Cameras as torch tensors: the pose encoding of the network, and its error. No numpy, no state.

Conventions are those of `svggt.geometry`, which says the same in numpy.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def rotation_of(xyzw: Tensor) -> Tensor:
    """(..., 4) quaternion, scalar last and of any length but 0, to (..., 3, 3)."""
    x, y, z, w = F.normalize(xyzw, dim=-1).unbind(-1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def quaternion_of(rotation: Tensor) -> Tensor:
    """(..., 3, 3) to (..., 4), scalar last and not negative, of length 1.

    Each row of the matrix below is the quaternion times one of its components; the one with the
    largest component has lost nothing to rounding (Shepperd 1978).
    """
    m = [[rotation[..., i, j] for j in range(3)] for i in range(3)]
    x, y, z = m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]
    xy, xz, yz = m[0][1] + m[1][0], m[0][2] + m[2][0], m[1][2] + m[2][1]
    rows = (
        (1 + m[0][0] - m[1][1] - m[2][2], xy, xz, x),
        (xy, 1 - m[0][0] + m[1][1] - m[2][2], yz, y),
        (xz, yz, 1 - m[0][0] - m[1][1] + m[2][2], z),
        (x, y, z, 1 + m[0][0] + m[1][1] + m[2][2]),
    )
    products = torch.stack([torch.stack(row, -1) for row in rows], -2)  # (..., 4, 4)
    largest = products.diagonal(dim1=-2, dim2=-1).argmax(-1)
    chosen = products.gather(-2, largest[..., None, None].expand(*largest.shape, 1, 4))[..., 0, :]
    return F.normalize(torch.where(chosen[..., 3:] < 0, -chosen, chosen), dim=-1)


def encode_pose(cam_from_world: Tensor, fields_of_view: Tensor) -> Tensor:
    """Cameras (B, S, 3, 4) and their vertical and horizontal angles (B, 2) to (B, S, 9)."""
    frames = cam_from_world.shape[1]
    views = fields_of_view[:, None].expand(-1, frames, -1)
    quaternion = quaternion_of(cam_from_world[..., :3])
    return torch.cat([cam_from_world[..., 3], quaternion, views], dim=-1)


def decode_pose(pose_enc: Tensor) -> Tensor:
    """(..., 9) to cam_from_world (..., 3, 4)."""
    return torch.cat([rotation_of(pose_enc[..., 3:7]), pose_enc[..., :3, None]], dim=-1)


def invert(transform: Tensor) -> Tensor:
    """Inverse of a rigid (..., 3, 4)."""
    rotation = transform[..., :3].transpose(-1, -2)
    return torch.cat([rotation, -rotation @ transform[..., 3:]], dim=-1)


def compose(a_from_b: Tensor, b_from_c: Tensor) -> Tensor:
    """a_from_c of two rigid (..., 3, 4)."""
    rotation = a_from_b[..., :3] @ b_from_c[..., :3]
    translation = a_from_b[..., :3] @ b_from_c[..., 3:] + a_from_b[..., 3:]
    return torch.cat([rotation, translation], dim=-1)


def transform(points: Tensor, to_from: Tensor) -> Tensor:
    """Points (..., 3), brought by a (..., 3, 4) of the same leading dimensions."""
    return (to_from[..., :3] @ points[..., None])[..., 0] + to_from[..., 3]


def angle_between(one: Tensor, other: Tensor) -> Tensor:
    """Degrees (...) between rotations (..., 3, 3)."""
    relative = one.transpose(-1, -2) @ other
    xyzw = quaternion_of(relative)
    return torch.rad2deg(2 * torch.atan2(xyzw[..., :3].norm(dim=-1), xyzw[..., 3]))
