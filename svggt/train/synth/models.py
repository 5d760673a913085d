"""Meshes of real furniture, and which of their triangles a ray meets first, exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor

from svggt.files import ASSETS
from svggt.train.synth.bundles import NEAREST, NOTHING, Bundles, in_turns

FURNITURE = ASSETS / "furniture.npz"
"""Models in millimetres (`assets/make_furniture.py`; CC0)."""

PAIRS = {"cpu": 4096, "cuda": 2**17}
"""Of a bundle and a model that are looked at at once, by device."""


@dataclass(frozen=True, eq=False)
class Library:
    """L models of at most T triangles and G materials: metres, y down, the floor at y = 0.

    What stands begins there; lamps, upper cabinets and their like hang at their height.

    Attributes:
        triangles: (L, T, 3, 3) corners; NaN of those that a model does not have.
        material: (L, T) of each.
        colors: (L, G, 3) of the materials, 0 to 1.
        low: (L, 3) corner of a model's box.
        high: (L, 3) the other one.
    """

    triangles: Tensor
    material: Tensor
    colors: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    @cache
    def on(cls, device: torch.device) -> Library:
        """All models of the file."""
        with np.load(FURNITURE) as file:
            counts, corners = file["count"], torch.from_numpy(file["millimetres"]).float() / 1000
            material, colors = (torch.from_numpy(file[x]) for x in ("material", "colors"))
        models, most = len(counts), int(counts.max())
        row = torch.arange(models).repeat_interleave(torch.from_numpy(counts))
        column = torch.cat([torch.arange(count) for count in counts.tolist()])
        triangles = corners.new_full((models, most, 3, 3), torch.nan)  # which no ray meets
        triangles[row, column] = corners
        of = torch.zeros(models, most, dtype=torch.long)
        of[row, column] = material.long()
        each = corners.split(counts.tolist())
        low, high = (
            torch.stack([x.amin((0, 1)) for x in each]),
            torch.stack([x.amax((0, 1)) for x in each]),
        )
        tensors = (triangles, of, colors.float() / 255, low, high)
        return cls(*(x.to(device) for x in tensors))

    @cached_property
    def spheres(self) -> tuple[Tensor, Tensor]:
        """Centres (L, T, 3) and radii (L, T) around the triangles."""
        centre = self.triangles.mean(2)
        return centre, (self.triangles - centre[:, :, None]).norm(dim=-1).amax(-1)


@dataclass(frozen=True, eq=False)
class Pose:
    """Where models are: x in the world is where + scale * rotation @ x in the model.

    Attributes:
        rotation: (..., 3, 3).
        scale: (...).
        where: (..., 3).
    """

    rotation: Tensor
    scale: Tensor
    where: Tensor

    def turned_back(self, vectors: Tensor) -> Tensor:
        """Directions (..., 3) of the world in the model's axes."""
        return torch.einsum("...ij,...i->...j", self.rotation, vectors)

    def inside(self, points: Tensor) -> Tensor:
        """Points (..., 3) of the world in the model."""
        return self.turned_back(points - self.where) / self.scale[..., None]


@dataclass(frozen=True, eq=False)
class Models:
    """M of the library's models, at least one, in each of B places.

    Attributes:
        model: (B, M) number in the library.
        rotation: (B, M, 3, 3) world_from_model.
        scale: (B, M) of their sizes.
        where: (B, M, 3) metres, when a clip begins.
        velocity: (B, M, 3) metres a frame.
    """

    model: Tensor
    rotation: Tensor
    scale: Tensor
    where: Tensor
    velocity: Tensor

    @property
    def middles(self) -> Tensor:
        """(B, M, 3) of their boxes, when a clip begins."""
        library = Library.on(self.where.device)
        inside = ((library.low + library.high) / 2)[self.model]
        turned = torch.einsum("bmij,bmj->bmi", self.rotation, inside)
        return self.where + self.scale[..., None] * turned

    @property
    def radii(self) -> Tensor:
        """(B, M) of spheres around the middles that hold them."""
        library = Library.on(self.where.device)
        return self.scale * ((library.high - library.low).norm(dim=-1) / 2)[self.model]

    def at(self, place: Tensor, number: Tensor, frame: Tensor) -> Pose:
        """Of models with a number in a place, at a frame; all of one shape (...)."""
        where = self.where[place, number] + frame[..., None] * self.velocity[place, number]
        return Pose(self.rotation[place, number], self.scale[place, number], where)


