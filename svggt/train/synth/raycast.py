"""Which primitive a ray meets first, exactly: one reduction over those that its bundle may meet."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from svggt.train.synth.bundles import NEAREST, NOTHING, SMALL, Bundles, Rays, in_turns
from svggt.train.synth.furniture import CYLINDER, ELLIPSOID
from svggt.train.synth.rooms import Places


@dataclass(frozen=True, eq=False)
class Primitives:
    """K of them for each of A bundles.

    Attributes:
        shape: (A, K).
        rotation: (A, K, 3, 3) world_from_part.
        centre: (A, K, 3) when the bundle is cast.
        half: (A, K, 3).
    """

    shape: Tensor
    rotation: Tensor
    centre: Tensor
    half: Tensor

    @classmethod
    def of(cls, places: Places, place: Tensor, centre: Tensor, numbers: Tensor) -> Primitives:
        """Those with numbers (A, K) in places (A,), of which all stand at centres (A, N, 3) now."""
        at = place[:, None], numbers
        chosen = centre.gather(1, numbers[..., None].expand(-1, -1, 3))
        return cls(places.shape[at], places.rotation[at], chosen, places.half[at])


def nearest(places: Places, bundles: Bundles) -> tuple[Tensor, Tensor]:
    """Distance (A, n) to the nearest primitive, `NOTHING` where there is none, and its number."""
    # A bundle meets few primitives: those whose sphere its cone reaches, taken in turns of equal
    # size so that every turn is one dense tensor.
    distance = bundles.direction[..., 0].clone()
    number = torch.zeros_like(distance, dtype=torch.long)
    centre = places.centre[bundles.place]
    centre = centre + bundles.frame[:, None, None] * places.velocity[bundles.place]
    reached = bundles.reach(centre, places.half.norm(dim=-1)[bundles.place])
    for chosen, numbers in in_turns(reached, distance.shape[1]):
        found = Primitives.of(places, bundles.place[chosen], centre[chosen], numbers)
        distance[chosen], which = nearest_of(
            found, bundles.origin[chosen], bundles.direction[chosen]
        )
        number[chosen] = numbers.gather(1, which)
    return distance, number


def nearest_of(found: Primitives, origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Distances (A, n) of the nearest of K primitives, and which; rays are (A, n, 3)."""
    # In a primitive's own axes, scaled by its half sizes, a box is the unit cube, an ellipsoid the
    # unit sphere: slabs for the box (Kay and Kajiya 1986), a quadratic for the round ones. The
    # ray's parameter does not change by that, so distances stay metres along the direction.
    origin, direction = _local(found, origin, direction)
    low, high = (-1 - origin) / direction, (1 - origin) / direction
    enter = torch.minimum(low, high)  # (A, n, K, 3) of every slab
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


def _local(found: Primitives, origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Both (A, n, K, 3) in every primitive's own axes, in units of its half."""
    half = found.half[:, None]
    offset = origin[:, :, None] - found.centre[:, None]
    inside = torch.einsum("akij,anki->ankj", found.rotation, offset) / half
    ahead = torch.einsum("akij,ani->ankj", found.rotation, direction) / half
    return inside, torch.where(ahead.abs() < SMALL, SMALL, ahead)


def _met(enter: Tensor, leave: Tensor) -> Tensor:
    """Where a ray enters what it leaves later; from within it sees nothing of it."""
    return torch.where((enter < leave) & (enter > NEAREST), enter, NOTHING)


def _sphere(origin: Tensor, direction: Tensor) -> Tensor:
    return _met(*_roots(origin, direction))


def _cylinder(origin: Tensor, direction: Tensor, enter: Tensor, leave: Tensor) -> Tensor:
    """An upright one of radius 1, between its caps."""
    first, last = _roots(origin[..., ::2], direction[..., ::2])
    return _met(torch.maximum(first, enter), torch.minimum(last, leave))


def _roots(origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Where |origin + t direction| is 1; the first after the last where it never is."""
    # a t^2 + 2 b t + c = 0; without roots the first lies after the last, and nothing is met.
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
    x, y, z = torch.where(direction.abs() < SMALL, SMALL, direction).unbind(-1)
    # Distance to each of the six planes; from inside, the nearest ahead is the one that is seen.
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
    planes = torch.where(planes > NEAREST, planes, NOTHING)
    walls = torch.arange(6, device=planes.device) > 0
    planes = torch.where(places.open_air[:, None, None] & walls, NOTHING, planes)
    return planes.min(dim=-1)
