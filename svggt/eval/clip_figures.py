"""What a run got right and wrong on one clip, and what it said of that.

Protocol: poses relative to the first of a window; errors are sums over windows divided by those of
a camera that never moves. Neither intrinsics nor scale are taken from the truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt import metrics
from svggt.data.truth import Truth

Array = NDArray[Any]

WINDOWS = (8, 32)
LEAST_KNOWN = 0.1
"""Share of a picture's depth that must be known: less says nothing."""
_STILL = (0.1, 1e-3)  # mean degrees, and metres: what moves less has no quotient


@dataclass(frozen=True)
class PoseFigures:
    """Of one set of cameras.

    Attributes:
        windows: "8", "32", "all" -> {"rotation": q, "ate": q}, with one Sim(3) a window; NaN
            where the truth does not move.
        degrees: mean rotation error of all frames, relative to the first.
        silent: share of frames whose motion is wrong, told as tracked.
        false_alarms: share of frames told as weak or lost whose motion is right.
    """

    windows: dict[str, dict[str, float]]
    degrees: float
    silent: float
    false_alarms: float


@dataclass(frozen=True)
class DepthFigures:
    """Of depth, in the end; NaN where too little of the truth is known.

    Attributes:
        absrel_frame: with one scale a frame.
        absrel_clip: with one scale for the clip.
        delta1: share of pixels within a factor of 1.25, with one scale a frame.
        log_scale_std: spread of the log scale between frames.
    """

    absrel_frame: float
    absrel_clip: float
    delta1: float
    log_scale_std: float


@dataclass(frozen=True)
class ClipFigures:
    """Of one run over a clip.

    Attributes:
        cameras: in the end; None without a truth.
        live: cameras as they were shown, where they changed later.
        depth: None without a truth.
        focal: |predicted / true - 1| of the focal length; NaN where the clip does not say.
        lost: share of frames told as lost.
        segments: of the trajectory that nothing ties to each other.
        gap: how far the end is from where it should be, by the path's length; of clips that
            come back.
    """

    cameras: PoseFigures | None
    live: PoseFigures | None
    depth: DepthFigures | None
    focal: float
    lost: float = 0.0
    segments: int = 1
    gap: float = float("nan")


def pose_figures(poses: Array, told: NDArray[np.bool_], truth: Truth) -> PoseFigures:
    """Of cameras.

    Args:
        poses: (N, 3, 4) world_from_cam.
        told: (N,) whether a frame was told as weak or lost.
        truth: of the clip.
    """
    count, true = len(poses), truth.world_from_cam[: len(poses)]
    wrong = metrics.wrong_motion(poses, true, _median_depths(truth, count))
    sizes = {str(size): size for size in WINDOWS if size < count} | {"all": count}
    return PoseFigures(
        windows={name: _quotients(poses, true, size) for name, size in sizes.items()},
        degrees=float(metrics.rotation_errors(poses, true).mean()),
        silent=float((wrong > told).mean()),
        false_alarms=float((told > wrong).mean()),
    )


def depth_figures(depths: list[Array], truth: Truth) -> DepthFigures:
    """Of depth maps (H, W), a frame each."""
    pairs = [(metrics.resample(depths[n], true.shape), true) for n, true in _known(truth, depths)]
    if not pairs:
        return DepthFigures(*(float("nan"),) * 4)
    ratios = [float(np.median(np.log(t[t > 0] / p[t > 0]))) for p, t in pairs]
    scale = np.exp(np.median(ratios))
    whole = [np.mean(np.abs(scale * p[t > 0] - t[t > 0]) / t[t > 0]) for p, t in pairs]
    return DepthFigures(
        absrel_frame=float(np.mean([metrics.absrel(p, t) for p, t in pairs])),
        absrel_clip=float(np.mean(whole)),
        delta1=float(np.mean([metrics.delta1(p, t) for p, t in pairs])),
        log_scale_std=float(np.std(ratios)),
    )


def focal_figure(focals: list[float], truth: Truth) -> float:
    """Mean error of focal lengths by the picture's width."""
    if truth.focal is None:
        return float("nan")
    return float(np.mean([abs(focal / truth.focal - 1) for focal in focals]))


def medians(runs: list[ClipFigures]) -> dict[str, Any]:
    """Of each figure of runs over a clip with a truth: windows, and the rest on one level."""
    cameras = [run.cameras for run in runs if run.cameras is not None]
    depths = [run.depth for run in runs if run.depth is not None]
    windows = {
        size: {k: median(c.windows[size][k] for c in cameras) for k in ("rotation", "ate")}
        for size in cameras[0].windows
    }
    flat = [
        {k: v for part in parts for k, v in asdict(part).items() if isinstance(v, float | int)}
        for parts in zip(depths, cameras, runs, strict=True)
    ]
    return {"windows": windows} | {name: median(row[name] for row in flat) for name in flat[0]}


def _quotients(poses: Array, true: Array, size: int) -> dict[str, float]:
    starts = metrics.window_starts(len(poses), size)
    windows = [(poses[s : s + size], true[s : s + size]) for s in starts]
    still = np.broadcast_to(true[:1], true.shape)
    turned = metrics.rotation_errors(still, true).mean() > _STILL[0]
    moved = np.linalg.norm(true[:, :, 3] - true[:1, :, 3], axis=1).max() > _STILL[1]
    rotation, ate = metrics.quotients(windows)
    return {
        "rotation": rotation if turned else float("nan"),
        "ate": ate if moved else float("nan"),
    }


def _known(truth: Truth, depths: list[Array]) -> Iterator[tuple[int, Array]]:
    """Frames whose true depth is known, with it."""
    for number in range(len(depths)):
        true = truth.depth(number)
        if true is not None and (true > 0).mean() >= LEAST_KNOWN:
            yield number, true


def _median_depths(truth: Truth, count: int) -> Array:
    """(N,) metres; of the nearest frame before that has depth."""
    medians, newest = np.zeros(count), 0.0
    for number in range(count):
        true = truth.depth(number)
        if true is not None and (true > 0).any():
            newest = float(np.median(true[true > 0]))
        medians[number] = newest
    return medians
