"""Which primitive a ray meets first: one reduction over all of them, exact."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from svggt.train.synth.furniture import CYLINDER, ELLIPSOID
from svggt.train.synth.places import Places

NOTHING = 1e6
"""Metres: the distance of what is not there."""

_NEAREST = 0.02  # metres; nothing is nearer to a camera, and no light starts within a surface
_SMALL = 1e-9


@dataclass(frozen=True, eq=False)
class Rays:
    """N rays in each of B places.

    Attributes:
        origin: (B, N, 3).
        direction: (B, N, 3), of any length: distances are in its unit.
        frame: (B, N) when they are cast: things may have moved.
    """

    origin: Tensor
    direction: Tensor
    frame: Tensor

    def part(self, span: slice) -> Rays:
        """Some of them."""
        return Rays(self.origin[:, span], self.direction[:, span], self.frame[:, span])


def nearest(places: Places, rays: Rays, at_once: int = 16_384) -> tuple[Tensor, Tensor]:
    """Distance (B, N) to the nearest primitive, `NOTHING` where there is none, and its number.

    Args:
        places: with the primitives.
        rays: through them.
        at_once: rays, so that what is computed stays in a CPU's cache; a GPU takes more.
    """
    found = [
        _nearest(places, rays.part(slice(first, first + at_once)))
        for first in range(0, rays.origin.shape[1], at_once)
    ]
    distances, numbers = zip(*found, strict=True)
    return torch.cat(distances, dim=1), torch.cat(numbers, dim=1)


def local(places: Places, rays: Rays) -> tuple[Tensor, Tensor]:
    """Origins and directions (B, N, K, 3) in every primitive's own axes, in units of its half."""
    moved = rays.frame[:, :, None, None] * places.velocity[:, None]
    offset = rays.origin[:, :, None] - places.centre[:, None] - moved
    turn = places.rotation
    half = places.half[:, None]
    origin = torch.einsum("bkij,bnki->bnkj", turn, offset) / half
    direction = torch.einsum("bkij,bni->bnkj", turn, rays.direction) / half
    return origin, torch.where(direction.abs() < _SMALL, _SMALL, direction)


def _nearest(places: Places, rays: Rays) -> tuple[Tensor, Tensor]:
    origin, direction = local(places, rays)
    low, high = (-1 - origin) / direction, (1 - origin) / direction
    enter = torch.minimum(low, high)  # (B, N, K, 3) of every slab
    leave = torch.maximum(low, high)
    shape = places.shape[:, None]
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
