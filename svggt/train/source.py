"""Where the clips of a step come from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from svggt.train.batch import ClipBatch
from svggt.train.synth.chance import Chance
from svggt.train.synth.render import render_clips
from svggt.train.trainer import Source

_PARTS = 1000  # of a step, at most: the numbers of its seeds
_STEPS = 10**9 // _PARTS
HELD_OUT = 10**12
"""Clips that nothing trains on are of this seed and later ones."""


@dataclass(frozen=True)
class Shape:
    """Clips of one size.

    Attributes:
        clips: in a batch.
        frames: of each.
        size: (H, W).
    """

    clips: int
    frames: int
    size: tuple[int, int]


SHAPES = (
    Shape(4, 4, (84, 112)),
    Shape(8, 2, (112, 84)),
    Shape(2, 8, (84, 112)),
    Shape(3, 4, (126, 168)),
    Shape(1, 16, (98, 126)),
)
"""Of a step on a CPU; a GPU takes `--scale` times as many clips."""


def scaled(shapes: tuple[Shape, ...], times: int) -> tuple[Shape, ...]:
    """The same, with so many times as many clips."""
    return tuple(replace(shape, clips=shape.clips * times) for shape in shapes)


def rendered(shapes: tuple[Shape, ...], seed: int, device: torch.device) -> Source:
    """Clips rendered on the fly, of one of the shapes in turn."""

    def clips(step: int, part: int) -> ClipBatch:
        shape = shapes[step % len(shapes)]
        chance = Chance((seed * _STEPS + step) * _PARTS + part, device)
        return render_clips(shape.clips, shape.frames, shape.size, chance)

    return clips
