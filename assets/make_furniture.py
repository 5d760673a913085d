"""Makes `furniture.npz`, the meshes of rendered training clips, from Debian's furniture library.

    apt-get download sweethome3d-furniture && dpkg -x sweethome3d-furniture_*.deb SOURCE
    pip install fast-simplification
    python assets/make_furniture.py SOURCE/usr/share/sweethome3d/furniture/BlendSwap-CC-0.sh3f

The models are CC0 (LICENSES.md). Each is brought to its real size, and every material of it to few
triangles of one colour: a clip has some dozen of them, small in the picture.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image
from scipy.spatial import cKDTree
from trimesh.visual.material import SimpleMaterial

FURNITURE = Path(__file__).parent / "furniture.npz"
CATALOGUE = "PluginFurnitureCatalog.properties"
TRIANGLES = 256  # of a model at most
MATERIALS = 6  # of a model at most; smaller ones become one
FEWEST = 8  # triangles of a material
CELLS = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05)  # metres; the finest that does
SIZES = (0.3, 3.0)  # metres: the largest side of what stands in rooms and gardens
LOST = 0.02  # of a model's diagonal: what points of it may be moved by, on average
SAMPLES = 20_000
GREY = SimpleMaterial(name="none", diffuse=(128, 128, 128, 255))  # of what has no material
CLEAR = 0.5  # opacity below which a camera sees what is behind, and so does a depth sensor


@dataclass(frozen=True)
class Surface:
    """What a model has of one material.

    Attributes:
        mesh: its triangles.
        color: (3,) RGB, 0 to 255.
    """

    mesh: trimesh.Trimesh
    color: np.ndarray


@dataclass(frozen=True)
class Model:
    """A piece of furniture.

    Attributes:
        name: what it is.
        triangles: (T, 3, 3) metres, y down, the middle of its footprint at 0, its front to +z.
        material: (T,) number of each.
        colors: (MATERIALS, 3) RGB, 0 to 255.
    """

    name: str
    triangles: np.ndarray
    material: np.ndarray
    colors: np.ndarray


def catalogue(folder: Path) -> list[dict[str, str]]:
    """One entry a model: keys as the library has them."""
    models: dict[int, dict[str, str]] = {}
    for line in (folder / CATALOGUE).read_text("latin-1").splitlines():
        key, _, value = line.partition("=")
        name, _, number = key.partition("#")
        if number.isdigit():
            models.setdefault(int(number), {})[name] = value
    return [models[number] for number in sorted(models)]


def fits(entry: dict[str, str]) -> bool:
    """Whether it is as large as furniture."""
    largest = max(float(entry[side]) for side in ("width", "height", "depth")) / 100
    return SIZES[0] <= largest <= SIZES[1]


def surfaces_of(folder: Path, entry: dict[str, str]) -> list[Surface]:
    """What can be seen of a model, the largest first."""
    scene = trimesh.load_scene(folder / entry["model"].lstrip("/"))
    materials: dict[str, SimpleMaterial] = {}
    meshes: dict[str, list[trimesh.Trimesh]] = {}
    for mesh in scene.dump():
        material = getattr(mesh.visual, "material", GREY)
        if material.diffuse[3] >= 255 * CLEAR:
            materials[material.name] = material
            meshes.setdefault(material.name, []).append(trimesh.Trimesh(mesh.vertices, mesh.faces))
    surfaces = [
        Surface(trimesh.util.concatenate(several), color_of(materials[name]))
        for name, several in meshes.items()
    ]
    return sorted(surfaces, key=lambda surface: -surface.mesh.area)


def color_of(material: SimpleMaterial) -> np.ndarray:
    """The mean of its picture, or its own."""
    if material.image is None:
        return np.asarray(material.diffuse[:3], float)
    return np.asarray(material.image.convert("RGB").resize((1, 1), Image.Resampling.BOX))[0, 0]


def few(surfaces: list[Surface]) -> list[Surface]:
    """The smallest become one, of their mean colour."""
    kept, rest = surfaces[: MATERIALS - 1], surfaces[MATERIALS - 1 :]
    if not rest:
        return kept
    color = np.average([s.color for s in rest], axis=0, weights=[s.mesh.area for s in rest])
    return [*kept, Surface(trimesh.util.concatenate([s.mesh for s in rest]), color)]


def coarse(mesh: trimesh.Trimesh, cell: float, triangles: int) -> trimesh.Trimesh:
    """Of about so many triangles; what is nearer than a cell becomes one, so that parts join."""
    mesh = trimesh.Trimesh(np.round(mesh.vertices / cell) * cell, mesh.faces)
    mesh.update_faces(mesh.unique_faces() & mesh.nondegenerate_faces())
    mesh.remove_unreferenced_vertices()
    if len(mesh.faces) <= triangles:
        return mesh
    return mesh.simplify_quadric_decimation(face_count=triangles, aggression=8)


def placement(triangles: np.ndarray, entry: dict[str, str]) -> np.ndarray:
    """(4, 4): to its real size in metres, the middle of its footprint at 0, front to +z."""
    turn = np.array(entry.get("modelRotation", "1 0 0 0 1 0 0 0 1").split(), float).reshape(3, 3)
    turned = triangles @ turn.T
    low, high = turned.min((0, 1)), turned.max((0, 1))
    size = np.array([float(entry[side]) for side in ("width", "height", "depth")]) / 100
    middle = np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    stretch = size / np.maximum(high - low, 1e-9)
    there = np.eye(4)
    there[:3, :3] = stretch[:, None] * turn
    there[:3, 3] = -stretch * middle + (0, float(entry.get("elevation", 0)) / 100, 0)
    return there


def enough(surfaces: list[Surface], shares: list[int]) -> list[trimesh.Trimesh] | None:
    """As fine as few triangles allow; None: a model of too many small parts."""
    for cell in CELLS:
        meshes = [coarse(s.mesh, cell, share) for s, share in zip(surfaces, shares, strict=True)]
        if sum(len(mesh.faces) for mesh in meshes) <= TRIANGLES:
            return meshes if lost(surfaces, meshes) < LOST else None
    return None


def lost(surfaces: list[Surface], meshes: list[trimesh.Trimesh]) -> float:
    """Mean distance from a point of the model to what is left of it, by the model's diagonal."""
    before = trimesh.util.concatenate([surface.mesh for surface in surfaces])
    after = trimesh.util.concatenate(meshes)
    here, there = (trimesh.sample.sample_surface(x, SAMPLES, seed=0)[0] for x in (before, after))
    return float(cKDTree(there).query(here)[0].mean() / before.scale)


