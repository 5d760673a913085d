"""What rays meet first, of everything that stands in a place, and how it lies there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from svggt.train.synth.bundles import Bundles, Rays
from svggt.train.synth.furniture import CYLINDER, ELLIPSOID
from svggt.train.synth.models import Library, nearest_triangle
from svggt.train.synth.raycast import nearest, room_distance
from svggt.train.synth.rooms import Places

FACES = 6
"""Of a room."""


@dataclass(frozen=True, eq=False)
class Met:
    """What rays met, N in each of B places.

    Attributes:
        distance: (B, N) in units of the rays' directions; `NOTHING` for the sky.
        surface: (B, N) number: primitives, the room's faces, then materials of models.
        normal: (B, N, 3) of length 1, towards where the ray came from.
        u: (B, N) metres along the surface.
        v: (B, N) metres across.
    """

    distance: Tensor
    surface: Tensor
    normal: Tensor
    u: Tensor
    v: Tensor


@dataclass(frozen=True, eq=False)
class _Side:
    """Of what is met: number (B, N), normal (B, N, 3) either way, u and v (B, N)."""

    surface: Tensor
    normal: Tensor
    u: Tensor
    v: Tensor

    def where(self, chosen: Tensor, other: _Side) -> _Side:
        """These where chosen, else the others."""
        return _Side(
            torch.where(chosen, self.surface, other.surface),
            torch.where(chosen[..., None], self.normal, other.normal),
            torch.where(chosen, self.u, other.u),
            torch.where(chosen, self.v, other.v),
        )


def obstacle(places: Places, rays: Rays) -> Tensor:
    """Distance (B, N) to the nearest thing; the room itself is none."""
    bundles = Bundles.of(rays)
    distance = torch.minimum(
        nearest(places, bundles)[0], nearest_triangle(places.models, bundles)[0]
    )
    return distance.view(rays.frame.shape)


def meet(places: Places, rays: Rays) -> Met:
    """Primitives, models and the room, whichever is nearest."""
    bundles, shape = Bundles.of(rays), rays.frame.shape
    distance, part = (x.view(shape) for x in nearest(places, bundles))
    in_model, number, triangle = (x.view(shape) for x in nearest_triangle(places.models, bundles))
    to_room, face = room_distance(places, rays)
    first = torch.minimum(torch.minimum(distance, in_model), to_room)
    point = rays.origin + first[..., None] * rays.direction
    side = _of_primitives(places, rays.frame, point, part)
    models = _of_models(places, rays.frame, point, number, triangle)
    side = models.where(in_model < distance, side)
    side = _of_room(places, point, face).where(to_room == first, side)
    away = (side.normal * rays.direction).sum(-1, keepdim=True) > 0
    normal = torch.where(away, -side.normal, side.normal)
    return Met(first, side.surface, normal, side.u, side.v)


def _of_primitives(places: Places, frame: Tensor, point: Tensor, number: Tensor) -> _Side:
    rows = torch.arange(len(number), device=number.device)[:, None]
    rotation, half = places.rotation[rows, number], places.half[rows, number]
    moved = frame[..., None] * places.velocity[rows, number]
    offset = point - places.centre[rows, number] - moved
    inside = torch.einsum("bnij,bni->bnj", rotation, offset)  # metres, the part's own axes
    unit = inside / half
    flat = _axis(unit.abs().argmax(-1), unit) * unit.sign()
    round_ = unit / half
    cap = unit[..., 1].abs() > unit[..., ::2].norm(dim=-1)
    upright = torch.tensor([1.0, 0, 1.0], device=unit.device)
    wall = torch.where(cap[..., None], (1 - upright) * unit, upright * round_)
    shape = places.shape[rows, number][..., None]
    own = torch.where(shape == ELLIPSOID, round_, torch.where(shape == CYLINDER, wall, flat))
    normal = F.normalize(torch.einsum("bnij,bnj->bni", rotation, own.to(unit.dtype)), dim=-1)
    return _Side(number, normal, *_along(inside, own.abs().argmax(-1)))


def _of_models(
    places: Places, frame: Tensor, point: Tensor, number: Tensor, triangle: Tensor
) -> _Side:
    library = Library.on(point.device)
    rows = torch.arange(len(number), device=number.device)[:, None]
    model, pose = places.models.model[rows, number], places.models.at(rows, number, frame)
    a, b, c = library.triangles[model, triangle].unbind(-2)
    own = F.normalize(torch.linalg.cross(b - a, c - a), dim=-1)
    normal = torch.einsum("bnij,bnj->bni", pose.rotation, own)
    inside = pose.scale[..., None] * pose.inside(point)
    before = places.shape.shape[1] + FACES
    surface = before + number * library.colors.shape[1] + library.material[model, triangle]
    return _Side(surface, normal, *_along(inside, own.abs().argmax(-1)))


def _of_room(places: Places, point: Tensor, face: Tensor) -> _Side:
    axis = torch.tensor([1, 1, 0, 0, 2, 2], device=face.device)[face]
    normal = _axis(axis, point)
    return _Side(places.shape.shape[1] + face, normal, *_along(point, axis))


def _axis(number: Tensor, like: Tensor) -> Tensor:
    """(..., 3): 1 at the numbered axis (...); `F.one_hot` would wait for a device."""
    return (number[..., None] == torch.arange(3, device=like.device)).to(like.dtype)


def _along(point: Tensor, axis: Tensor) -> tuple[Tensor, Tensor]:
    """u and v (B, N): the coordinates of a point that its side does not face."""
    u = torch.where(axis == 0, point[..., 2], point[..., 0])
    return u, torch.where(axis == 1, point[..., 2], point[..., 1])
