"""What the newest frame costs when N are there: streaming against offline (StreamVGGT, figure 2).

Streams take the frames as they come; at every N the offline pass begins anew, beside them in time,
so that their ratio holds on a machine that is busy now and then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.figure import Figure

from svggt.engine.capacity import remembered_bytes
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.offline import predict_clip
from svggt.engine.stream import Stream
from svggt.eval.rows import write_csv
from svggt.media.frames import Frame
from svggt.model.memory import CachePolicy
from svggt.model.policies import full
from svggt.prediction import FramePrediction

_LAST = 5  # frames whose median is the newest one's latency
_FEW = 10  # frames up to which the offline pass is repeated, and its median taken


@dataclass(frozen=True)
class NewestFrame:
    """The newest of N frames.

    Attributes:
        frames: N.
        full_ms: of a stream that remembers everything.
        bounded_ms: of a stream with a bounded memory.
        offline_ms: of a pass over all N, which an offline model needs for it.
        speedup: offline by full.
        full_mb: of the first stream's cached token memory.
        bounded_mb: of the second one's.
    """

    frames: int
    full_ms: float
    bounded_ms: float
    offline_ms: float
    speedup: float
    full_mb: float
    bounded_mb: float


@dataclass(frozen=True)
class Growth:
    """Of a stream that remembers everything, with every frame.

    Attributes:
        ms: fitted slope of its latency.
        mb: fitted slope of its memory.
        mb_expected: the same by arithmetic; see `svggt.engine.capacity.remembered_bytes`.
    """

    ms: float
    mb: float
    mb_expected: float


def newest_frames(
    model: LoadedModel, frames: list[Frame], counts: Sequence[int], bounded: CachePolicy
) -> tuple[list[NewestFrame], Growth]:
    """Rows of all counts, and how a stream grows.

    Args:
        model: causal weights; offline they see all frames at once, at the same cost as others.
        frames: as many as the largest count.
        counts: N, rising.
        bounded: the second stream's memory.

    Raises:
        ValueError: there are fewer frames than the largest count.
    """
    if not counts or max(counts) > len(frames) or min(counts) < 1:
        raise ValueError(f"the clip has {len(frames)} frames: choose counts from 1 to that")
    streams = [Stream(model, policy) for policy in (full(), bounded)]
    predict_clip(model, frames[:2], causal=False)  # warm
    said: list[list[FramePrediction]] = [[], []]
    rows = []
    for count in counts:
        for stream, steps in zip(streams, said, strict=True):
            steps += [stream.step(frame) for frame in frames[len(steps) : count]]
        full_ms, bounded_ms = (1000 * median(p.seconds for p in s[-_LAST:]) for s in said)
        full_mb, bounded_mb = (steps[-1].memory_bytes / 1e6 for steps in said)
        offline_ms = 1000 * _offline_seconds(model, frames[:count])
        speedup = offline_ms / full_ms
        rows.append(
            NewestFrame(count, full_ms, bounded_ms, offline_ms, speedup, full_mb, bounded_mb)
        )
    return rows, _growth(model, frames[0], said[0])


def write(rows: list[NewestFrame], out: Path) -> None:
    """`latency.csv` and `latency.png`."""
    write_csv(out / "latency.csv", rows)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    count = [row.frames for row in rows]
    for name, label in (("offline_ms", "offline"), ("full_ms", "all"), ("bounded_ms", "bounded")):
        left.plot(count, [getattr(row, name) for row in rows], ".-", label=label)
    for name, label in (("full_mb", "all"), ("bounded_mb", "bounded")):
        right.plot(count, [getattr(row, name) for row in rows], ".-", label=label)
    left.set(yscale="log", xlabel="frames there", title="newest frame, ms")
    right.set(xlabel="frames there", title="cached token memory, MB")
    for axis in (left, right):
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    figure.savefig(out / "latency.png", dpi=110)


def _offline_seconds(model: LoadedModel, frames: list[Frame]) -> float:
    """Of a pass over all of them."""
    passes = range(3 if len(frames) <= _FEW else 1)
    return median(sum(p.seconds for p in predict_clip(model, frames, False)) for _ in passes)


def _growth(model: LoadedModel, frame: Frame, said: list[FramePrediction]) -> Growth:
    count = np.arange(len(said))
    ms, mb = (
        float(np.polyfit(count, values, 1)[0])
        for values in ([1000 * p.seconds for p in said], [p.memory_bytes / 1e6 for p in said])
    )
    height, width = frame.image.shape[:2]
    return Growth(ms, mb, remembered_bytes(model, (height, width)) / 1e6)
