"""Whether the cache says what one pass over all frames says of the newest frame.

Every policy with an unlimited budget must equal the full memory, in float32 to rounding; reduced
numbers add theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.offline import predict_clip
from svggt.engine.stream import Stream
from svggt.eval.markdown import markdown_table
from svggt.eval.rows import write_csv
from svggt.experiments.parity import relative_error
from svggt.media.frames import Frame
from svggt.model.policies import bounded
from svggt.prediction import FramePrediction
from svggt.settings import MemoryPolicy, Storage


@dataclass(frozen=True)
class CacheError:
    """Relative errors ||a - b|| / ||b|| of the newest frame, streamed against batched.

    Attributes:
        policy: of the stream, without a limit.
        numbers: that the network is computed in.
        storage: that the memory is kept in.
        depth: of the depth map.
        camera: of the (3, 4) pose.
    """

    policy: MemoryPolicy
    numbers: str
    storage: Storage
    depth: float
    camera: float


def cache_errors(
    models: Iterable[LoadedModel],
    frames: list[Frame],
    policies: Iterable[MemoryPolicy],
    storages: Iterable[Storage],
) -> list[CacheError]:
    """Of the last frame.

    Args:
        models: the same weights in different numbers; each stream is compared with the batch pass
            of the first.
        frames: of a clip.
        policies: each as computed; the storages are those of the full memory.
        storages: how it is kept, besides as computed.
    """
    exact, rows = None, []
    ways: list[tuple[MemoryPolicy, Storage]] = [(policy, "computed") for policy in policies]
    for storage in storages:
        ways.append(("full", storage))
    for model in models:
        exact = exact or predict_clip(model, frames, causal=True)[-1]
        for policy, storage in ways:
            stream = Stream(model, bounded(policy, None, storage))
            newest = [stream.step(frame) for frame in frames][-1]
            numbers = str(model.device.dtype).removeprefix("torch.")
            rows.append(CacheError(policy, numbers, storage, *_apart(newest, exact)))
    return rows


def table(rows: list[CacheError]) -> str:
    """Markdown."""
    lines = [
        [row.policy, row.numbers, row.storage, f"{row.depth:.1e}", f"{row.camera:.1e}"]
        for row in rows
    ]
    return markdown_table(["policy", "network", "memory", "depth", "camera"], lines) + "\n"


def write(rows: list[CacheError], out: Path) -> None:
    """`validity.csv`, and `validity.png` with depth's error by policy and storage."""
    write_csv(out / "validity.csv", rows)
    axis = (figure := Figure(figsize=(9, 3.6), layout="constrained")).subplots()
    names = list(dict.fromkeys(_name(row) for row in rows))
    for numbers in dict.fromkeys(row.numbers for row in rows):
        mine = [row for row in rows if row.numbers == numbers]
        places = [names.index(_name(row)) for row in mine]
        axis.plot(places, [row.depth for row in mine], "o", label=f"network in {numbers}")
    axis.set(yscale="log", title="depth of the newest frame, streamed against one causal pass")
    axis.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    axis.set_ylabel("relative error")
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)
    figure.savefig(out / "validity.png", dpi=110)


def _name(row: CacheError) -> str:
    return row.policy if row.storage == "computed" else f"{row.policy}, {row.storage}"


def _apart(ours: FramePrediction, theirs: FramePrediction) -> tuple[float, float]:
    depth, camera = (
        relative_error(*(torch.from_numpy(getattr(each, name)) for each in (ours, theirs)))
        for name in ("depth", "cam_from_world")
    )
    return depth, camera
