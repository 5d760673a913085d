"""Clouds drawn on the CPU, for pictures and films of a report: every point a small square."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from svggt import geometry
from svggt.scene.clouds import Cloud

Array = NDArray[Any]

_NEAR = 1e-3
_SPLAT = (-1, 0, 1)  # rows and columns beside a point's pixel that it covers too


def render(
    cloud: Cloud, world_from_cam: Array, focal: float, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """A picture (H, W, 3) of a cloud on white, the nearest point in front.

    Args:
        cloud: in the world.
        world_from_cam: (3, 4), OpenCV axes.
        focal: over the picture's width.
        size: (H, W).
    """
    height, width = size
    cam_from_world = geometry.invert(world_from_cam)
    points = cloud.points @ cam_from_world[:, :3].T + cam_from_world[:, 3]
    front = points[:, 2] > _NEAR
    points, colors = points[front], cloud.colors[front]
    order = np.argsort(-points[:, 2])  # what comes later is drawn over
    points, colors = points[order], colors[order]
    u, v = (focal * width * points[:, i] / points[:, 2] for i in (0, 1))
    columns, rows = (u + width / 2).astype(int), (v + height / 2).astype(int)
    picture = np.full((height, width, 3), 255, np.uint8)
    for down in _SPLAT:
        for right in _SPLAT:
            row, column = rows + down, columns + right
            seen = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            picture[row[seen], column[seen]] = colors[seen]
    return picture


def pulled_back(world_from_cam: Array, distance: float) -> Array:
    """The same camera, further back and a little higher."""
    moved = world_from_cam.copy()
    moved[:, 3] += world_from_cam[:, :3] @ np.array([0.0, -0.3 * distance, -distance])
    return moved


def write_film(pictures: list[NDArray[np.uint8]], path: Path, frames_per_second: int) -> None:
    """An MP4 (H.264) of pictures of one size, even in both directions."""
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(frames_per_second))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
