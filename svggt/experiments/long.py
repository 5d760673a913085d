"""Long streams under every memory: what it holds, what a frame costs, how wrong the model becomes.

The model's own output is judged, without refinement, against the truth and against the full
memory. A clip that is too short is walked back and forth.
"""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from svggt import geometry, metrics
from svggt.data.truth import Truth
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.stream import Stream
from svggt.eval.clip_figures import LEAST_KNOWN, depth_figures, pose_figures
from svggt.eval.posed_clip import PosedClip
from svggt.model.policies import bounded
from svggt.prediction import FramePrediction
from svggt.settings import Budget, MemoryPolicy, Storage

_STRIDE = 8  # of pixels whose points are compared


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
    """

    absrel: float
    absrel_frame: float
    rotation: float
    ate: float
    point: float
    from_full: float
    latency_ms: float
    megabytes: float


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


def forth_and_back(clip: PosedClip, frames: int) -> PosedClip:
    """So many frames of a clip, turning at its ends."""
    period = max(1, 2 * len(clip.pictures) - 2)
    steps = [number % period for number in range(frames)]
    return clip.chosen([min(step, period - step) for step in steps])


def run(model: LoadedModel, clip: PosedClip, asked: MemoryRun, folder: Path) -> MemoryFigures:
    """Streams a clip, writes a CSV with a line for every frame, and returns the figures.

    Args:
        model: causal weights.
        clip: with its truth.
        asked: how the stream remembers.
        folder: for the CSV, and the full memory's depth, which later runs are compared with.
    """
    assert clip.truth is not None
    budget = Budget.parse(asked.budget) if asked.budget else None
    stream = Stream(model, bounded(asked.policy, budget, asked.storage))
    frames = clip.frames(model.input_width)
    said = [stream.step(frame) for frame in tqdm(frames, asked.name, leave=False)]
    depths = np.stack([p.depth for p in said])
    full = folder / f"{asked.clip}-depth.npy"
    if asked.policy == "full" and asked.storage == "computed":
        np.save(full, depths.astype(np.float16))
    apart = _apart(depths, full)
    _write_frames(folder / f"{asked.name}.csv", said, clip.truth, apart)
    of_depth = depth_figures(list(depths), clip.truth)
    cameras = pose_figures(
        np.stack([p.world_from_cam for p in said]), np.zeros(len(said), bool), clip.truth
    )
    return MemoryFigures(
        absrel=of_depth.absrel_clip,
        absrel_frame=of_depth.absrel_frame,
        rotation=cameras.windows["all"]["rotation"],
        ate=cameras.windows["all"]["ate"],
        point=_point_error(said, clip.truth),
        from_full=float("nan") if apart is None else float(np.median(apart)),
        latency_ms=1000 * median(p.seconds for p in said[-max(1, len(said) // 10) :]),
        megabytes=said[-1].memory_bytes / 1e6,
    )


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
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    rows = {row["name"]: row for row in map(json.loads, lines)}
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
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rows[each.name]) + "\n")
    return [rows[each.name] for each in asked]


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: each way of remembering, the mean over clips and the range."""
    names = list(MemoryFigures.__dataclass_fields__)
    lines = [["policy", "budget", "storage", *names]]
    lines.append(["---"] * len(lines[0]))
    for key in dict.fromkeys((r["policy"], r["budget"], r["storage"]) for r in rows):
        mine = [r for r in rows if (r["policy"], r["budget"], r["storage"]) == key]
        lines.append([*key, *(_cell([row[name] for row in mine]) for name in names)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(values: list[float]) -> str:
    known = [value for value in values if np.isfinite(value)]
    if not known:
        return ""
    return f"{np.mean(known):.3g} ({min(known):.3g} to {max(known):.3g})"


def _apart(depths: NDArray[Any], full: Path) -> NDArray[Any] | None:
    """(N,) median relative difference of each frame's depth from the full memory's."""
    if not full.exists():
        return None
    exact = np.load(full, mmap_mode="r")
    return np.array([np.median(np.abs(d / e - 1)) for d, e in zip(depths, exact, strict=True)])


def _write_frames(
    path: Path, said: list[FramePrediction], truth: Truth, apart: NDArray[Any] | None
) -> None:
    """A line a frame: milliseconds, bytes, log of its scale, AbsRel, difference from full."""
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["frame", "ms", "bytes", "log_scale", "absrel_frame", "from_full"])
        for number, prediction in enumerate(said):
            log_scale, absrel = _against(prediction, truth.depth(number))
            differs = "" if apart is None else f"{apart[number]:.5f}"
            cost = [f"{1000 * prediction.seconds:.2f}", prediction.memory_bytes]
            lines.writerow([number, *cost, log_scale, absrel, differs])


def _against(prediction: FramePrediction, true: NDArray[Any] | None) -> tuple[str, str]:
    if true is None or (true > 0).mean() < LEAST_KNOWN:
        return "", ""
    ours = metrics.resample(prediction.depth, true.shape)
    log_scale = np.median(np.log(true[true > 0] / ours[true > 0]))
    return f"{log_scale:.5f}", f"{metrics.absrel(ours, true):.5f}"


def _point_error(said: list[FramePrediction], truth: Truth) -> float:
    """Median distance, metres, of points where both are known."""
    pairs = [_points(p, truth) for p in said]
    ours, theirs = (np.concatenate([pair[i] for pair in pairs if pair is not None]) for i in (0, 1))
    moved = geometry.Similarity(*geometry.align_sim3(ours, theirs)).points(ours)
    return float(np.median(np.linalg.norm(moved - theirs, axis=1)))


def _points(prediction: FramePrediction, truth: Truth) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """(M, 3) predicted and true points of the same pixels, each in its own world."""
    true = truth.depth(prediction.number)
    intrinsics = None if true is None else truth.pixel_intrinsics(true.shape)
    if true is None or intrinsics is None:
        return None
    valid = np.zeros(true.shape, bool)
    valid[::_STRIDE, ::_STRIDE] = true[::_STRIDE, ::_STRIDE] > 0
    ours = metrics.resample(prediction.camera_points, true.shape)[valid]
    theirs = geometry.unproject(true, intrinsics)[valid]
    poses = prediction.world_from_cam, truth.world_from_cam[prediction.number]
    ours, theirs = (
        geometry.Similarity(1.0, pose).points(points)
        for points, pose in zip((ours, theirs), poses, strict=True)
    )
    return ours, theirs
