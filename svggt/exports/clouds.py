"""Points as GLB and PLY, written by trimesh."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from trimesh.path.entities import Line

from svggt.scene.clouds import Cloud, stride_of
from svggt.scene.posed_frame import PosedFrame
from svggt.store.posed_frames import PosedFrames

MOST_POINTS = 3_000_000

SEEDS = 200_000
"""Points that who trains splats on a model begins with."""

Y_UP = np.diag([1.0, -1.0, -1.0, 1.0])
"""glTF looks along -z and has y up."""

_FRUSTUM = 0.045  # of the median depth: how long a drawn camera is
_CORNERS = ((0, 0), (1, 0), (1, 1), (0, 1))
STROKE = np.array([0, 1, 2, 3, 4, 1, 0, 2, 0, 3, 0, 4])
"""Corners of a frustum, in the order of one line."""


def write_ply(shots: PosedFrames, path: Path) -> None:
    """Coloured points in the world; OpenCV's axes."""
    path.write_bytes(ply(cloud_of(shots)))


def write_glb(shots: PosedFrames, path: Path) -> None:
    """Coloured points, and every camera as a frustum of lines; y is up, as glTF wants it."""
    scene = trimesh.Scene(metadata={"cameras": shots.cameras, "unit": shots.unit})
    scene.add_geometry(_points(cloud_of(shots)), geom_name="points")
    size = _FRUSTUM * float(np.median(shots.first().depth))
    corners = np.concatenate([frustum(shot, size) for shot in shots])
    lines = [Line(5 * number + STROKE) for number in range(shots.count)]
    scene.add_geometry(trimesh.path.Path3D(lines, corners), geom_name="cameras")
    scene.apply_transform(Y_UP)
    path.write_bytes(_exported(scene, "glb"))


def cloud_of(shots: PosedFrames, most: int = MOST_POINTS) -> Cloud:
    """The world's points, at most so many."""
    return Cloud.joined(list(clouds_of(shots, most)))


def clouds_of(shots: PosedFrames, most: int) -> Iterator[Cloud]:
    """Every frame's points in the world, so many together at most."""
    stride = stride_of(shots.first().depth.size, max(1, most // shots.count))
    for number in range(shots.count):
        shots.on_frame(number)
        yield shots.cloud(number, stride)


def frustum(shot: PosedFrame, size: float) -> NDArray[Any]:
    """(5, 3) of a camera in the world: where it is, and the corners of its picture."""
    height, width = shot.prediction.depth.shape
    corners = np.array([[u * width, v * height, 1.0] for u, v in _CORNERS])
    rays = size * corners @ np.linalg.inv(shot.intrinsics).T
    pose = shot.world_from_cam
    return np.concatenate([pose[:, 3:].T, rays @ pose[:, :3].T + pose[:, 3]])


def ply(cloud: Cloud) -> bytes:
    """A cloud as a file."""
    return _exported(_points(cloud), "ply")


def _points(cloud: Cloud) -> trimesh.PointCloud:
    return trimesh.PointCloud(cloud.points, cloud.colors)


def _exported(what: Any, file_type: str) -> bytes:
    exported = what.export(file_type=file_type)
    assert isinstance(exported, bytes)
    return exported
