"""What refined cameras cost a running stream: time to a correction, and throughput.

`python -m benchmarks.refine` streams the office clip twice in one run, without and with
refinement, as a worker does it; windows are adjusted in their own process meanwhile.
"""

from __future__ import annotations

import statistics
import sys
import time

import tyro

from svggt.checkpoints import load_model
from svggt.clips import open_clip
from svggt.devices import choose_device
from svggt.frames import Frame, InputLimits
from svggt.model.policies import window
from svggt.refine.refiner import Refiner
from svggt.refine.solver import ProcessSolver, SolverProcess
from svggt.stream import Stream
from svggt.web.gallery import EXAMPLES


def main(model: str = "embedded", frames: int = 120) -> None:
    """Prints milliseconds to a correction, and the throughput ratio.

    Args:
        model: a preset or a path to weights.
        frames: of the office clip.
    """
    loaded = load_model(model, choose_device())
    limits = InputLimits(max_frames=frames)
    taken = list(open_clip([EXAMPLES[0].clip], loaded.input_width, 10.0, limits).frames())
    _stream(Stream(loaded, window(8)), taken[:5], None)  # warm-up
    plain, _ = _stream(Stream(loaded, window(8)), taken, None)
    with SolverProcess() as process:
        refiner = Refiner(ProcessSolver(process))
        refined, corrections = _stream(Stream(loaded, window(8)), taken, refiner)
    late = sorted(corrections)[int(0.95 * len(corrections))]
    sys.stdout.write(
        f"{model} on {loaded.device.name}, {len(taken)} frames\n"
        f"a correction after its prediction  {statistics.median(corrections):6.1f} ms median"
        f"  {late:6.1f} ms p95\n"
        f"throughput with over without       {plain / refined:6.2f} x\n"
    )


def _stream(
    stream: Stream, frames: list[Frame], refiner: Refiner | None
) -> tuple[float, list[float]]:
    """Seconds for all frames, and milliseconds of each correction."""
    started, corrections = time.perf_counter(), []
    for frame in frames:
        prediction = stream.step(frame)
        before = time.perf_counter()
        if refiner is not None:
            refiner.add(frame.grey, prediction)
            corrections.append(1000 * (time.perf_counter() - before))
    return time.perf_counter() - started, corrections


if __name__ == "__main__":
    tyro.cli(main)
