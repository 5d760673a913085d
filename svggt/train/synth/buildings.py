"""Several rooms with doors, a corridor, a street: furnished places, and a way through each.

Walls, doors and houses are boxes. The way is clear: what would stand on it is taken away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from svggt.train.synth.furniture import BOX
from svggt.train.synth.models import Library, Models
from svggt.train.synth.rng import Rng
from svggt.train.synth.rooms import FAR_AWAY, Places, furnish

_WALL = 0.06  # metres, half of a wall's thickness
_DOOR = (0.5, 2.05)  # metres, half of its width, and its height
_EYES = 1.5  # metres above the floor
_CLEAR = 0.5  # metres beside the way where nothing stands
_LEAF = (0.45, 0.04)  # metres, half of a closed door's width, and its thickness
_HOUSES = 5  # in a row
_HOUSE = 8.0  # metres wide
_LANE = 1.7  # metres from the middle of a street


@dataclass(frozen=True, eq=False)
class Boxes:
    """n boxes in each of B places.

    Attributes:
        low: (B, n, 3) corner, metres.
        high: (B, n, 3) the other corner.
        piece: (n,) number of the piece that a box belongs to, from 0.
    """

    low: Tensor
    high: Tensor
    piece: Tensor

    @classmethod
    def of(cls, pieces: list[list[tuple[Tensor, Tensor]]]) -> Boxes:
        """Of pieces' boxes, each between two corners (B, 3)."""
        every = [(number, box) for number, piece in enumerate(pieces) for box in piece]
        device = every[0][1][0].device
        return cls(
            torch.stack([box[0] for _, box in every], 1),
            torch.stack([box[1] for _, box in every], 1),
            torch.tensor([number for number, _ in every], device=device),
        )


@dataclass(frozen=True, eq=False)
class Building:
    """Places with a way through each.

    Attributes:
        places: B of them.
        way: (B, N, 3) corners of it, metres.
        walls: (B, K) which primitives are walls, doors or houses.
    """

    places: Places
    way: Tensor
    walls: Tensor


def apartment(count: int, chance: Rng) -> Building:
    """Four rooms around a cross of walls with a door in each; the way goes round, and home."""
    half = chance.uniform(count, 2, low=4.2, high=5.6)
    height = chance.uniform(count, low=2.4, high=3.0)
    # Rooms by their quadrant, in the order of the walk; a door leads from each to the next.
    quadrants = half.new_tensor([[1.0, 1], [-1, 1], [-1, -1], [1, -1]])
    middles = quadrants * half[:, None] / 2  # (B, 4, 2) x, z
    rooms = furnish((half / 2).repeat_interleave(4, 0), height.repeat_interleave(4), chance)
    walls, doors = [], []
    for axis, side in ((1, 1.0), (0, -1.0), (1, -1.0), (0, 1.0)):
        door = side * half[:, axis] * chance.uniform(count, low=0.35, high=0.65)
        walls.append(_wall(axis, side * half[:, axis], door, height))
        doors.append(_at(axis, door, torch.zeros_like(door)))
    corners = middles + 0.3 * chance.uniform(count, 4, 2, low=-1)
    way = torch.stack([corners, torch.stack(doors, 1)], dim=2).flatten(1, 2)
    way = torch.cat([way, way[:, :3]], dim=1)
    return _built(_joined(rooms, middles, half, height), way, walls)


def corridor(count: int, chance: Rng) -> Building:
    """Long and narrow, with closed doors on both sides and little that stands in it."""
    half = torch.stack(
        [chance.uniform(count, low=1.0, high=1.4), chance.uniform(count, low=8, high=11)], -1
    )
    height = chance.uniform(count, low=2.4, high=2.9)
    doors = []
    for number in range(8):
        x, z = (1 if number % 2 else -1) * half[:, 0], (number - 3.5) / 4 * half[:, 1]
        low = torch.stack([x - _LEAF[1], torch.full_like(x, -_DOOR[1]), z - _LEAF[0]], -1)
        doors.append([(low, torch.stack([x + _LEAF[1], torch.zeros_like(x), z + _LEAF[0]], -1))])
    z = half[:, 1:] * half.new_tensor([-0.85, -0.4, 0.0, 0.4, 0.8])
    way = torch.stack([0.25 * chance.uniform(count, 5, low=-1), z], -1)
    return _built(furnish(half, height, chance, pieces=6, models=4), way, doors)


