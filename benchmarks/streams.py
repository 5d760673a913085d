"""Several live streams on one device: frames taken together against one after another.

`python -m benchmarks.streams [--streams 4] [--frames 40] [--rounds 3] [--json]` streams the office
clip through so many streams at once, each with a window of 8 and the next frame asked for as the
last one is there, in turns with one stream a pass and with several. A frame's wait is from when it
is asked for until it is there; fair is the first stream that ends by the last.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from json import dumps
from statistics import median

import numpy as np
import tyro

from svggt.engine.checkpoints import LoadedModel, load_model
from svggt.engine.device_queue import DeviceQueue
from svggt.engine.devices import choose_device
from svggt.engine.step_queue import MOST_TOGETHER, StepQueue
from svggt.engine.stream import Stream
from svggt.media.clips import open_clip
from svggt.media.examples import EXAMPLES
from svggt.media.frames import Frame, InputLimits
from svggt.model.policies import window

_WARM = 9  # frames until the window is full


@dataclass(frozen=True)
class Figures:
    """Of streams at once.

    Attributes:
        fps: frames a second of all together.
        wait_ms: median of a frame.
        wait_p95_ms: its 95th percentile.
        fair: seconds of the first stream that ended by those of the last.
    """

    fps: float
    wait_ms: float
    wait_p95_ms: float
    fair: float


def main(streams: int = 4, frames: int = 40, rounds: int = 3, json: bool = False) -> None:
    """Prints both ways and their ratio.

    Args:
        streams: at once.
        frames: of each, more than nine.
        rounds: of both ways, in turns.
        json: one line of JSON.
    """
    model = load_model("embedded", choose_device())
    clip = open_clip([EXAMPLES[0].clip], model.input_width, 30.0, InputLimits(max_frames=frames))
    shown, found = list(clip.frames()), {"alone": list[Figures](), "together": list[Figures]()}
    for _ in range(rounds):
        for name, most in (("alone", 1), ("together", MOST_TOGETHER)):
            found[name].append(streamed(model, shown, streams, most))
    medians = {
        f"{name}_{field}": median(getattr(each, field) for each in runs)
        for name, runs in found.items()
        for field in Figures.__dataclass_fields__
    }
    medians["ratio"] = medians["together_fps"] / medians["alone_fps"]
    if json:
        sys.stdout.write(dumps({"numbers": str(model.device.dtype), **medians}) + "\n")
        return
    for name, value in medians.items():
        sys.stdout.write(f"{name:22} {value:.2f}\n")


def streamed(model: LoadedModel, shown: list[Frame], count: int, most: int) -> Figures:
    """So many streams of the same frames, with so many of them in one pass."""
    device = DeviceQueue()
    queue, waits = StepQueue(device, most), list[float]()

    def run(_: int) -> float:
        stream, began = Stream(model, window(8)), 0.0
        for frame in shown:
            if frame.number == _WARM:
                began = time.perf_counter()
            asked = time.perf_counter()
            queue.submit(stream, frame).result()
            if frame.number >= _WARM:
                waits.append(1000 * (time.perf_counter() - asked))
        return time.perf_counter() - began

    with ThreadPoolExecutor(count) as pool:
        seconds = list(pool.map(run, range(count)))
    device.shutdown()
    fps = len(waits) / max(seconds)
    p95 = float(np.percentile(waits, 95))
    return Figures(fps, median(waits), p95, min(seconds) / max(seconds))


if __name__ == "__main__":
    tyro.cli(main, prog="python -m benchmarks.streams")
