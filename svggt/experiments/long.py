"""Long streams under every memory: what it holds, what a frame costs, how wrong the model becomes.

The model's own output is judged, without refinement, against the truth and against the full
memory. A clip that is too short is walked back and forth.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from svggt.data.truth import Truth
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.stream import Stream
from svggt.eval.clip_figures import depth_figures, pose_figures
from svggt.eval.markdown import markdown_table
from svggt.eval.posed_clip import PosedClip
from svggt.eval.rows import add_row, read_rows
from svggt.experiments.moment import Moment, judge, moment_of, point_error, write_moments
from svggt.model.policies import bounded
from svggt.settings import Budget, MemoryPolicy, Storage

Array = NDArray[Any]

MOST_JUDGED = 300
"""Frames of a stream whose depth is compared."""


@dataclass(frozen=True)
class MemoryRun:
    """One way of remembering, on one clip.

    Attributes:
        clip: its name.
        policy: what is kept.
        budget: as people write it; empty: none.
        storage: how it is kept.
    """

    clip: str
    policy: MemoryPolicy
    budget: str
    storage: Storage

    @property
    def is_exact(self) -> bool:
        """Whether others are compared with it."""
        return self.policy == "full" and self.storage == "computed"

    @property
    def name(self) -> str:
        """Of its file."""
        budget = self.budget.replace(" ", "")
        return "-".join(part for part in (self.clip, self.policy, budget, self.storage) if part)


@dataclass(frozen=True)
class MemoryFigures:
    """What a memory did to a stream.

    Attributes:
        absrel: of depth with one scale for the clip.
        absrel_frame: with one scale a frame.
        rotation: error of all frames, divided by a motionless camera's.
        ate: likewise, of positions after one Sim(3).
        point: median distance of each predicted point to the true one, after one Sim(3) of all
            points, in metres.
        from_full: median relative difference of depth from the full memory's; NaN where that was
            not run before.
        latency_ms: median of the last tenth of the frames.
        megabytes: of the global layers and the camera head at the end.
        memory_growth: bytes of the same, the most in the last tenth of the frames by the most in
            the second one.
        process_growth: likewise of the whole process.
        latency_growth: likewise of the median time of a frame.
        p95_growth: likewise of its 95th percentile.
    """

    absrel: float
    absrel_frame: float
    rotation: float
    ate: float
    point: float
    from_full: float
    latency_ms: float
    megabytes: float
    memory_growth: float
    process_growth: float
    latency_growth: float
    p95_growth: float


def all_runs(
    clips: Iterable[str],
    policies: Iterable[MemoryPolicy],
    budgets: Iterable[str],
    storages: Iterable[Storage],
) -> Iterator[MemoryRun]:
    """Every combination; the full memory has no budget and comes first."""
    whole: tuple[Iterable[str], ...] = ("",), tuple(budgets)
    for clip, storage in product(clips, tuple(storages)):
        for policy in sorted(policies, key=lambda policy: policy != "full"):
            for budget in whole[policy != "full"]:
                yield MemoryRun(clip, policy, budget, storage)


def there_and_back(length: int, count: int) -> list[int]:
    """Numbers of so many frames of a clip, turning at its ends."""
    period = max(1, 2 * length - 2)
    steps = [number % period for number in range(count)]
    return [min(step, period - step) for step in steps]


def forth_and_back(clip: PosedClip, frames: int) -> PosedClip:
    """So many frames of a clip, turning at its ends."""
    return clip.chosen(there_and_back(len(clip.pictures), frames))


def run(model: LoadedModel, clip: PosedClip, asked: MemoryRun, folder: Path) -> MemoryFigures:
    """Streams a clip, writes a CSV with a line for every frame, and returns the figures.

    Depth is judged of at most `MOST_JUDGED` frames, spread evenly, so that a stream without an
    end fits into memory; cost and camera are known of all.

    Args:
        model: causal weights.
        clip: with its truth.
        asked: how the stream remembers.
        folder: for the CSV, and the full memory's depth, which later runs are compared with.
    """
    assert clip.truth is not None
    of_full = f"{asked.clip}-{len(clip.pictures)}-{model.sha256[:12]}-depth.npy"
    truth, full = clip.truth, folder / of_full
    stream = _stream(model, clip, asked, full)
    moments = list(tqdm(stream, asked.name, total=len(clip.pictures), leave=False))
    if asked.is_exact:
        np.save(full, np.stack([m.judged.depth for m in moments if m.judged is not None]))
    write_moments(folder / f"{asked.name}.csv", moments, truth)
    return _figures(moments, truth)


def _stream(model: LoadedModel, clip: PosedClip, asked: MemoryRun, full: Path) -> Iterator[Moment]:
    assert clip.truth is not None
    budget = Budget.parse(asked.budget) if asked.budget else None
    stream = Stream(model, bounded(asked.policy, budget, asked.storage))
    exact = np.load(full, mmap_mode="r") if full.exists() else None
    every = -(-len(clip.pictures) // MOST_JUDGED)
    for frame in clip.each_frame(model.input_width):
        prediction = stream.step(frame)
        moment = moment_of(prediction)
        if prediction.number % every == 0:
            of_full = None if exact is None else exact[prediction.number // every]
            of_full = prediction.depth if asked.is_exact else of_full
            moment = replace(moment, judged=judge(prediction, clip.truth, of_full))
        yield moment


def _figures(moments: list[Moment], truth: Truth) -> MemoryFigures:
    judged = {m.number: m.judged for m in moments if m.judged is not None}
    numbers = list(judged)
    seen = replace(truth, depth=lambda index: truth.depth(numbers[index]))
    of_depth = depth_figures([each.depth.astype(np.float32) for each in judged.values()], seen)
    cameras = pose_figures(
        np.stack([m.world_from_cam for m in moments]), np.zeros(len(moments), bool), truth
    )
    apart = [each.from_full for each in judged.values()]
    ms, held, process = (
        np.array([getattr(m, name) for m in moments], float)
        for name in ("seconds", "memory_bytes", "process_bytes")
    )
    return MemoryFigures(
        absrel=of_depth.absrel_clip,
        absrel_frame=of_depth.absrel_frame,
        rotation=cameras.windows["all"]["rotation"],
        ate=cameras.windows["all"]["ate"],
        point=point_error(list(judged.values())),
        from_full=float(np.median(apart)),
        latency_ms=1000 * float(np.median(_tenth(ms, 9))),
        megabytes=held[-1] / 1e6,
        memory_growth=_growth(held, np.max),
        process_growth=_growth(process, np.max),
        latency_growth=_growth(ms, np.median),
        p95_growth=_growth(ms, lambda tenth: np.percentile(tenth, 95)),
    )


def _tenth(values: Array, number: int) -> Array:
    """One tenth of a stream's frames, the first being 0; at least one frame."""
    ends = np.linspace(0, len(values), 11).astype(int)
    return values[min(ends[number], len(values) - 1) : max(ends[number + 1], ends[number] + 1)]