def street(count: int, chance: Rng) -> Building:
    """A crossing between houses with windows; the way turns a corner."""
    kerb = chance.uniform(count, low=5.0, high=7.0)
    half, height = kerb[:, None].expand(-1, 2), chance.uniform(count, low=9, high=12)
    places = furnish(half, height, chance)
    places = replace(places, open_air=torch.ones_like(places.open_air))
    houses = [
        _house(kerb, (x, z), axis, number, chance)
        for x in (-1.0, 1.0)
        for z in (-1.0, 1.0)
        for axis in (0, 1)
        for number in range(_HOUSES)
    ]
    lane = torch.full_like(kerb, _LANE)
    corners = (
        (-36 + 0 * lane, lane),
        (-18 + 0 * lane, lane),
        (-lane - 5, lane),
        (-lane - 0.8, lane + 0.8),
        (-lane, lane + 5),
        (-lane, 18 + 0 * lane),
        (-lane, 36 + 0 * lane),
    )
    return _built(places, torch.stack([torch.stack(c, -1) for c in corners], 1), houses)


def with_boxes(places: Places, boxes: Boxes) -> Places:
    """Adds boxes; nobody looks at their pieces on purpose."""
    count, added, _ = boxes.low.shape
    models = places.models.model.shape[1]
    pieces = places.middles.shape[1] - models
    middle = (boxes.low + boxes.high) / 2
    upright = torch.eye(3, device=middle.device).expand(count, added, 3, 3)
    number = (pieces + boxes.piece).expand(count, -1)
    new = int(boxes.piece.max()) + 1
    member = F.one_hot(boxes.piece, new).to(middle.dtype)  # (n, new)
    middles = torch.einsum("bnc,np->bpc", middle, member / member.sum(0))
    own, of_models = places.middles.split([pieces, models], dim=1)
    return replace(
        places,
        shape=torch.cat([places.shape, torch.full_like(number, BOX)], 1),
        rotation=torch.cat([places.rotation, upright], 1),
        centre=torch.cat([places.centre, middle], 1),
        half=torch.cat([places.half, (boxes.high - boxes.low) / 2], 1),
        velocity=torch.cat([places.velocity, torch.zeros_like(middle)], 1),
        piece=torch.cat([places.piece, number], 1),
        middles=torch.cat([own, middles, of_models], 1),
    )


def cleared(places: Places, way: Tensor) -> Places:
    """Takes away what would stand beside a way (B, N, 3), and lets all things stand still."""
    # Parts go with their whole piece, models by the circle around their footprint.
    low = places.centre[..., 1] + places.half[..., 1] > -_EYES - _CLEAR
    near = _beside(places.centre, way) - places.half[..., ::2].amax(-1) < _CLEAR
    pieces = torch.zeros_like(places.piece, dtype=torch.int8)
    pieces = pieces.scatter_reduce(1, places.piece, (near & low).to(torch.int8), "amax")
    gone = pieces.gather(1, places.piece) > 0
    models = places.models
    library = Library.on(way.device)
    footprint = (library.high - library.low)[models.model][..., ::2].norm(dim=-1) / 2
    beside = _beside(models.where, way) - models.scale * footprint < _CLEAR
    return replace(
        places,
        centre=torch.where(gone[..., None], FAR_AWAY, places.centre),
        velocity=torch.zeros_like(places.velocity),
        models=replace(
            models,
            where=torch.where(beside[..., None], FAR_AWAY, models.where),
            velocity=torch.zeros_like(models.velocity),
        ),
    )


def _built(places: Places, way: Tensor, pieces: list[list[tuple[Tensor, Tensor]]]) -> Building:
    """Clears the way (B, N, 2) of x and z, and adds walls."""
    height = torch.full_like(way[..., :1], -_EYES)
    way = torch.cat([way[..., :1], height, way[..., 1:]], -1)
    furniture = places.shape.shape[1]
    built = with_boxes(cleared(places, way), Boxes.of(pieces))
    walls = torch.arange(built.shape.shape[1], device=way.device) >= furniture
    return Building(built, way, walls.expand(len(way), -1))


