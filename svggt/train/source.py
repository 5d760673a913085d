"""Where the clips of a step come from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from svggt.train.batch import ClipBatch, Source
from svggt.train.synth.render import render_clips
from svggt.train.synth.rng import Rng


@dataclass(frozen=True)
class Shape:
    """Clips of one size.

    Attributes:
        clips: in a batch.
        frames: number of frames in each.
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
    Shape(1, 4, (168, 224)),
    Shape(1, 24, (84, 112)),
)
"""Of a step on a CPU; a GPU takes `--scale` times as many clips."""

_LEARNT, _HELD_OUT = 0, 1  # first words of their seeds


def scaled(shapes: tuple[Shape, ...], times: int) -> tuple[Shape, ...]:
    """The same, with so many times as many clips."""
    return tuple(replace(shape, clips=shape.clips * times) for shape in shapes)


def rendered(shapes: tuple[Shape, ...], seed: int, device: torch.device) -> Source:
    """Clips rendered on the fly, of one of the shapes in turn."""

    def clips(step: int, part: int) -> ClipBatch:
        return _render(shapes[step % len(shapes)], device, _LEARNT, seed, step, part)

    return clips


def held_out(shape: Shape, count: int, device: torch.device) -> list[ClipBatch]:
    """Batches that nothing trains on, whatever its seed."""
    return [_render(shape, device, _HELD_OUT, number) for number in range(count)]


def _render(shape: Shape, device: torch.device, *words: int) -> ClipBatch:
    # Hashed: torch's generator on a CPU looks at 32 bits of its seed alone.
    seed = int(np.random.SeedSequence(words).generate_state(1)[0])
    return render_clips(shape.clips, shape.frames, shape.size, Rng(seed, device))
