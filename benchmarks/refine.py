"""What refined cameras cost a running stream: time to a correction, throughput, and growth.

`python -m benchmarks.refine` streams the office clip twice in one run, without and with
refinement, as a worker does it; windows are adjusted in their own process meanwhile. With
`--frames 1000` the clip is walked to and fro: time and memory should not grow.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import tyro

from svggt.engine.checkpoints import load_model
from svggt.engine.devices import choose_device
from svggt.engine.stream import Stream
from svggt.media.clips import open_clip
from svggt.media.examples import EXAMPLES
from svggt.media.frames import Frame, InputLimits
from svggt.model.policies import window
from svggt.prediction import FramePrediction
from svggt.refine.refiner import Refiner
from svggt.refine.snapshot import to_arrays
from svggt.refine.solver import ProcessSolver, SolverProcess

_EVERY = 100  # frames between two looks at what is kept


@dataclass
class Run:
    """Seconds for all frames, milliseconds of each correction, megabytes of state now and then."""

    seconds: float = 0.0
    corrections: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)


def main(model: str = "embedded", frames: int = 120) -> None:
    """Prints milliseconds to a correction, the throughput ratio, and how both go on.

    Args:
        model: a preset or a path to weights.
        frames: of the office clip, walked to and fro if there are more than it has.
    """
    loaded = load_model(model, choose_device())
    there = list(open_clip([EXAMPLES[0].clip], loaded.input_width, 10.0, InputLimits()).frames())
    taken = list(itertools.islice(itertools.cycle(there + there[::-1]), frames))
    _stream(Stream(loaded, window(8)), taken[:5], None)  # warm-up
    plain = _stream(Stream(loaded, window(8)), taken, None)
    with SolverProcess() as process:
        refiner = Refiner(ProcessSolver(process))
        refined = _stream(Stream(loaded, window(8)), taken, refiner)
    ms, megabytes = refined.corrections, refined.megabytes
    late = sorted(ms)[int(0.95 * len(ms))]
    sys.stdout.write(
        f"{model} on {loaded.device.name}, {len(taken)} frames\n"
        f"a correction after its prediction  {statistics.median(ms):6.1f} ms median"
        f"  {late:6.1f} ms p95\n"
        f"of the first and last hundred      {statistics.median(ms[:100]):6.1f} ms"
        f"  {statistics.median(ms[-100:]):6.1f} ms\n"
        f"state after every hundred          {', '.join(f'{mb:.1f}' for mb in megabytes)} MB\n"
        f"throughput with over without       {plain.seconds / refined.seconds:6.2f} x\n"
    )


def _timed(stream: Stream, frame: Frame) -> tuple[FramePrediction, float]:
    return stream.step(frame), time.perf_counter()


def _stream(stream: Stream, frames: list[Frame], refiner: Refiner | None) -> Run:
    """As `LocalWorker.step` does it: landmarks are followed while the device predicts."""
    run = Run()
    with ThreadPoolExecutor(1) as device:
        for number, frame in enumerate(frames, start=1):
            started = time.perf_counter()
            predicting = device.submit(_timed, stream, frame)
            followed = refiner.follow(frame.grey) if refiner else None
            prediction, predicted = predicting.result()
            if refiner is not None:
                refiner.add(frame.grey, prediction, followed)
                run.corrections.append(1000 * (time.perf_counter() - predicted))
            run.seconds += time.perf_counter() - started
            if refiner is not None and number % _EVERY == 0:
                arrays = to_arrays(refiner.state)
                run.megabytes.append(sum(array.nbytes for array in arrays.values()) / 1e6)
    return run


if __name__ == "__main__":
    tyro.cli(main)
