"""Cameras and points, in numpy. Conventions: OpenCV axes (x right, y down, z forward).

Transforms are (..., 3, 4) and named by their frames: p_cam = cam_from_world @ [p_world, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_VIEW = (0.02, 3.1)  # radians; fields of view that a camera can have


def rotation_from_quaternion(xyzw: Array) -> Array:
    """(..., 4) quaternion, scalar last and of any length but 0, to (..., 3, 3).

    The network does not normalise its quaternions; the formula divides by the squared norm.
    """
    x, y, z, w = np.moveaxis(np.asarray(xyzw, dtype=np.float64), -1, 0)
    s = 2.0 / (x * x + y * y + z * z + w * w)
    rows = [
        [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
        [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
        [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def decode_pose(pose_enc: Array, size: tuple[int, int]) -> tuple[Array, Array]:
    """A pose encoding to camera matrices (docs/conventions.md).

    Args:
        pose_enc: (..., 9): translation of cam_from_world, quaternion x y z w, vertical and
            horizontal field of view in radians.
        size: (height, width) of the picture in pixels.

    Returns:
        cam_from_world (..., 3, 4), and intrinsics (..., 3, 3) in pixels with the principal
        point at the picture's centre; fields of view are kept within 0.02 and 3.1 radians.
    """
    pose = np.asarray(pose_enc, dtype=np.float64)
    rotation = rotation_from_quaternion(pose[..., 3:7])
    cam_from_world = np.concatenate([rotation, pose[..., :3, None]], axis=-1)
    height, width = size
    # The network's ReLU lets 0 through, which would be an infinite focal length.
    view = np.clip(pose[..., 7:9], *_VIEW)
    intrinsics = np.zeros((*pose.shape[:-1], 3, 3))
    intrinsics[..., 0, 0] = width / 2 / np.tan(view[..., 1] / 2)
    intrinsics[..., 1, 1] = height / 2 / np.tan(view[..., 0] / 2)
    intrinsics[..., 0, 2], intrinsics[..., 1, 2] = width / 2, height / 2
    intrinsics[..., 2, 2] = 1.0
    return cam_from_world, intrinsics


def invert(transform: Array) -> Array:
    """Inverse of a rigid (..., 3, 4)."""
    rotation = np.swapaxes(transform[..., :3], -1, -2)
    return np.concatenate([rotation, -rotation @ transform[..., 3:]], axis=-1)


def compose(a_from_b: Array, b_from_c: Array) -> Array:
    """a_from_c of two rigid (..., 3, 4)."""
    rotation = a_from_b[..., :3] @ b_from_c[..., :3]
    translation = a_from_b[..., :3] @ b_from_c[..., 3:] + a_from_b[..., 3:]
    return np.concatenate([rotation, translation], axis=-1)


def unproject(depth: Array, intrinsics: Array) -> Array:
    """Points (H, W, 3) in the camera's frame of a z-depth map (H, W).

    Integer pixel indices, no half pixel: x = (u - cx) z / fx (docs/conventions.md).
    """
    height, width = depth.shape
    u, v = np.arange(width), np.arange(height)[:, None]
    x = (u - intrinsics[0, 2]) / intrinsics[0, 0] * depth
    y = (v - intrinsics[1, 2]) / intrinsics[1, 1] * depth
    return np.stack([x, y, depth], axis=-1)


def rotation_angle(rotation: Array) -> Array:
    """Angle in degrees of (..., 3, 3) rotations, accurate for small ones too."""
    skew = rotation - np.swapaxes(rotation, -1, -2)
    sine = np.sqrt((skew**2).sum(axis=(-1, -2)) / 8)
    cosine = (np.trace(rotation, axis1=-2, axis2=-1) - 1) / 2
    return np.degrees(np.arctan2(sine, cosine))


def align_sim3(source: Array, target: Array) -> tuple[float, Array]:
    """The similarity that brings points nearest to others, least squares (Umeyama 1991, eq. 34).

    Args:
        source: (N, 3).
        target: (N, 3), in correspondence.

    Returns:
        scale s and rigid (3, 4) [R | t] with target ~ s R source + t. If the source points
        coincide, s is 0 and t the target's mean.
    """
    mean_source, mean_target = source.mean(axis=0), target.mean(axis=0)
    centred = source - mean_source
    covariance = (target - mean_target).T @ centred / len(source)
    u, singular, vt = np.linalg.svd(covariance)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    variance = (centred**2).sum() / len(source)
    scale = float((singular * sign).sum() / variance) if variance > 1e-12 else 0.0
    translation = mean_target - scale * rotation @ mean_source
    return scale, np.concatenate([rotation, translation[:, None]], axis=1)


@dataclass(frozen=True)
class Similarity:
    """x_old = scale * rigid[:, :3] x_new + rigid[:, 3]: from one world into another."""

    scale: float
    rigid: Array

    @classmethod
    def none(cls) -> Similarity:
        """Nothing moves."""
        return cls(1.0, np.eye(3, 4))

    @classmethod
    def of_camera(cls, old: Array, new: Array, scale: float) -> Similarity:
        """From one camera's pose (3, 4) in both worlds."""
        turn = old[:, :3] @ new[:, :3].T
        shift = old[:, 3] - scale * turn @ new[:, 3]
        return cls(scale, np.concatenate([turn, shift[:, None]], axis=1))

    def points(self, points: Array) -> Array:
        """Points (..., 3)."""
        return self.scale * points @ self.rigid[:, :3].T + self.rigid[:, 3]

    def pose(self, world_from_cam: Array) -> Array:
        """A camera's pose (3, 4): it turns and goes along, its own axes keep their scale."""
        scaled = np.concatenate([world_from_cam[:, :3], self.scale * world_from_cam[:, 3:]], axis=1)
        return compose(self.rigid, scaled)
