"""A surface through the points that a scene shows, as GLB with a colour a vertex."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import KDTree

from svggt.errors import BadInput
from svggt.exports import child
from svggt.exports.clouds import Y_UP, clouds_of
from svggt.scene.clouds import Cloud
from svggt.store.posed_frames import PosedFrames

Array = NDArray[Any]

MOST_POINTS = 400_000
"""Points that a surface is laid through."""

_NEIGHBOURS = 16  # that say where a point's surface faces
_AT_ONCE = 50_000  # points: more would take much memory
_TRIM = 2.5  # levels of the octree above the one that holds a point a cell: less is cut away
_LONGEST_SECONDS = 300
_MODULE = "svggt.exports.surface"
_NO_SURFACE = "These points make no surface: too few, or none that other views confirm."


def write_mesh(shots: PosedFrames, path: Path) -> None:
    """One mesh, as `write_glb` has its points.

    Raises:
        BadInput: the points make no surface.
    """
    clouds, centres = list[Cloud](), list[Array]()
    for number, cloud in enumerate(clouds_of(shots, MOST_POINTS)):
        clouds.append(cloud)
        centres.append(shots.shot(number).world_from_cam[:, 3])  # while its frame is at hand
    whole = Cloud.joined(clouds)
    if len(whole) < _NEIGHBOURS:
        raise BadInput(_NO_SURFACE)
    seen_from = np.repeat(centres, [len(cloud) for cloud in clouds], axis=0)
    wait = partial(shots.on_frame, shots.count - 1)
    surface = poisson(whole, normals(whole.points, seen_from), wait)
    surface.apply_transform(Y_UP)
    scene = trimesh.Scene(surface, metadata={"cameras": shots.cameras, "unit": shots.unit})
    scene.export(path, file_type="glb")


def normals(points: Array, seen_from: Array) -> Array:
    """Unit normals (N, 3) of points (N, 3), towards the cameras (N, 3) that saw them."""
    tree, found = KDTree(points), np.empty_like(points)
    for some in np.array_split(np.arange(len(points)), -(-len(points) // _AT_ONCE)):
        _, near = tree.query(points[some], _NEIGHBOURS)
        # The direction in which a point's neighbours spread least.
        spread = points[near] - points[near].mean(axis=1, keepdims=True)
        _, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", spread, spread))
        found[some] = axes[:, :, 0]
    towards = np.einsum("ni,ni->n", found, seen_from - points)
    return np.where(towards[:, None] < 0, -found, found)


def poisson(
    cloud: Cloud, facing: Array, wait: Callable[[], None] = lambda: None
) -> trimesh.Trimesh:
    """The surface of a cloud with normals (N, 3), in its coordinates.

    Args:
        cloud: the points.
        facing: their normals.
        wait: asked meanwhile; what it raises ends it.

    Raises:
        BadInput: it has none.
    """
    with tempfile.TemporaryDirectory() as folder:
        points, mesh = Path(folder, "points.ply"), Path(folder, "mesh.ply")
        _write_oriented(cloud, facing, points)
        trim = math.log(len(cloud), 4) - _TRIM
        arguments = (str(points), str(mesh), str(trim))
        try:  # on strange points the library ends its process
            child.run(_MODULE, Path(folder), *arguments, wait=wait, longest_s=_LONGEST_SECONDS)
            surface = trimesh.load_mesh(mesh, process=False)
        except (child.ChildFailed, OSError):
            raise BadInput(_NO_SURFACE) from None
    if not isinstance(surface, trimesh.Trimesh) or not len(surface.faces):
        raise BadInput(_NO_SURFACE)
    return surface


def _write_oriented(cloud: Cloud, facing: Array, path: Path) -> None:
    """A PLY of points with normals, which trimesh does not write."""
    kinds = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    kinds += [(name, "u1") for name in ("red", "green", "blue")]
    rows = np.empty(len(cloud), kinds)
    columns = (*cloud.points.T, *facing.T, *cloud.colors.T)
    for (name, _), column in zip(kinds, columns, strict=True):
        rows[name] = column
    types = {"<f4": "float", "u1": "uchar"}
    lines = [f"property {types[kind]} {name}" for name, kind in kinds]
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}", *lines]
    path.write_bytes("\n".join([*head, "end_header\n"]).encode() + rows.tobytes())