def _wall(axis: int, end: Tensor, door: Tensor, height: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Boxes of a wall from the middle to `end` along an axis (0: x, 1: z), around a door."""
    wide, high = _DOOR
    zero, side = torch.zeros_like(end), end.sign()
    near, far = door - side * wide, door + side * wide
    spans = ((zero, near, height), (far, end, height), (near, far, None))
    boxes = []
    for begin, finish, up_to in spans:
        low, top = torch.minimum(begin, finish), torch.maximum(begin, finish)
        bottom = zero if up_to is not None else zero - high  # above a door: the lintel
        a, b = _at(axis, low, zero - _WALL), _at(axis, top, zero + _WALL)
        boxes.append(
            (
                torch.stack([a[:, 0], -height, a[:, 1]], -1),
                torch.stack([b[:, 0], bottom, b[:, 1]], -1),
            )
        )
    return boxes


def _house(
    kerb: Tensor, side: tuple[float, float], axis: int, number: int, chance: Rng
) -> list[tuple[Tensor, Tensor]]:
    """A house in a row along an axis, with windows towards the street."""
    count = len(kerb)
    first = kerb + 1.5 + number * _HOUSE
    back = kerb + 1.5 * chance.uniform(count)  # from the kerb to the front
    tall = chance.uniform(count, low=4.0, high=11.0)

    def box(along: tuple[Tensor, Tensor], deep: tuple[Tensor, Tensor], up: tuple[Tensor, Tensor]):
        (a, b), (c, d) = ((along[n] * side[axis], deep[n] * side[1 - axis]) for n in (0, 1))
        low, high = torch.minimum(a, c), torch.maximum(a, c)
        near, far = torch.minimum(b, d), torch.maximum(b, d)
        one, other = _at(axis, low, near), _at(axis, high, far)
        return (
            torch.stack([one[:, 0], -up[1], one[:, 1]], -1),
            torch.stack([other[:, 0], -up[0], other[:, 1]], -1),
        )

    walls = box((first, first + _HOUSE - 0.3), (back, back + 6), (0 * tall, tall))
    windows = []
    for column in range(3):
        for floor in range(2):
            begin = first + 0.8 + 2.4 * column + 0.3 * chance.uniform(count)
            sill = 0.9 + 2.6 * floor + 0 * tall
            top = torch.minimum(sill + 1.3, tall)
            windows.append(box((begin, begin + 1.2), (back - 0.12, back), (sill, top)))
    return [walls, *windows]


def _joined(rooms: Places, middles: Tensor, half: Tensor, height: Tensor) -> Places:
    """Rooms (B * R,) at their middles (B, R, 2) as one place each of B."""
    count, number = middles.shape[:2]
    shift = torch.stack([middles[..., 0], torch.zeros_like(middles[..., 0]), middles[..., 1]], -1)
    shift = shift.flatten(0, 1)[:, None]
    models = rooms.models
    pieces = rooms.middles.shape[1] - models.model.shape[1]
    room = torch.arange(number, device=half.device).repeat(count)[:, None]

    def flat(x: Tensor) -> Tensor:
        return x.unflatten(0, (count, number)).flatten(1, 2)

    own, of_models = rooms.middles.split([pieces, models.model.shape[1]], dim=1)
    return Places(
        half_room=half,
        height=height,
        open_air=rooms.open_air.view(count, number)[:, 0],
        shape=flat(rooms.shape),
        rotation=flat(rooms.rotation),
        centre=flat(rooms.centre + shift),
        half=flat(rooms.half),
        velocity=flat(rooms.velocity),
        piece=flat(rooms.piece + room * pieces),
        models=Models(
            flat(models.model),
            flat(models.rotation),
            flat(models.scale),
            flat(models.where + shift),
            flat(models.velocity),
        ),
        middles=torch.cat([flat(own + shift), flat(of_models + shift)], 1),
    )


def _beside(points: Tensor, way: Tensor) -> Tensor:
    """(B, K) metres over the floor from points (B, K, 3) to the way's line (B, N, 3)."""
    share = torch.linspace(0, 1, 20, device=way.device)[:, None]
    line = way[:, :-1, None] + share * (way[:, 1:, None] - way[:, :-1, None])
    return torch.cdist(points[..., ::2], line.flatten(1, 2)[..., ::2]).amin(-1)


def _at(axis: int, along: Tensor, across: Tensor) -> Tensor:
    """(B, 2) x and z of what lies so far along an axis (0: x, 1: z)."""
    return torch.stack([along, across] if axis == 0 else [across, along], -1)
