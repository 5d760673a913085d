"""Rendered clips with exact depth: a textured room seen by a moving camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from svggt import geometry
from svggt.prediction import FramePrediction

WIDTH, HEIGHT, FOCAL = 480, 320, 400.0
_HALF = np.array([4.0, 2.0, 5.0])  # of the room


@dataclass(frozen=True)
class Rendered:
    """What a refiner is given, and the truth."""

    greys: list[NDArray[np.uint8]]
    predictions: list[FramePrediction]
    world_from_cam: NDArray[np.floating]


def look(yaw: float, position) -> NDArray[np.floating]:
    """World_from_cam of a camera turned about the vertical, degrees."""
    half = np.radians(yaw) / 2
    rotation = geometry.rotation_from_quaternion(np.array([0, np.sin(half), 0, np.cos(half)]))
    return np.concatenate([rotation, np.asarray(position, float).reshape(3, 1)], axis=1)


def render(poses: list[NDArray[np.floating]], scales=None, mover: float = 0.0) -> Rendered:
    """A clip along poses.

    Args:
        poses: world_from_cam, inside the room.
        scales: what each frame's depth is multiplied by before the refiner sees it.
        mover: the share of the picture that a textured panel covers, which crosses it.
    """
    texture = _texture()
    scales = np.ones(len(poses)) if scales is None else scales
    greys, predictions = [], []
    for number, pose in enumerate(poses):
        grey, depth = _trace(pose, texture)
        if mover:
            grey, depth = _cover(grey, depth, texture, number, mover)
        greys.append(grey)
        predictions.append(_predict(number, (depth * scales[number]).astype(np.float32)))
    first = geometry.invert(poses[0])
    relative = np.stack([geometry.compose(first, pose) for pose in poses])
    return Rendered(greys, predictions, relative)


def _texture() -> NDArray[np.uint8]:
    """Smooth noise of several sizes, with corners at all scales."""
    rng = np.random.default_rng(0)
    total = np.zeros((1024, 1024))
    for cells in (16, 64, 256):
        noise = rng.random((cells, cells))
        total += np.kron(noise, np.ones((1024 // cells, 1024 // cells)))
    total = (total - total.min()) / np.ptp(total)
    return (255 * total).astype(np.uint8)


def _trace(pose, texture) -> tuple[NDArray[np.uint8], NDArray[np.floating]]:
    u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    rays = np.stack([(u - WIDTH / 2) / FOCAL, (v - HEIGHT / 2) / FOCAL, np.ones_like(u)], -1)
    directions = rays @ pose[:, :3].T
    directions = np.where(np.abs(directions) < 1e-12, 1e-12, directions)
    with np.errstate(divide="ignore"):
        walls = (np.sign(directions) * _HALF - pose[:, 3]) / directions
    wall = walls.argmin(axis=-1)
    depth = walls.min(axis=-1)
    points = pose[:, 3] + directions * depth[..., None]
    axes = np.array([[2, 1], [0, 2], [0, 1]])[wall]
    a = np.take_along_axis(points, axes[..., :1], -1)[..., 0]
    b = np.take_along_axis(points, axes[..., 1:], -1)[..., 0]
    side = np.take_along_axis(np.sign(directions), wall[..., None], -1)[..., 0]
    shift = 300 * wall + 150 * (side > 0)  # every wall its own piece of texture
    return _lookup(texture, a * 100 + shift, b * 100 + shift), depth


def _lookup(texture, x, y) -> NDArray[np.uint8]:
    """Bilinear, repeated."""
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = x - x0, y - y0
    at = lambda i, j: texture[i % 1024, j % 1024].astype(float)  # noqa: E731
    top = at(y0, x0) * (1 - fx) + at(y0, x0 + 1) * fx
    bottom = at(y0 + 1, x0) * (1 - fx) + at(y0 + 1, x0 + 1) * fx
    return (top * (1 - fy) + bottom * fy).astype(np.uint8)


def _cover(grey, depth, texture, number, share):
    width = int(share * WIDTH)
    left = (7 * number) % (WIDTH - width)
    grey, depth = grey.copy(), depth.copy()
    grey[:, left : left + width] = texture[500 : 500 + HEIGHT, 200 : 200 + width]
    depth[:, left : left + width] = 1.0
    return grey, depth


def _predict(number: int, depth) -> FramePrediction:
    return FramePrediction(
        number=number,
        time_s=float(number),
        image=np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        cam_from_world=np.eye(3, 4),
        intrinsics=np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]]),
        depth=depth,
        depth_conf=np.full(depth.shape, 2, np.float32)
        + np.random.default_rng(number).random(depth.shape, np.float32),
        world_points=None,
        world_points_conf=None,
        seconds=0.0,
        memory_bytes=0,
    )
