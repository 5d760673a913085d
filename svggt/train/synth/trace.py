"""Which primitive a ray meets first: exact, and most of them are never asked.

Rays that pass through one point, a camera or a lamp, are taken in bundles: one reduction over the
primitives whose spheres reach into the bundle's cone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from svggt.train.synth.furniture import CYLINDER, ELLIPSOID
from svggt.train.synth.places import Places

NOTHING = 1e6
"""Metres: the distance of what is not there."""

_NEAREST = 0.02  # metres; nothing is nearer to a camera, and no light starts within a surface
_SMALL = 1e-9
_AT_ONCE = {"cpu": 16_384, "cuda": 4_194_304}  # rays; what is computed stays in a CPU's cache
_SLACK = 1e-3  # radians that a cone is widened by, against rounding


@dataclass(frozen=True, eq=False)
class Rays:
    """N rays in each of B places.

    Attributes:
        origin: (B, N, 3).
        direction: (B, N, 3), of any length: distances are in its unit.
        frame: (B, N) when they are cast: things may have moved.
        apex: (B, G, 3) that every N / G consecutive rays of one frame pass through; or None.
    """

    origin: Tensor
    direction: Tensor
    frame: Tensor
    apex: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Primitives:
    """K of them in each of B groups, or those of `Places`.

    Attributes:
        shape: (B, K).
        rotation: (B, K, 3, 3) world_from_part.
        centre: (B, K, 3) at frame 0.
        half: (B, K, 3).
        velocity: (B, K, 3) metres a frame.
    """

    shape: Tensor
    rotation: Tensor
    centre: Tensor
    half: Tensor
    velocity: Tensor

    @classmethod
    def of(cls, places: Places, rows: Tensor, numbers: Tensor) -> Primitives:
        """Chosen ones: numbers (B, K) of places (B,)."""
        at = rows[:, None], numbers
        return cls(
            places.shape[at],
            places.rotation[at],
            places.centre[at],
            places.half[at],
            places.velocity[at],
        )


def nearest(places: Places, rays: Rays) -> tuple[Tensor, Tensor]:
    """Distance (B, N) to the nearest primitive, `NOTHING` where there is none, and its number."""
    count, primitives = places.shape.shape
    if rays.apex is None:
        rows = torch.arange(count, device=places.shape.device)
        numbers = torch.arange(primitives, device=rows.device).expand(count, -1)
        return _nearest(Primitives.of(places, rows, numbers), rays)
    groups = rays.apex.shape[1]
    bundles = Rays(
        rays.origin.unflatten(1, (groups, -1)).flatten(0, 1),
        rays.direction.unflatten(1, (groups, -1)).flatten(0, 1),
        rays.frame.unflatten(1, (groups, -1)).flatten(0, 1),
    )
    reached = _reached(places, bundles, rays.apex)
    distance, number = bundles.frame.clone(), torch.zeros_like(bundles.frame, dtype=torch.long)
    asked = reached.sum(-1)
    order = asked.argsort()
    at_once = max(1, _AT_ONCE[order.device.type] // bundles.frame.shape[1])
    for chosen in order.split(at_once):
        most = int(asked[chosen[-1]].clamp_min(1))
        numbers = reached[chosen].to(torch.uint8).topk(most, dim=-1).indices.sort(dim=-1).values
        found = Primitives.of(places, chosen // groups, numbers)
        part = Rays(bundles.origin[chosen], bundles.direction[chosen], bundles.frame[chosen])
        distance[chosen], local_number = _nearest(found, part)
        number[chosen] = numbers.gather(1, local_number)
    return distance.view(count, -1), number.view(count, -1)


def _reached(places: Places, bundles: Rays, apex: Tensor) -> Tensor:
    """(B * G, K): whether a primitive's sphere reaches into a bundle's cone."""
    groups = apex.shape[1]
    tip = apex.flatten(0, 1)[:, None]
    rows = torch.arange(len(tip), device=tip.device) // groups
    spread = bundles.origin - tip  # of rays of light, which end in the tip; others begin there
    begins = spread.norm(dim=-1, keepdim=True) < _SMALL
    ahead = F.normalize(torch.where(begins, bundles.direction, spread), dim=-1)
    axis = F.normalize(ahead.sum(1), dim=-1)[:, None]
    half_angle = _angle((ahead * axis).sum(-1).amin(-1))[:, None] + _SLACK
    moved = bundles.frame[:, :1, None] * places.velocity[rows]
    offset = places.centre[rows] + moved - tip  # (B * G, K, 3)
    away, radius = offset.norm(dim=-1), places.half[rows].norm(dim=-1)
    seen_under = torch.asin((radius / away.clamp_min(_SMALL)).clamp_max(1))
    off_axis = _angle((offset * axis).sum(-1) / away.clamp_min(_SMALL))
    return (away <= radius) | (off_axis <= half_angle + seen_under)


def _angle(cosine: Tensor) -> Tensor:
    return torch.acos(cosine.clamp(-1, 1))


def _local(found: Primitives, rays: Rays) -> tuple[Tensor, Tensor]:
    """Origins and directions (B, N, K, 3) in every primitive's own axes, in units of its half."""
    moved = rays.frame[:, :, None, None] * found.velocity[:, None]
    offset = rays.origin[:, :, None] - found.centre[:, None] - moved
    half = found.half[:, None]
    origin = torch.einsum("bkij,bnki->bnkj", found.rotation, offset) / half
    direction = torch.einsum("bkij,bni->bnkj", found.rotation, rays.direction) / half
    return origin, torch.where(direction.abs() < _SMALL, _SMALL, direction)


