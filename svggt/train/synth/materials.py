"""What surfaces look like: patterns that are computed, and photographs of materials."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from svggt.files import ASSETS
from svggt.train.synth.rng import Rng

ATLAS = ASSETS / "textures" / "ambientcg_tiles.jpg"
"""Material tiles of 128 pixels, 32 a row (ambientCG, CC0)."""

_TILE = 128
_A_ROW = 32
_PHOTOS = 0.6  # of all surfaces
_PATTERNS = 6
_PLAIN = 50.0  # metres that the pattern of a plain surface repeats after
_SHADE = 0.75  # of a colour, that a pattern mixes with it


@dataclass(frozen=True, eq=False)
class Materials:
    """Of M surfaces in each of B places.

    Attributes:
        colors: (B, M, 2, 3) that a pattern mixes.
        pattern: (B, M) number of it.
        scale: (B, M) metres that it repeats after.
        photo: (B, M) number of a tile; -1 for a pattern.
        seed: (B, M) of its noise.
    """

    colors: Tensor
    pattern: Tensor
    scale: Tensor
    photo: Tensor
    seed: Tensor

    def of(self, surface: Tensor) -> Materials:
        """Those of the surfaces (B, N) that rays met."""
        rows = torch.arange(len(surface), device=surface.device)[:, None]
        return Materials(
            self.colors[rows, surface],
            self.pattern[rows, surface],
            self.scale[rows, surface],
            self.photo[rows, surface],
            self.seed[rows, surface],
        )

    def painted(self, first: int, colors: Tensor, chosen: Tensor) -> Materials:
        """The same, but chosen surfaces (B, P), from the first on, in colours (B, P, 3)."""
        last = first + colors.shape[1]
        mixed, photo = self.colors.clone(), self.photo.clone()
        nearly = torch.stack([colors, _SHADE * colors], dim=2)
        mixed[:, first:last] = torch.where(chosen[..., None, None], nearly, mixed[:, first:last])
        photo[:, first:last] = torch.where(chosen, -1, photo[:, first:last])
        return replace(self, colors=mixed, photo=photo)

    def plain(self, chosen: Tensor) -> Materials:
        """The same, but chosen surfaces (B, P), the first ones, have one colour each."""
        chosen = F.pad(chosen, (0, self.photo.shape[1] - chosen.shape[1]))
        one = self.colors[:, :, :1].expand_as(self.colors)
        return replace(
            self,
            colors=torch.where(chosen[..., None, None], one, self.colors),
            photo=torch.where(chosen, -1, self.photo),
            scale=torch.where(chosen, _PLAIN, self.scale),
        )


@cache
def atlas(device: torch.device) -> Tensor:
    """(T, 128, 128, 3) uint8 of all tiles."""
    with Image.open(ATLAS) as picture:
        pixels = torch.from_numpy(np.asarray(picture.convert("RGB")).copy())
    rows = len(pixels) // _TILE
    tiles = pixels.reshape(rows, _TILE, _A_ROW, _TILE, 3).transpose(1, 2).flatten(0, 1)
    there = tiles.flatten(1).float().std(dim=1) > 1  # the last row is not full
    return tiles[there].to(device)


def make_materials(piece: Tensor, pieces: int, chance: Rng) -> Materials:
    """Draws materials; the parts of a piece share their colours.

    Args:
        piece: (B, M) number of the piece that a surface belongs to, 0 to pieces - 1.
        pieces: how many there are.
        chance: draws.
    """
    count, surfaces = piece.shape
    tone = chance.uniform(count, pieces, 1, low=0.08, high=0.95)
    hue = chance.uniform(count, pieces, 3)
    richness = chance.uniform(count, pieces, 1) ** 2  # most things are nearly grey
    base = tone * (1 - richness) + hue * richness
    second = (base + 0.35 * chance.normal(count, pieces, 3)).clamp(0.02, 1)
    rows = torch.arange(count, device=chance.device)[:, None]
    colors = torch.stack([base[rows, piece], second[rows, piece]], dim=2)
    colors = (colors + 0.05 * chance.normal(count, surfaces, 1, 3)).clamp(0.02, 1)
    photo = chance.integers(count, surfaces, below=len(atlas(chance.device)))
    photographed = chance.happens(count, surfaces, share=_PHOTOS)
    return Materials(
        colors=colors,
        pattern=chance.integers(count, surfaces, below=_PATTERNS),
        scale=chance.log_uniform(count, surfaces, low=0.08, high=1.5),
        photo=torch.where(photographed, photo, -1),
        seed=chance.uniform(count, surfaces, high=100.0),
    )


def albedo(materials: Materials, u: Tensor, v: Tensor) -> Tensor:
    """Colours (B, N, 3) where rays met surfaces, before light.

    Args:
        materials: (B, N) of what was met.
        u: (B, N) metres along the surface.
        v: (B, N) metres across.
    """
    x, y = u / materials.scale, v / materials.scale
    mix = _pattern(materials.pattern, x, y, materials.seed)[..., None]
    painted = materials.colors[..., 0, :] * (1 - mix) + materials.colors[..., 1, :] * mix
    rough = 0.85 + 0.3 * _noise(9 * x, 9 * y, materials.seed)[..., None]
    photographed = _photograph(materials.photo.clamp_min(0), x / 2, y / 2)
    return torch.where(materials.photo[..., None] >= 0, photographed, painted * rough)


def _pattern(kind: Tensor, x: Tensor, y: Tensor, seed: Tensor) -> Tensor:
    """Shares (B, N) of the second colour."""
    cloudy = _noise(2 * x, 2 * y, seed) * 0.6 + _noise(7 * x, 7 * y, seed + 5) * 0.4
    checks = (x.floor() + y.floor()) % 2
    stripes = (torch.frac(2 * x + 0.1 * cloudy).abs() < 0.4).to(x.dtype)
    row = (3 * y).floor()
    along = torch.frac(1.5 * x + 0.5 * (row % 2)).abs()
    bricks = ((along > 0.05) & (torch.frac(3 * y).abs() > 0.1)).to(x.dtype)
    wood = torch.frac((0.4 * x + 0.3 * cloudy) * 6).abs()
    line = (6 * y).floor()
    printed = _hash((18 * x).floor(), line, seed) > 0.5
    text = (printed & (torch.frac(6 * y).abs() > 0.4)).to(x.dtype)
    every = torch.stack([0.3 * cloudy, checks, stripes, bricks, wood, text], dim=-1)
    return every.gather(-1, kind[..., None])[..., 0]


def _photograph(tile: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Colours (B, N, 3) of a tile that is mirrored at its edges, read between pixels."""
    tiles = atlas(tile.device)

    def place(t: Tensor) -> tuple[Tensor, Tensor]:
        at = (1 - (torch.remainder(t, 2.0) - 1).abs()) * (_TILE - 1.001)
        low = at.floor()
        return low.long(), (at - low)[..., None]

    (column, right), (row, down) = place(x), place(y)

    def read(below: int, beside: int) -> Tensor:
        return tiles[tile, row + below, column + beside].to(x.dtype) / 255

    upper = read(0, 0) * (1 - right) + read(0, 1) * right
    lower = read(1, 0) * (1 - right) + read(1, 1) * right
    return upper * (1 - down) + lower * down


def _hash(x: Tensor, y: Tensor, seed: Tensor) -> Tensor:
    """Something between 0 and 1 for every whole place."""
    return torch.frac(torch.sin(127.1 * x + 311.7 * y + 17.3 * seed) * 43758.5453).abs()


def _noise(x: Tensor, y: Tensor, seed: Tensor) -> Tensor:
    """Smooth, between 0 and 1."""
    column, row = x.floor(), y.floor()
    right, down = x - column, y - row
    right, down = right * right * (3 - 2 * right), down * down * (3 - 2 * down)
    upper = _hash(column, row, seed) * (1 - right) + _hash(column + 1, row, seed) * right
    lower = _hash(column, row + 1, seed) * (1 - right) + _hash(column + 1, row + 1, seed) * right
    return upper * (1 - down) + lower * down
