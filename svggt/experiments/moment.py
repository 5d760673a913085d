"""What is known of one frame of a long stream: enough for the figures, however long it is."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from svggt import geometry, metrics
from svggt.data.truth import Truth
from svggt.eval.clip_figures import LEAST_KNOWN
from svggt.prediction import FramePrediction

Array = NDArray[Any]

_STRIDE = 8  # of pixels whose points are compared


@dataclass(frozen=True, eq=False)
class Judged:
    """A frame whose depth is compared.

    Attributes:
        depth: (H, W) float16, as predicted.
        points: (M, 3) predicted and true ones of the same pixels, each in its own world; None
            where the truth has none.
        from_full: median relative difference of depth from the full memory's; NaN without it.
    """

    depth: NDArray[np.float16]
    points: tuple[Array, Array] | None
    from_full: float


@dataclass(frozen=True, eq=False)
class Moment:
    """A frame.

    Attributes:
        number: its number in the stream.
        world_from_cam: (3, 4), as predicted.
        seconds: that it took.
        memory_bytes: of the cached token memory after it.
        process_bytes: of this process.
        judged: None where it is one of too many.
    """

    number: int
    world_from_cam: Array
    seconds: float
    memory_bytes: int
    process_bytes: int
    judged: Judged | None


def moment_of(prediction: FramePrediction) -> Moment:
    """What a frame cost."""
    return Moment(
        prediction.number,
        prediction.world_from_cam,
        prediction.seconds,
        prediction.memory_bytes,
        psutil.Process().memory_info().rss,
        None,
    )


def judge(prediction: FramePrediction, truth: Truth, full: Array | None) -> Judged:
    """How right a frame is.

    Args:
        prediction: of the frame.
        truth: of the clip.
        full: (H, W) depth under the full memory, where that is known.
    """
    apart = float("nan") if full is None else np.median(np.abs(prediction.depth / full - 1))
    return Judged(prediction.depth.astype(np.float16), _points(prediction, truth), float(apart))


def point_error(judged: Sequence[Judged]) -> float:
    """Median distance, metres, of points where both are known, after one Sim(3) of all."""
    pairs = [each.points for each in judged if each.points is not None]
    if not pairs:
        return float("nan")
    ours, theirs = (np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
    moved = geometry.Similarity(*geometry.align_sim3(ours, theirs)).points(ours)
    return float(np.median(np.linalg.norm(moved - theirs, axis=1)))


def write_moments(path: Path, moments: Sequence[Moment], truth: Truth) -> None:
    """A line a frame: milliseconds, bytes, log of its scale, AbsRel, difference from full."""
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(
            ["frame", "ms", "bytes", "process", "log_scale", "absrel_frame", "from_full"]
        )
        for moment in moments:
            cost = [f"{1000 * moment.seconds:.2f}", moment.memory_bytes, moment.process_bytes]
            right = ["", "", ""] if moment.judged is None else _against(moment, truth)
            lines.writerow([moment.number, *cost, *right])


def _against(moment: Moment, truth: Truth) -> list[str]:
    assert moment.judged is not None
    apart = "" if np.isnan(moment.judged.from_full) else f"{moment.judged.from_full:.5f}"
    true = truth.depth(moment.number)
    if true is None or (true > 0).mean() < LEAST_KNOWN:
        return ["", "", apart]
    ours = metrics.resample(moment.judged.depth.astype(np.float32), true.shape)
    log_scale = np.median(np.log(true[true > 0] / ours[true > 0]))
    return [f"{log_scale:.5f}", f"{metrics.absrel(ours, true):.5f}", apart]


def _points(prediction: FramePrediction, truth: Truth) -> tuple[Array, Array] | None:
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
