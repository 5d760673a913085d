"""Rendered walks with exact cameras and depth, on seeds that training never draws.

Each is rendered once, a frame in a quarter to half a second on one core, into a folder in the
plain layout of `svggt.data.layouts`.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from svggt.train.synth.buildings import apartment, cleared, corridor, street
from svggt.train.synth.camera_paths import make_turns, make_walks, make_way_walks
from svggt.train.synth.render import Appearance, render_frames
from svggt.train.synth.rng import Rng
from svggt.train.synth.rooms import Places, make_places
from svggt.train.synth.surfaces import FACES

_LANDSCAPE, _PORTRAIT = (364, 490), (490, 364)
"""(H, W) near tracking size, multiples of 14."""

_SEEDS = 900_000  # training draws by the number of its step
_MIRRORS = 0.15  # of the walls' boxes
_GAMMA = 0.8
_GRAIN = 2.0  # of 255

Kind = Callable[[int, Rng], tuple[Places, Tensor, Tensor]]
"""Frames and draws to a place, poses (1, S, 3, 4), and (1, K) which primitives are walls."""


@dataclass(frozen=True)
class Walk:
    """One rendered walk.

    Attributes:
        kind: where it goes.
        seed: from which all is drawn.
        frames: number of them.
        view: degrees that the longer side spans.
        portrait: higher than wide.
        plain: walls, floor and ceiling have one colour each.
        mirrors: some walls are mirrors.
        returns: it ends where it began.
    """

    kind: Kind
    seed: int
    frames: int = 240
    view: float = 60.0
    portrait: bool = False
    plain: bool = False
    mirrors: bool = False
    returns: bool = False


def through_rooms(frames: int, chance: Rng) -> tuple[Places, Tensor, Tensor]:
    """Round four rooms, and home."""
    building = apartment(1, chance)
    return building.places, make_way_walks(building.way, frames, chance), building.walls


def down_a_corridor(frames: int, chance: Rng) -> tuple[Places, Tensor, Tensor]:
    """From one end to the other."""
    building = corridor(1, chance)
    return building.places, make_way_walks(building.way, frames, chance), building.walls


def around_a_corner(frames: int, chance: Rng) -> tuple[Places, Tensor, Tensor]:
    """A drive between houses."""
    building = street(1, chance)
    return building.places, make_way_walks(building.way, frames, chance), building.walls


def in_a_room(frames: int, chance: Rng) -> tuple[Places, Tensor, Tensor]:
    """Somebody with a camera looks at a piece of furniture from here and there."""
    places = make_places(1, chance)
    poses = make_walks(places, frames, chance)
    none = torch.zeros_like(places.shape, dtype=torch.bool)
    return cleared(places, poses[..., 3]), poses, none


def on_the_spot(frames: int, chance: Rng) -> tuple[Places, Tensor, Tensor]:
    """Somebody turns about once in the middle of a room of an apartment."""
    building = apartment(1, chance)
    return building.places, make_turns(building.way[:, 0], frames, chance), building.walls


WALKS: dict[str, Walk] = {
    "rooms": Walk(through_rooms, 1, returns=True),
    "rooms-b": Walk(through_rooms, 2, view=70, returns=True),
    "rooms-35": Walk(through_rooms, 3, view=35, returns=True),
    "rooms-90": Walk(through_rooms, 4, view=90, returns=True),
    "rooms-portrait-35": Walk(through_rooms, 5, view=35, portrait=True, returns=True),
    "rooms-portrait-60": Walk(through_rooms, 6, view=60, portrait=True, returns=True),
    "rooms-portrait-90": Walk(through_rooms, 7, view=90, portrait=True, returns=True),
    "blank-walls": Walk(through_rooms, 8, plain=True, returns=True),
    "mirrors": Walk(through_rooms, 9, mirrors=True, returns=True),
    "turn": Walk(on_the_spot, 10, returns=True),
    "corridor": Walk(down_a_corridor, 11),
    "street": Walk(around_a_corner, 12),
    "street-b": Walk(around_a_corner, 13, view=75),
    "room": Walk(in_a_room, 14, frames=100),
    "room-b": Walk(in_a_room, 15, frames=100, view=50),
}
"""By name."""


def render_walk(walk: Walk, folder: Path) -> None:
    """Renders a walk into a folder, which is there when it is whole.

    Args:
        walk: which.
        folder: `images/`, `depth/` (millimetres, 0 unknown), `poses.txt`, `K.txt`.
    """
    begun = folder.with_name(folder.name + ".part")
    if begun.exists():  # ours: a walk that was cut off
        shutil.rmtree(begun)
    for name in ("images", "depth"):
        (begun / name).mkdir(parents=True)
    size = _PORTRAIT if walk.portrait else _LANDSCAPE
    chance = Rng(_SEEDS + walk.seed, torch.device("cpu"))
    places, poses, walls = walk.kind(walk.frames, chance)
    focal = max(size) / 2 / math.tan(math.radians(walk.view) / 2)
    views = torch.tensor([[2 * math.atan(side / 2 / focal) for side in size]])
    plain = torch.cat([walls & walk.plain, torch.full((1, FACES), walk.plain)], 1)
    mirrors = walls & chance.happens(*walls.shape, share=_MIRRORS if walk.mirrors else 0.0)
    grain = np.random.default_rng(walk.seed)
    shown = render_frames(
        places, poses, views, size, Appearance(plain, mirrors), _SEEDS + walk.seed
    )
    for number, (colors, depth) in enumerate(shown):
        picture = Image.fromarray(_photographed(colors, grain))
        picture.save(begun / "images" / f"{number:05}.jpg", quality=95)
        millimetres = (1000 * depth).round().clamp(0, 65534).numpy().astype(np.uint16)
        Image.fromarray(millimetres).save(begun / "depth" / f"{number:05}.png")
    last = torch.tensor([0.0, 0, 0, 1]).expand(walk.frames, 1, 4)
    matrices = torch.cat([poses[0], last], 1)
    np.savetxt(begun / "poses.txt", matrices.flatten(1).numpy())
    height, width = size
    np.savetxt(begun / "K.txt", [[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    begun.rename(folder)


def _photographed(colors: Tensor, grain: np.random.Generator) -> np.ndarray:
    """Light (H, W, 3) to uint8: highlights kept, gamma, and a sensor's noise."""
    bright = (1.15 * colors / (1 + 0.25 * colors)).clamp(0, 1) ** _GAMMA
    noisy = 255 * bright.numpy() + _GRAIN * grain.normal(size=bright.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)
