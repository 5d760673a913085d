"""A comparison's runs: the same frames by two ways of computing, each into a recording.

Streaming takes frames as they come; batch is the causal pass over all of them at once; offline is
what VGGT does, where every frame sees every other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from svggt.frames import Frame
from svggt.prediction import FramePrediction
from svggt.run import settle, take
from svggt.scene.look import Cameras
from svggt.settings import StreamSettings
from svggt.store.recording import Recording
from svggt.workers import LocalWorker

Mode = Literal["streaming", "batch", "offline"]


@dataclass(frozen=True)
class Way:
    """How one of the two runs is computed and shown.

    Attributes:
        mode: streaming, batch or offline.
        settings: weights, memory policy and heads; only streaming has a memory.
        cameras: that its figures and views are of.
    """

    mode: Mode
    settings: StreamSettings
    cameras: Cameras

    @property
    def title(self) -> str:
        """For people."""
        model = f"{self.mode}, {self.settings.model}"
        if self.mode != "streaming":
            return f"{model}, {self.cameras} cameras"
        kept = f"window {self.settings.window}" if self.settings.memory == "window" else "all"
        return f"{model}, memory: {kept}, {self.cameras} cameras"


@dataclass(frozen=True)
class Latency:
    """What the newest frame costs when so many are there.

    Attributes:
        frames: number of the newest, from 1.
        seconds: of model time until it is predicted; offline that is a pass over all of them.
        total_s: of model time that a viewer spent who wanted every frame so far at once.
    """

    frames: int
    seconds: float
    total_s: float


def run_way(
    worker: LocalWorker,
    way: Way,
    frames: list[Frame],
    recording: Recording,
    on_turn: Callable[[], None] = lambda: None,
) -> list[FramePrediction]:
    """Computes one run into a recording that has begun.

    Args:
        worker: has the weights.
        way: how.
        frames: of one size, numbered from 0.
        recording: of the run.
        on_turn: called often; may raise to end it.
    """
    if way.mode == "streaming":
        return list(_streamed(worker, way, frames, recording, on_turn))
    predictions = worker.predict_clip(way.settings, frames, way.mode == "batch", on_turn)
    corrections = worker.refine_clip(frames, predictions) if way.settings.refine else []
    for frame, prediction in zip(frames, predictions, strict=True):
        recording.add(frame, prediction, [])
    recording.cameras.append(corrections)
    return predictions


def latencies(
    worker: LocalWorker,
    way: Way,
    frames: list[Frame],
    predictions: list[FramePrediction],
    every: int,
    on_turn: Callable[[], None] = lambda: None,
) -> list[Latency]:
    """Latency of the newest frame against its number (StreamVGGT, figure 2).

    Args:
        worker: has the weights.
        way: how.
        frames: of one size.
        predictions: of the run, whose times are a stream's latencies.
        every: offline and batch begin again with every so manieth frame: what they must redo.
        on_turn: called often; may raise to end it.
    """
    found, total = [], 0.0
    if way.mode == "streaming":
        for number, prediction in enumerate(predictions, start=1):
            total += prediction.seconds
            found.append(Latency(number, prediction.seconds, total))
        return found
    for number in [*range(every, len(frames), every), len(frames)]:
        started = time.perf_counter()
        worker.predict_clip(way.settings, frames[:number], way.mode == "batch", on_turn)
        seconds = time.perf_counter() - started
        total += seconds
        found.append(Latency(number, seconds, total))
    return found


def _streamed(
    worker: LocalWorker,
    way: Way,
    frames: list[Frame],
    recording: Recording,
    on_turn: Callable[[], None],
) -> Iterator[FramePrediction]:
    stream_id = worker.open(way.settings)
    try:
        for step in take(worker, stream_id, iter(frames), recording):
            yield step.prediction
            on_turn()
        settle(worker, stream_id, recording)
    finally:
        worker.close(stream_id)
