"""Where things stand: rooms and open air, furnished, with some things that move.

The world is in metres with y down, as OpenCV's cameras have it; the floor is at y = 0 and a room
reaches up to -height.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from svggt.train.synth.furniture import ELLIPSOID, MOST_PARTS, PIECES, WALKS, PartTable
from svggt.train.synth.models import Library, Models
from svggt.train.synth.rng import Rng

_OPEN_AIR = 0.2  # of all places
_MOVES = 0.15  # of the things in a place where some move
_SOME_MOVE = 0.4  # of all places
_THINNEST = 0.004
_RESIZED = (0.8, 1.3)  # real furniture, of its size

FAR_AWAY = 1e4
"""Metres: where parts are that a piece does not have."""


@dataclass(frozen=True, eq=False)
class Places:
    """B places of K primitives.

    Attributes:
        half_room: (B, 2) half width and half depth of the room.
        height: (B,) of the room.
        open_air: (B,) no walls and no ceiling.
        shape: (B, K) of `furniture`.
        rotation: (B, K, 3, 3) world_from_part.
        centre: (B, K, 3) when a clip begins.
        half: (B, K, 3).
        velocity: (B, K, 3) metres a frame.
        piece: (B, K) number of the piece that a primitive belongs to.
        models: meshes of furniture.
        middles: (B, N, 3) of all furniture, to look at.
    """

    half_room: Tensor
    height: Tensor
    open_air: Tensor
    shape: Tensor
    rotation: Tensor
    centre: Tensor
    half: Tensor
    velocity: Tensor
    piece: Tensor
    models: Models
    middles: Tensor


def make_places(count: int, chance: Rng, pieces: int = 8, models: int = 10) -> Places:
    """Furnishes places.

    Args:
        count: number of places.
        chance: draws.
        pieces: how much furniture each has that is made of primitives.
        models: how many real models of furniture each has.
    """
    open_air = chance.happens(count, share=_OPEN_AIR)
    wide = torch.where(open_air, 4.0, 1.0)[:, None]
    half_room = wide * chance.uniform(count, 2, low=1.6, high=4.5)
    height = chance.uniform(count, low=2.3, high=3.6)
    furnished = furnish(half_room, height, chance, pieces, models)
    return replace(furnished, open_air=open_air)


def furnish(
    half_room: Tensor, height: Tensor, chance: Rng, pieces: int = 8, models: int = 10
) -> Places:
    """Furnishes rooms with half widths and half depths (B, 2) and heights (B,), metres."""
    count = len(height)
    kind = chance.integers(count, pieces, below=len(PIECES))
    size = torch.stack(
        [
            chance.log_uniform(count, pieces, low=0.25, high=0.9),
            chance.log_uniform(count, pieces, low=0.6, high=1.4),
            chance.log_uniform(count, pieces, low=0.2, high=0.6),
        ],
        dim=-1,
    )
    size = torch.where((kind == WALKS)[..., None], size.clamp(0.8, 1.1), size)  # people
    where, yaw = _arranged(half_room, size, chance)
    table = PartTable.on(chance.device)
    turn = _about_y(yaw)
    centre = table.centre[kind] * size[:, :, None]  # (B, N, P, 3), height up
    centre = torch.einsum("bnij,bnpj->bnpi", turn, centre * centre.new_tensor([1, -1, 1]))
    centre = centre + where[:, :, None]
    half = (table.half[kind] * size[:, :, None] + table.thick[kind]).clamp_min(_THINNEST)
    there = table.there[kind][..., None]
    centre = torch.where(there, centre, FAR_AWAY)
    velocity = _velocities(kind == WALKS, chance)
    rotation = turn[:, :, None] @ _tilts(kind, table, chance)
    middles = where - 0.5 * size * size.new_tensor([0, 1, 0])
    real = _models(half_room, models, chance)
    numbers = torch.arange(pieces, device=chance.device)

    def flat(x: Tensor) -> Tensor:
        return x.flatten(1, 2)

    return Places(
        half_room=half_room,
        height=height,
        open_air=torch.zeros_like(height, dtype=torch.bool),
        shape=flat(table.shape[kind]),
        rotation=flat(rotation),
        centre=flat(centre),
        half=flat(half),
        velocity=velocity.repeat_interleave(MOST_PARTS, dim=1),
        piece=numbers.repeat_interleave(MOST_PARTS).expand(count, -1),
        models=real,
        middles=torch.cat([middles, real.middles], dim=1),
    )


def _models(half_room: Tensor, models: int, chance: Rng) -> Models:
    """Real furniture, nearly of its real size."""
    library, count = Library.on(chance.device), len(half_room)
    model = chance.integers(count, models, below=len(library.low))
    scale = chance.log_uniform(count, models, low=_RESIZED[0], high=_RESIZED[1])
    half = scale[..., None] * ((library.high - library.low) / 2)[model]
    where, yaw = _arranged(half_room, half, chance)
    nobody = torch.zeros_like(model, dtype=torch.bool)
    return Models(model, _about_y(yaw), scale, where, _velocities(nobody, chance))


def _arranged(half_room: Tensor, size: Tensor, chance: Rng) -> tuple[Tensor, Tensor]:
    """Footprints (B, N, 3) and angles (B, N): two thirds stand with their backs to a wall."""
    count, pieces = size.shape[:2]
    reach = half_room.clamp_max(4.0)[:, None]  # nobody furnishes a field to its end
    free = chance.uniform(count, pieces, 2, low=-0.95, high=0.95) * reach
    side = chance.integers(count, pieces, below=4)  # which wall
    leans = chance.happens(count, pieces, share=0.66)
    yaw = torch.where(leans, side * (torch.pi / 2), chance.uniform(count, pieces, high=6.283))
    depth = size[..., 2]
    along = free.clone()
    x_wall, z_wall = reach[..., 0] - depth, reach[..., 1] - depth
    # A piece faces +z at yaw 0; its back is at -z.
    along[..., 1] = torch.where(side == 0, -z_wall, torch.where(side == 2, z_wall, free[..., 1]))
    along[..., 0] = torch.where(side == 1, -x_wall, torch.where(side == 3, x_wall, free[..., 0]))
    place = torch.where(leans[..., None], along, free)
    return torch.stack([place[..., 0], torch.zeros_like(depth), place[..., 1]], dim=-1), yaw


def _velocities(people: Tensor, chance: Rng) -> Tensor:
    """(B, N, 3) metres a frame: people (B, N) walk, some other things slide."""
    count, pieces = people.shape
    share = torch.where(people, 3 * _MOVES, _MOVES)
    moves = (chance.uniform(count, pieces) < share) & chance.happens(count, 1, share=_SOME_MOVE)
    drawn = chance.normal(count, pieces, 3) * torch.tensor([0.12, 0.0, 0.12], device=people.device)
    return drawn * moves[..., None]


def _tilts(kind: Tensor, table: PartTable, chance: Rng) -> Tensor:
    """(B, N, P, 3, 3): leaves and cushions lie as they fell."""
    count, pieces = kind.shape
    vectors = 0.4 * chance.normal(count, pieces, MOST_PARTS, 3)
    round_ones = (table.shape[kind] == ELLIPSOID) & (kind != WALKS)[..., None]
    return rotation_by(vectors * round_ones[..., None])


def rotation_by(vectors: Tensor) -> Tensor:
    """(..., 3) axis times angle to (..., 3, 3)."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    return torch.linalg.matrix_exp(skew)


def _about_y(yaw: Tensor) -> Tensor:
    zero = torch.zeros_like(yaw)
    return rotation_by(torch.stack([zero, yaw, zero], dim=-1))
