"""Pieces of furniture as boxes, ellipsoids and cylinders, in parts of their own size.

A part's centre and half size are in units of the piece's half width, height and half depth, from
the middle of its footprint up; what must not scale (boards, legs) is added in metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BOX, ELLIPSOID, CYLINDER = range(3)

MOST_PARTS = 6

Three = tuple[float, float, float]


@dataclass(frozen=True)
class BoxPart:
    """One primitive of a piece.

    Attributes:
        centre: x, height, z.
        half: x, height, z.
        thick: metres that are added to `half`.
        shape: which primitive; a cylinder stands upright.
    """

    centre: Three
    half: Three
    thick: Three = (0.0, 0.0, 0.0)
    shape: int = BOX


def _legs(top: float) -> tuple[BoxPart, ...]:
    half = (0.0, top / 2, 0.0)
    corners = ((x, z) for x in (-0.9, 0.9) for z in (-0.9, 0.9))
    return tuple(BoxPart((x, top / 2, z), half, (0.025, 0.0, 0.025)) for x, z in corners)


PIECES: tuple[tuple[BoxPart, ...], ...] = (
    (  # cabinet with two doors and a box on it
        BoxPart((0, 0.5, 0), (1, 0.5, 1)),
        BoxPart((0.5, 0.5, 1), (0.45, 0.46, 0), (0, 0, 0.012)),
        BoxPart((-0.5, 0.5, 1), (0.45, 0.46, 0), (0, 0, 0.012)),
        BoxPart((0.1, 0.55, 1.03), (0, 0.08, 0), (0.012, 0, 0.015)),
        BoxPart((0.4, 1.1, 0), (0.25, 0.1, 0.4)),
    ),
    (
        *_legs(0.72),
        BoxPart((0, 0.74, 0), (1, 0, 1), (0, 0.02, 0)),
        BoxPart((0.3, 0.85, 0.1), (0.3, 0.09, 0.3)),
    ),
    (  # shelf
        BoxPart((0, 1, -0.95), (1, 1, 0), (0, 0, 0.015)),
        BoxPart((0, 0.4, 0), (1, 0, 1), (0, 0.015, 0)),
        BoxPart((0, 1.0, 0), (1, 0, 1), (0, 0.015, 0)),
        BoxPart((0, 1.7, 0), (1, 0, 1), (0, 0.015, 0)),
        BoxPart((-1, 1, 0), (0, 1, 1), (0.015, 0, 0)),
        BoxPart((1, 1, 0), (0, 1, 1), (0.015, 0, 0)),
    ),
    (  # sofa
        BoxPart((0, 0.25, 0), (1, 0.25, 1)),
        BoxPart((0, 0.7, -0.85), (1, 0.35, 0.2)),
        BoxPart((0.9, 0.45, 0), (0.15, 0.45, 1)),
        BoxPart((-0.9, 0.45, 0), (0.15, 0.45, 1)),
        BoxPart((0.4, 0.6, 0.1), (0.25, 0.15, 0.25), shape=ELLIPSOID),
    ),
    (
        *_legs(0.45),
        BoxPart((0, 0.47, 0), (1, 0, 1), (0, 0.03, 0)),
        BoxPart((0, 0.9, -0.95), (1, 0.4, 0), (0, 0, 0.02)),
    ),
    (  # a picture or window on the wall, and a chest below
        BoxPart((0, 1.6, -1), (0.9, 0.4, 0), (0, 0, 0.02)),
        BoxPart((0, 1.6, -0.98), (0.8, 0.33, 0), (0, 0, 0.02)),
        BoxPart((0, 0.2, 0), (0.7, 0.2, 0.8)),
    ),
    (  # plant: pot and leaves
        BoxPart((0, 0.15, 0), (0.35, 0.15, 0.35), shape=CYLINDER),
        BoxPart((0, 0.6, 0), (0.6, 0.35, 0.6), shape=ELLIPSOID),
        BoxPart((0.4, 0.9, 0.2), (0.35, 0.25, 0.35), shape=ELLIPSOID),
        BoxPart((-0.3, 0.8, -0.3), (0.4, 0.3, 0.3), shape=ELLIPSOID),
    ),
    (  # lamp or column, and a bin
        BoxPart((0, 0.02, 0), (0.4, 0.02, 0.4), shape=CYLINDER),
        BoxPart((0, 0.7, 0), (0, 0.7, 0), (0.03, 0, 0.03), CYLINDER),
        BoxPart((0, 1.45, 0), (0.5, 0.15, 0.5), shape=CYLINDER),
        BoxPart((1.2, 0.2, 0.3), (0.3, 0.2, 0.3), shape=CYLINDER),
    ),
    (  # somebody who stands
        BoxPart((0, 0.4, 0), (0.22, 0.42, 0.2), shape=CYLINDER),
        BoxPart((0, 1.1, 0), (0.32, 0.4, 0.24), shape=ELLIPSOID),
        BoxPart((0, 1.62, 0), (0.13, 0.16, 0.15), shape=ELLIPSOID),
        BoxPart((0.38, 1.05, 0.1), (0.08, 0.36, 0.1), shape=ELLIPSOID),
        BoxPart((-0.38, 1.05, 0.1), (0.08, 0.36, 0.1), shape=ELLIPSOID),
    ),
    (  # boxes and balls on the floor
        BoxPart((-0.5, 0.15, 0.4), (0.3, 0.15, 0.25)),
        BoxPart((0.4, 0.1, -0.3), (0.35, 0.1, 0.3)),
        BoxPart((0.3, 0.3, -0.3), (0.2, 0.1, 0.2)),
        BoxPart((0.6, 0.15, 0.6), (0.25, 0.15, 0.25), shape=ELLIPSOID),
        BoxPart((-0.4, 0.38, 0.4), (0.12, 0.08, 0.12), shape=CYLINDER),
    ),
)
"""By number; which one is which is said beside it."""

WALKS = 8
"""The piece that may walk about: somebody."""


@dataclass(frozen=True, eq=False)
class PartTable:
    """All pieces' parts as tensors (pieces, MOST_PARTS, ...).

    Attributes:
        centre: (..., 3).
        half: (..., 3).
        thick: (..., 3).
        shape: (...).
        there: (...) whether a piece has so many parts.
    """

    centre: Tensor
    half: Tensor
    thick: Tensor
    shape: Tensor
    there: Tensor

    @classmethod
    def on(cls, device: torch.device) -> PartTable:
        """Of `PIECES`."""
        none = BoxPart((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
        rows = [[*piece, *[none] * (MOST_PARTS - len(piece))] for piece in PIECES]

        def table(name: str) -> Tensor:
            values = [[getattr(part, name) for part in row] for row in rows]
            return torch.tensor(values, device=device)

        there = torch.tensor([[part is not none for part in row] for row in rows], device=device)
        return cls(
            table("centre").float(),
            table("half").float(),
            table("thick").float(),
            table("shape"),
            there,
        )