def model_of(folder: Path, entry: dict[str, str]) -> Model | None:
    """A model of the catalogue, if few triangles can show it."""
    surfaces = few(surfaces_of(folder, entry))
    there = placement(np.concatenate([s.mesh.triangles for s in surfaces]), entry)
    for surface in surfaces:
        surface.mesh.apply_transform(there)
    whole = sum(surface.mesh.area for surface in surfaces)
    free = TRIANGLES - FEWEST * len(surfaces)
    shares = [FEWEST + int(free * surface.mesh.area / whole) for surface in surfaces]
    meshes = enough(surfaces, shares)
    if meshes is None:
        return None
    triangles = np.concatenate([mesh.triangles for mesh in meshes]) * (1, -1, 1)
    material = np.repeat(np.arange(len(meshes)), [len(mesh.faces) for mesh in meshes])
    colors = np.zeros((MATERIALS, 3))
    colors[: len(surfaces)] = [surface.color for surface in surfaces]
    return Model(entry["name"], triangles, material, colors)


def main(library: Path) -> None:
    """Reads the library and writes the file."""
    with tempfile.TemporaryDirectory() as unpacked:
        folder = Path(unpacked)
        with zipfile.ZipFile(library) as packed:
            packed.extractall(folder)
        drawn = [model_of(folder, entry) for entry in catalogue(folder) if fits(entry)]
    models = [model for model in drawn if model]
    np.savez_compressed(
        FURNITURE,
        names=[model.name for model in models],
        count=[len(model.triangles) for model in models],
        millimetres=np.round(1000 * np.concatenate([m.triangles for m in models])).astype(np.int16),
        material=np.concatenate([model.material for model in models]).astype(np.uint8),
        colors=np.round([model.colors for model in models]).astype(np.uint8),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
