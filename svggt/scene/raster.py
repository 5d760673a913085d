"""Clouds drawn on the CPU, the same on every machine: every point a square of its own size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt import geometry
from svggt.scene.camera_view import CameraView
from svggt.scene.clouds import Cloud

Array = NDArray[Any]
Picture = NDArray[np.uint8]

_NEAR = 1e-3
_WIDEST = 16  # pixels across a point
_NOTHING = np.iinfo(np.int64).max


def render(
    cloud: Cloud,
    world_from_cam: Array,
    focal: float,
    backdrop: Picture,
    least: int = 1,
    sizes: Array | float | None = None,
) -> Picture:
    """A picture (H, W, 3) of a cloud, the nearest point in front.

    Args:
        cloud: in the world.
        world_from_cam: (3, 4), OpenCV axes.
        focal: over the picture's width.
        backdrop: (H, W, 3), where no point is.
        least: pixels across a point, however far it is.
        sizes: (N,) across each point, in the world's unit; the cloud's if left out.
    """
    height, width = backdrop.shape[:2]
    cam_from_world = geometry.invert(world_from_cam).astype(np.float32)
    points = cloud.points.astype(np.float32) @ cam_from_world[:, :3].T + cam_from_world[:, 3]
    x, y, depth = points.T
    # A rim around the picture takes the parts of points that stick out of it.
    depth = np.maximum(depth, _NEAR)
    columns = focal * width * x / depth + width / 2 + _WIDEST
    rows = focal * width * y / depth + height / 2 + _WIDEST
    rim = 2 * _WIDEST
    inside = (columns > 0) & (columns < width + rim) & (rows > 0) & (rows < height + rim)
    (seen,) = np.nonzero(inside & (depth > _NEAR))
    columns, rows, depth = (each[seen] for each in (columns, rows, depth))
    size = np.broadcast_to(cloud.size if sizes is None else sizes, len(cloud))[seen]
    across = np.clip(np.ceil(focal * width * size / depth), least, _WIDEST).astype(int)
    # Positive floats are ordered as their bits are: depth first, then whose it is.
    keys = depth.view(np.int32).astype(np.int64) << 32 | seen
    wide = width + 2 * rim
    nearest = np.full((height + 2 * rim) * wide, _NOTHING)
    for side in range(least, _WIDEST + 1):
        mine = across == side
        corner = (side - 1) / 2 - _WIDEST  # half of it to the left and above; and the rim
        whose = keys[mine]
        first = (rows[mine] - corner).astype(int) * wide + (columns[mine] - corner).astype(int)
        for down, right in np.ndindex(side, side):
            np.minimum.at(nearest, first + (down * wide + right), whose)
    nearest = nearest.reshape(-1, wide)[rim : height + rim, rim : width + rim]
    drawn = nearest != _NOTHING
    picture = backdrop.copy()
    picture[drawn] = cloud.colors[nearest[drawn] & 0xFFFFFFFF]
    return picture


def pixels_of(points: Array, world_from_cam: Array, focal: float, size: tuple[int, ...]) -> Array:
    """Columns and rows (N, 2) at which world points are drawn; NaN for those behind."""
    cam_from_world = geometry.invert(world_from_cam)
    x, y, depth = (points @ cam_from_world[:, :3].T + cam_from_world[:, 3]).T
    depth = np.where(depth > _NEAR, depth, np.nan)
    height, width = size[:2]
    return focal * width * np.stack([x, y], axis=-1) / depth[:, None] + [width / 2, height / 2]


def pulled_back(world_from_cam: Array, distance: float) -> Array:
    """The same camera, further back and a little higher."""
    moved = world_from_cam.copy()
    moved[:, 3] += world_from_cam[:, :3] @ np.array([0.0, -0.3 * distance, -distance])
    return moved


def pose_of(view: CameraView) -> Array:
    """World_from_cam (3, 4) of a view, OpenCV axes; the world is the view's."""
    ahead = view.target - view.position
    ahead = ahead / np.linalg.norm(ahead)
    right = np.cross(ahead, view.up)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(ahead, right), ahead, view.position], axis=1)
