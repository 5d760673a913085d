"""What a frame costs, part by part, as ratios to the default step in the same run.

`python -m benchmarks.stream [--model embedded] [--frames 60]` prints medians over a clip.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from svggt.engine.checkpoints import LoadedModel, load_model
from svggt.engine.devices import choose_device
from svggt.engine.stream import Stream
from svggt.media.clips import open_clip
from svggt.media.examples import EXAMPLES
from svggt.media.frames import TRACKING_WIDTH, Frame, InputLimits
from svggt.model.memory import CachePolicy
from svggt.model.policies import full, window
from svggt.prediction import FramePrediction
from svggt.scene.scene import Scene
from svggt.session.progress import Progress
from svggt.store.frame_archive import FrameArchive
from svggt.web.panels import live


@dataclass(frozen=True)
class Cost:
    """Medians of one part over a clip: milliseconds a frame, and of the last ten frames."""

    name: str
    ms: float
    last_ms: float


def timed(name: str, calls: Iterator[object]) -> Cost:
    """Times each step of an iterator."""
    seconds = []
    while True:
        started = time.perf_counter()
        if next(calls, None) is None:
            break
        seconds.append(time.perf_counter() - started)
    return Cost(name, 1000 * statistics.median(seconds), 1000 * statistics.median(seconds[-10:]))


def steps(
    model: LoadedModel, frames: list[Frame], policy: CachePolicy, points: bool
) -> Iterator[FramePrediction]:
    """A fresh stream over the clip."""
    stream = Stream(model, policy, points)
    yield from map(stream.step, frames)


def drawn(predictions: list[FramePrediction]) -> Iterator[bool]:
    """A scene and an archive that take the predictions, without a browser."""
    height, width = predictions[0].depth.shape
    grey = np.zeros((TRACKING_WIDTH * height // width, TRACKING_WIDTH), np.uint8)
    with tempfile.TemporaryDirectory(prefix="svggt-benchmark-") as folder:
        archive = FrameArchive(Path(folder))
        scene = Scene(archive)
        scene.reset(max_frames=len(predictions))
        try:
            for prediction in predictions:
                archive.add(prediction, grey)
                scene.add(prediction)
                yield True
        finally:
            scene.close()


def shown(predictions: list[FramePrediction]) -> Iterator[str]:
    """The page's strip, figures and plot."""
    for prediction in predictions:
        yield live(Progress(latest=prediction, step_seconds=(0.1,) * 50, elapsed_s=5.0))


def main(model: str = "embedded", frames: int = 60) -> None:
    """Prints what each part of the way of a frame costs.

    Args:
        model: a preset or a path to weights.
        frames: of the office clip.
    """
    loaded = load_model(model, choose_device())
    limits = InputLimits(max_frames=frames)
    clip = open_clip([EXAMPLES[0].clip], loaded.input_width, 10.0, limits)
    decode = timed("decode and fit", clip.frames())
    taken = list(clip.frames())
    list(steps(loaded, taken[:5], window(8), False))  # warm-up
    base = timed("step, window 8, depth", steps(loaded, taken, window(8), False))
    predictions = list(steps(loaded, taken, window(8), False))
    costs = [
        base,
        timed("step, window 8, depth and points", steps(loaded, taken, window(8), True)),
        timed("step, full, depth", steps(loaded, taken, full(), False)),
        decode,
        timed("scene", drawn(predictions)),
        timed("page", shown(predictions)),
    ]
    sys.stdout.write(f"{model} on {loaded.device.name}, {frames} frames {taken[0].image.shape}\n")
    for cost in costs:
        sys.stdout.write(
            f"{cost.name:34} {cost.ms:7.1f} ms  {cost.ms / base.ms:5.2f} x"
            f"   last ten {cost.last_ms:7.1f} ms\n"
        )


if __name__ == "__main__":
    tyro.cli(main)
