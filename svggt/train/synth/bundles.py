"""Rays that pass through one point, a camera or a lamp, taken together: what lies beside their
cone is never asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

NOTHING = 1e6
"""Metres: the distance of what is not there."""

NEAREST = 0.02
"""In a ray's unit, metres: nothing is nearer to a camera, and no light starts within a surface."""

SMALL = 1e-9
"""What divides is not smaller."""

AT_ONCE = {"cpu": 8192, "cuda": 2**24}
"""Rays, by device; what is computed stays in a CPU's cache."""

PAIRS = {"cpu": 2**26, "cuda": 2**27}
"""Of a ray and what it asks, at once."""

_SLACK = 1e-3  # radians that a cone is widened by, against rounding


@dataclass(frozen=True, eq=False)
class Rays:
    """N rays in each of B places.

    Attributes:
        origin: (B, N, 3).
        direction: (B, N, 3), of any length: distances are in its unit.
        frame: (B, N) when they are cast: things may have moved.
        apex: (B, G, 3) that every N / G consecutive rays of one frame pass through.
    """

    origin: Tensor
    direction: Tensor
    frame: Tensor
    apex: Tensor


@dataclass(frozen=True, eq=False)
class Bundles:
    """Rays by the point that they pass through, and the cone that holds them.

    Attributes:
        origin: (A, n, 3).
        direction: (A, n, 3).
        frame: (A,).
        place: (A,) number of theirs.
        tip: (A, 3) of the cone.
        axis: (A, 3) of length 1.
        half_angle: (A,) radians.
    """

    origin: Tensor
    direction: Tensor
    frame: Tensor
    place: Tensor
    tip: Tensor
    axis: Tensor
    half_angle: Tensor

    @classmethod
    def of(cls, rays: Rays) -> Bundles:
        """B times G of them, place by place."""
        count, groups = rays.apex.shape[:2]
        origin, direction, frame = (
            x.unflatten(1, (groups, -1)).flatten(0, 1)
            for x in (rays.origin, rays.direction, rays.frame)
        )
        tip = rays.apex.flatten(0, 1)
        spread = origin - tip[:, None]  # of rays of light, which end in the tip; others begin there
        begins = spread.norm(dim=-1, keepdim=True) < SMALL
        ahead = F.normalize(torch.where(begins, direction, spread), dim=-1)
        axis = F.normalize(ahead.sum(1), dim=-1)
        half_angle = _angle((ahead * axis[:, None]).sum(-1).amin(-1)) + _SLACK
        place = torch.arange(count, device=tip.device).repeat_interleave(groups)
        return cls(origin, direction, frame[:, 0], place, tip, axis, half_angle)

    def chosen(self, numbers: Tensor) -> Bundles:
        """Some of them, or some of them again."""
        return Bundles(*(getattr(self, field.name)[numbers] for field in fields(self)))

    def reach(self, centre: Tensor, radius: Tensor) -> Tensor:
        """(A, K): whether spheres at (A, K, 3) with radii (A, K) reach into the cones."""
        offset = centre - self.tip[:, None]
        away = offset.norm(dim=-1)
        seen_under = torch.asin((radius / away.clamp_min(SMALL)).clamp_max(1))
        off_axis = _angle((offset * self.axis[:, None]).sum(-1) / away.clamp_min(SMALL))
        return (away <= radius) | (off_axis <= self.half_angle[:, None] + seen_under)


def in_turns(reached: Tensor, rays: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Bundles that are asked at once, and the numbers of what they ask, padded with others.

    Args:
        reached: (A, K) what a bundle has to ask.
        rays: number of rays in a bundle.

    Yields:
        Bundles (C,) and numbers (C, k) of theirs, ascending.
    """
    ascending, order = reached.sum(-1).sort(stable=True)
    counts = ascending.clamp_min(1).cpu().numpy()  # the host waits for a device once
    at_most, pairs = AT_ONCE[reached.device.type], PAIRS[reached.device.type]
    first = 0
    while first < len(counts):
        last = min(first + max(1, at_most // rays), len(counts))
        last = min(last, first + max(1, pairs // (rays * int(counts[last - 1]))))
        chosen, first = order[first:last], last
        numbers = reached[chosen].to(torch.uint8).topk(int(counts[last - 1]), dim=-1).indices
        yield chosen, numbers.sort(dim=-1).values


def _angle(cosine: Tensor) -> Tensor:
    return torch.acos(cosine.clamp(-1, 1))