def _growth(values: Array, figure: Callable[[Array], Any]) -> float:
    """The last tenth's figure by the second one's: the first one fills the memory."""
    return float(figure(_tenth(values, 9)) / figure(_tenth(values, 1)))


def run_all(
    model: LoadedModel, clips: Iterable[tuple[str, PosedClip]], asked: list[MemoryRun], folder: Path
) -> list[dict[str, Any]]:
    """Rows of all runs; those that the folder has already are taken from there.

    Args:
        model: causal weights.
        clips: name and clip.
        asked: runs over them.
        folder: `rows.jsonl`, a CSV of each run, and plots.

    Raises:
        ValueError: the folder holds runs of another length, or of other weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, machine = folder / "rows.jsonl", platform.processor() or platform.machine()
    rows = {row["name"]: row for row in read_rows(path)}
    for name, clip in clips:
        for each in asked:
            about = {
                "name": each.name,
                **asdict(each),
                "frames": len(clip.pictures),
                "weights": model.sha256,
            }
            row = rows.get(each.name)
            if row is not None and about.items() - row.items():
                raise ValueError(f"{folder} holds runs of other frames or weights: choose another")
            if each.clip != name or row is not None:
                continue
            figures = asdict(run(model, clip, each, folder))
            rows[each.name] = {**about, "machine": machine, **figures}
            add_row(path, rows[each.name])
    return [rows[each.name] for each in asked]


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: each way of remembering, the mean over clips and the range."""
    names = list(MemoryFigures.__dataclass_fields__)
    lines = []
    for key in dict.fromkeys((r["policy"], r["budget"], r["storage"]) for r in rows):
        mine = [r for r in rows if (r["policy"], r["budget"], r["storage"]) == key]
        lines.append([*key, *(_cell([row[name] for row in mine]) for name in names)])
    return markdown_table(["policy", "budget", "storage", *names], lines)


def _cell(values: list[float]) -> str:
    known = [value for value in values if np.isfinite(value)]
    if not known:
        return ""
    return f"{np.mean(known):.3g} ({min(known):.3g} to {max(known):.3g})"
