"""A surface through oriented points, by pycolmap: a program, which ends as the library ends it.

Screened Poisson reconstruction (Kazhdan and Hoppe, "Screened Poisson Surface Reconstruction", ACM
Transactions on Graphics 2013).
"""

from __future__ import annotations

import sys
from pathlib import Path

import pycolmap
import trimesh

_DEPTH = 9  # of the octree: 512 cells across the scene
_FACES = 500_000


def reconstruct(points: Path, mesh: Path, trim: float) -> None:
    """A PLY of oriented points becomes one of a surface, with as many faces at most."""
    options = pycolmap.PoissonMeshingOptions()
    options.depth, options.trim, options.num_threads = _DEPTH, trim, 1
    pycolmap.poisson_meshing(points, mesh, options)
    faces = len(trimesh.load_mesh(mesh, process=False).faces)
    if faces > _FACES:
        fewer = pycolmap.MeshSimplificationOptions()
        fewer.target_face_ratio, fewer.num_threads = _FACES / faces, 1
        pycolmap.simplify_mesh(mesh, mesh, fewer)


if __name__ == "__main__":
    reconstruct(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
