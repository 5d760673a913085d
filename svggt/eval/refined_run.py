"""A stream of frames with its cameras refined: what is said at once, and in the end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from svggt.media.frames import Frame
from svggt.prediction import FramePrediction
from svggt.refine.correction import Correction
from svggt.refine.options import RefineOptions
from svggt.refine.refiner import Refiner
from svggt.refine.solver import ProcessSolver, SolverProcess, WaitingSolver

_JITTER = 1e-3  # relative, of depth: what another CPU's kernels may differ by, and more


@dataclass(frozen=True, eq=False)
class RefinedRun:
    """What was said of N frames.

    Attributes:
        predictions: the model's.
        live: each frame's first correction, as it was shown.
        final: each frame's last one.
    """

    predictions: list[FramePrediction]
    live: list[Correction]
    final: list[Correction]


def refine_run(
    frames: list[Frame], predictions: Iterable[FramePrediction], seed: int = 0
) -> RefinedRun:
    """Refines what a model said of frames.

    Args:
        frames: of one clip.
        predictions: of the same frames.
        seed: RANSAC's, and of a thousandth of noise on the depth; 0 adds none.
    """
    noise = np.random.default_rng(seed)
    said: list[FramePrediction] = []
    live: dict[int, Correction] = {}
    final: dict[int, Correction] = {}
    with SolverProcess() as process:
        refiner = Refiner(WaitingSolver(process), RefineOptions(seed=seed))
        for frame, prediction in zip(frames, predictions, strict=True):
            if seed:
                off = np.exp(_JITTER * noise.normal(size=prediction.depth.shape))
                prediction = replace(prediction, depth=(prediction.depth * off).astype(np.float32))
            said.append(prediction)
            corrections = {c.frame: c for c in refiner.add(frame.grey, prediction)}
            live[prediction.number] = corrections[prediction.number]
            final |= corrections
        final |= {c.frame: c for c in refiner.settle()}
        final |= {c.frame: c for c in refiner.adjust(ProcessSolver(process))}
    count = range(len(said))
    return RefinedRun(said, [live[n] for n in count], [final[n] for n in count])