def _nearest(found: Primitives, rays: Rays) -> tuple[Tensor, Tensor]:
    origin, direction = _local(found, rays)
    low, high = (-1 - origin) / direction, (1 - origin) / direction
    enter = torch.minimum(low, high)  # (B, N, K, 3) of every slab
    leave = torch.maximum(low, high)
    shape = found.shape[:, None]
    distance = torch.where(
        shape == ELLIPSOID,
        _sphere(origin, direction),
        torch.where(
            shape == CYLINDER,
            _cylinder(origin, direction, enter[..., 1], leave[..., 1]),
            _met(enter.amax(-1), leave.amin(-1)),
        ),
    )
    return distance.min(dim=-1)


def _met(enter: Tensor, leave: Tensor) -> Tensor:
    """Where a ray enters what it leaves later; from within it sees nothing of it."""
    return torch.where((enter < leave) & (enter > _NEAREST), enter, NOTHING)


def _sphere(origin: Tensor, direction: Tensor) -> Tensor:
    return _met(*_roots(origin, direction))


def _cylinder(origin: Tensor, direction: Tensor, enter: Tensor, leave: Tensor) -> Tensor:
    """An upright one of radius 1, between its caps."""
    first, last = _roots(origin[..., ::2], direction[..., ::2])
    return _met(torch.maximum(first, enter), torch.minimum(last, leave))


def _roots(origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Where |origin + t direction| is 1; the first after the last where it never is."""
    a = (direction * direction).sum(-1)
    b = (origin * direction).sum(-1)
    c = (origin * origin).sum(-1) - 1
    inside = b * b - a * c
    root = inside.clamp_min(0).sqrt()
    never = inside <= 0
    return torch.where(never, NOTHING, (-b - root) / a), torch.where(
        never, -NOTHING, (-b + root) / a
    )


def room_distance(places: Places, rays: Rays) -> tuple[Tensor, Tensor]:
    """Distance (B, N) to floor, walls or ceiling, and which: 0 floor, 1 ceiling, 2 to 5 walls.

    In the open air there is the floor alone.
    """
    origin, direction = rays.origin, rays.direction
    x, y, z = torch.where(direction.abs() < _SMALL, _SMALL, direction).unbind(-1)
    half_x, half_z = (places.half_room[:, i, None] for i in (0, 1))
    planes = torch.stack(
        [
            -origin[..., 1] / y,
            (-places.height[:, None] - origin[..., 1]) / y,
            (half_x - origin[..., 0]) / x,
            (-half_x - origin[..., 0]) / x,
            (half_z - origin[..., 2]) / z,
            (-half_z - origin[..., 2]) / z,
        ],
        dim=-1,
    )
    planes = torch.where(planes > _NEAREST, planes, NOTHING)
    walls = torch.arange(6, device=planes.device) > 0
    planes = torch.where(places.open_air[:, None, None] & walls, NOTHING, planes)
    return planes.min(dim=-1)
