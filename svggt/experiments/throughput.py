"""Where a frame's time goes, from the file to the CPU's arrays, against a video's 30 a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from matplotlib.figure import Figure
from torch import nn

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.stream import Stream
from svggt.eval.markdown import markdown_table
from svggt.eval.rows import write_csv
from svggt.media.clips import open_clip
from svggt.media.frames import Frame, InputLimits
from svggt.model.config import PRESETS
from svggt.model.network import VGGT
from svggt.model.policies import window

VIDEO_MS = 1000 / 30
"""Between two frames of a video."""

_WARM = 10  # frames
_RATE = 30.0  # of frames that are decoded: all that an ordinary video has


@dataclass(frozen=True)
class Part:
    """A part of a frame's way; medians over a clip.

    Attributes:
        name: of it.
        ms: a frame.
    """

    name: str
    ms: float


@dataclass(frozen=True)
class Speed:
    """A network at a resolution.

    Attributes:
        preset: its name.
        width: of the picture, pixels.
        height: likewise.
        parameters: millions.
        ms: a frame, median; None where it was not measured.
    """

    preset: str
    width: int
    height: int
    parameters: float
    ms: float | None


def parts(model: LoadedModel, clip: Path, frames: int, points: bool) -> list[Part]:
    """Of a stream with a window of eight, after some frames.

    Raises:
        ValueError: there are no more than those.
    """
    if frames <= _WARM:
        raise ValueError(f"{frames} frames: the first {_WARM} warm it up, so {_WARM + 1} or more")
    began = time.perf_counter()
    taken = _frames(clip, model.input_width, frames)
    decoding = 1000 * (time.perf_counter() - began) / len(taken)
    network, spent = model.network, dict[str, list[float]]()
    watched = {
        "encoder": network.aggregator.patch_embed,
        "encoder and attention": network.aggregator,
        "camera head": network.camera_head,
        "depth head": network.depth_head,
        "point head": network.point_head,
    }
    with _timed(watched, spent, _waiting(model)):
        stream = Stream(model, window(8), points)
        steps = [1000 * stream.step(frame).seconds for frame in taken][_WARM:]
    found = {name: 1000 * median(times[_WARM:]) for name, times in spent.items()}
    found["attention over frames"] = found.pop("encoder and attention") - found["encoder"]
    whole = median(steps)
    rest = whole - sum(found.values())
    order = ("encoder", "attention over frames", "camera head", "depth head", "point head")
    return [
        Part("decoding and resizing", decoding),
        *(Part(name, found[name]) for name in order if name in found),
        Part("transfer, memory, the rest of a step", rest),
        Part("a step", whole),
        Part("all, one after another", decoding + whole),
    ]


def speeds(model: LoadedModel, clip: Path, widths: list[int], frames: int) -> list[Speed]:
    """A model at several widths, and the sizes of all presets."""
    rows = []
    for name, preset in PRESETS.items():
        with torch.device("meta"):
            millions = sum(p.numel() for p in VGGT(preset.config).parameters()) / 1e6
        for width in widths if name == model.name else [preset.input_width]:
            taken = _frames(clip, width, _WARM + frames if name == model.name else 1)
            height, ms = taken[0].image.shape[0], None
            if name == model.name:
                stream = Stream(model, window(8))
                ms = median([1000 * stream.step(frame).seconds for frame in taken][_WARM:])
            rows.append(Speed(name, width, height, millions, ms))
    return rows


def parts_table(found: list[Part]) -> str:
    """Markdown, each part against the time that a video gives."""
    lines = [[part.name, f"{part.ms:.1f}", f"{part.ms / VIDEO_MS:.2f}"] for part in found]
    return markdown_table(["part", "ms a frame", "of 1/30 s"], lines) + "\n"


def speeds_table(rows: list[Speed]) -> str:
    """Markdown."""
    lines = []
    for row in rows:
        ms = "not measured" if row.ms is None else f"{row.ms:.0f}"
        lines.append([row.preset, f"{row.width}x{row.height}", f"{row.parameters:.0f} M", ms])
    return markdown_table(["preset", "picture", "parameters", "ms a frame"], lines) + "\n"


def write(found: list[Part], rows: list[Speed], out: Path) -> None:
    """`parts.csv`, `speeds.csv` and `throughput.png`."""
    write_csv(out / "parts.csv", found)
    write_csv(out / "speeds.csv", rows)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.barh([part.name for part in found][::-1], [part.ms for part in found][::-1])
    measured = [row for row in rows if row.ms is not None]
    right.plot([row.width for row in measured], [row.ms for row in measured], ".-")
    right.axhline(VIDEO_MS, color="grey", linestyle="--")
    left.axvline(VIDEO_MS, color="grey", linestyle="--", label="a video gives")
    left.set(title="a frame's parts, ms")
    right.set(xlabel="width, pixels", title="a step, ms", ylim=(0, None))
    left.legend(fontsize=8)
    right.grid(alpha=0.3)
    figure.savefig(out / "throughput.png", dpi=110)


def _frames(clip: Path, width: int, count: int) -> list[Frame]:
    return list(open_clip([clip], width, _RATE, InputLimits(max_frames=count)).frames())


def _waiting(model: LoadedModel) -> Callable[[], None]:
    """What makes a device finish what it was asked."""
    waits = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}
    return waits.get(model.device.torch.type, lambda: None)


@contextmanager
def _timed(
    modules: dict[str, nn.Module], spent: dict[str, list[float]], wait: Callable[[], None]
) -> Iterator[None]:
    """Seconds of every call of modules, by name."""
    began: dict[str, float] = {}

    def enter(name: str) -> None:
        wait()
        began[name] = time.perf_counter()

    def leave(name: str) -> None:
        wait()
        spent.setdefault(name, []).append(time.perf_counter() - began[name])

    handles = []
    for name, module in modules.items():
        handles.append(module.register_forward_pre_hook(lambda *_, name=name: enter(name)))
        handles.append(module.register_forward_hook(lambda *_, name=name: leave(name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
