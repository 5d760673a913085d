"""The same frames by different ways of computing, each into a recording of its own.

Streaming takes frames as they come; batch is the causal pass over all of them at once; offline is
what VGGT does, where every frame sees every other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from svggt.engine.recorded_stream import RecordedStream
from svggt.engine.worker import RefinedClip, Worker
from svggt.media.frames import Frame
from svggt.settings import StreamSettings
from svggt.store.recording import Recording
from svggt.view_options import Cameras

FILE = "comparison.json"
"""What was found, in the folder of B."""

Mode = Literal["streaming", "batch", "offline"]


@dataclass(frozen=True)
class RunConfig:
    """How one of the two runs is computed and shown.

    Attributes:
        mode: streaming, batch or offline.
        settings: weights, memory policy and heads; only streaming has a memory.
        cameras: which of its cameras figures and views show.
    """

    mode: Mode
    settings: StreamSettings
    cameras: Cameras

    @property
    def at_once(self) -> bool:
        """Whether all frames go through the network in one pass."""
        return self.mode != "streaming"

    @property
    def title(self) -> str:
        """For people."""
        settings, parts = self.settings, [self.mode, self.settings.model]
        if not self.at_once:
            parts.append(f"memory: {settings.memory_title}")
        if settings.points:
            parts.append("point head")
        return ", ".join([*parts, f"{self.cameras} cameras"])


@dataclass(frozen=True)
class Latency:
    """What the newest frame costs when so many are there (StreamVGGT, figure 2).

    Attributes:
        frames: number of the newest, from 1.
        seconds: model time until it is predicted; offline that is a pass over all of them.
        total_s: model time that a viewer spent who wanted every frame so far at once.
        memory_bytes: what the cached token memory takes.
        peak_bytes: the device's memory at its highest, all included; None if unknown.
    """

    frames: int
    seconds: float
    total_s: float
    memory_bytes: int
    peak_bytes: int | None


def forget(folder: Path) -> None:
    """Removes what a comparison found, before what it was found of changes."""
    (folder / FILE).unlink(missing_ok=True)


def every_so_many(frames: list[Frame], every: int) -> Iterator[list[Frame]]:
    """The first `every` of them, twice as many and so on, and at last all.

    Raises:
        ValueError: `every` is less than 1.
    """
    if every < 1:
        raise ValueError(f"a pass with every {every} frames never comes: choose 1 or more")
    for count in range(every, len(frames), every):
        yield frames[:count]
    yield frames


def execute(
    worker: Worker,
    way: RunConfig,
    rounds: Iterable[list[Frame]],
    recording: Recording,
    on_turn: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Latency, ...]]:
    """Computes frames of which there are more with every round, into a recording.

    Args:
        worker: has the weights.
        way: how; a stream takes the new ones of a round, all else begins again.
        rounds: the frames so far, of one size, numbered from 0.
        recording: where the run goes, with all frames of a round when it has ended.
        on_turn: called often; may raise to end it.

    Yields:
        After every round the latencies so far; of a stream once more when its cameras are settled.
    """
    if way.mode == "streaming":
        yield from _streamed(worker, way, rounds, recording, on_turn)
        return
    found: list[Latency] = []
    for frames in rounds:
        done = worker.predict_clip(way.settings, frames, way.mode == "batch", on_turn)
        refined = RefinedClip([], [])
        if way.settings.refine:
            refined = worker.refine_clip(way.settings, frames, done.predictions, on_turn)
        forget(recording.folder)  # what was found of fewer frames
        sightings = refined.sightings or [None] * len(frames)
        for frame, prediction, seen in zip(frames, done.predictions, sightings, strict=True):
            recording.add(frame, prediction, [], seen)
        recording.cameras.append(refined.corrections)
        recording.cameras.compact()
        total = done.seconds + (found[-1].total_s if found else 0.0)
        found.append(Latency(len(frames), done.seconds, total, 0, done.peak_bytes))
        yield tuple(found)


def _streamed(
    worker: Worker,
    way: RunConfig,
    rounds: Iterable[list[Frame]],
    recording: Recording,
    on_turn: Callable[[], None],
) -> Iterator[tuple[Latency, ...]]:
    stream = RecordedStream(worker, way.settings, recording, beside=True)
    found: list[Latency] = []
    total = 0.0
    try:
        for frames in rounds:
            forget(recording.folder)
            for step in stream.steps(iter(frames[len(found) :])):
                on_turn()
                newest = step.prediction
                if newest.number < stream.num_kept:  # its worker was lost: it comes once more
                    continue
                total += newest.seconds
                found.append(
                    Latency(
                        len(found) + 1,
                        newest.seconds,
                        total,
                        newest.memory_bytes,
                        newest.peak_bytes,
                    )
                )
            yield tuple(found)
        stream.finalize()  # once: it fixes what later frames could tell better
        stream.adjust(lambda share: on_turn())
        yield tuple(found)
    finally:
        stream.close()
        recording.clear_snapshots()  # of a worker that may be lost: it is not resumed