def nearest_triangle(models: Models, bundles: Bundles) -> tuple[Tensor, Tensor, Tensor]:
    """Distance (A, n) or `NOTHING`, model (A, n) in its place, and triangle (A, n) of it."""
    rays = bundles.direction.shape[1]
    moved = bundles.frame[:, None, None] * models.velocity[bundles.place]
    middles = models.middles[bundles.place] + moved
    reached = bundles.reach(middles, models.radii[bundles.place])
    distance = bundles.direction.new_full((*reached.shape, rays), NOTHING)
    triangle = torch.zeros_like(distance, dtype=torch.long)
    bundle, number = reached.nonzero(as_tuple=True)
    size = PAIRS[bundle.device.type]
    for at in zip(bundle.split(size), number.split(size), strict=True):
        chosen = bundles.chosen(at[0])
        pose = models.at(chosen.place, at[1], chosen.frame)
        distance[at], triangle[at] = _nearest(models.model[chosen.place, at[1]], pose, chosen)
    distance, number = distance.min(dim=1)
    return distance, number, triangle.gather(1, number[:, None])[:, 0]


def _nearest(model: Tensor, pose: Pose, bundles: Bundles) -> tuple[Tensor, Tensor]:
    """Distances and triangles (P, n), each bundle in one model (P,)."""
    library = Library.on(model.device)
    local = _seen_from(pose, bundles)
    offset = local.tip[:, None] - local.origin
    length = (local.direction * local.direction).sum(-1)
    ahead = (offset * local.direction).sum(-1) / length  # where the tip is on each ray
    centre, radius = library.spheres
    distance, triangle = ahead.clone(), torch.zeros_like(ahead, dtype=torch.long)
    for chosen, numbers in in_turns(local.reach(centre[model], radius[model]), ahead.shape[1]):
        corners = library.triangles[model[chosen, None], numbers]
        corners = corners - local.tip[chosen, None, None]
        distance[chosen], which = nearest_of(corners, local.direction[chosen], ahead[chosen])
        triangle[chosen] = numbers.gather(1, which)
    return distance, triangle


def _seen_from(pose: Pose, bundles: Bundles) -> Bundles:
    """Bundles (P,) in the axes of models: a cone's angle stays."""
    each = Pose(pose.rotation[:, None], pose.scale[:, None], pose.where[:, None])
    return replace(
        bundles,
        origin=each.inside(bundles.origin),
        direction=each.turned_back(bundles.direction) / each.scale[..., None],
        tip=pose.inside(bundles.tip),
        axis=pose.turned_back(bundles.axis),
    )


def nearest_of(corners: Tensor, direction: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest of triangles (C, k, 3, 3), seen from the tip of rays (C, n, 3): both (C, n).

    A ray meets a triangle if it is on one side of the three planes through the tip and an edge;
    where, its own plane says: from afar those three nearly cancel out.
    """
    a, b, c = corners.unbind(-2)
    planes = [torch.linalg.cross(*edge) for edge in ((b, c), (c, a), (a, b))]
    normal = torch.linalg.cross(b - a, c - a)
    x, y, z = (direction @ plane.transpose(-1, -2) for plane in planes)  # (C, n, k)
    least, most = torch.minimum(torch.minimum(x, y), z), torch.maximum(torch.maximum(x, y), z)
    height = (a * normal).sum(-1)[:, None]
    distance = height / (direction @ normal.transpose(-1, -2)) + ahead[..., None]
    met = ((least > 0) | (most < 0)) & (distance > NEAREST)
    return torch.where(met, distance, NOTHING).min(dim=-1)
