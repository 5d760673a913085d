"""Cameras and depth of a stream against ground truth, on any folder with poses.

Protocol: windows of n = 8, 32 and all frames of one stream, poses relative to the window's
first; errors are sums over windows divided by those of a camera that never moves. Neither
intrinsics nor scale are taken from the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svggt import metrics
from svggt.data.sequence import Sequence
from svggt.data.truth import Truth
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.offline import predict_clip
from svggt.engine.stream import Stream
from svggt.media.frames import Fitter, Frame
from svggt.model.memory import CachePolicy
from svggt.model.policies import window
from svggt.prediction import FramePrediction
from svggt.refine.correction import Correction
from svggt.refine.options import RefineOptions
from svggt.refine.refiner import Refiner
from svggt.refine.solver import SolverProcess, WaitingSolver

Array = NDArray[Any]

WINDOWS = (8, 32)
_KNOWN = 0.1  # of a picture's depth: less says nothing


@dataclass(frozen=True)
class CameraFigures:
    """Rotation and ATE quotients per window size, and depth over all frames.

    Attributes:
        windows: "8", "32", "all" -> {"rotation": q, "ate": q}.
        absrel_frame: depth, as corrected, with one scale a frame.
        absrel_clip: the same with one scale for the clip.
        delta1: share of pixels within a factor of 1.25, with one scale a frame.
        log_scale_std: spread of the log scale between frames.
        focal: |predicted / true - 1| of the focal length; NaN where the clip does not say.
        lost: frames whose refined pose is the camera head's motion.
        segments: of the trajectory that nothing ties to each other.
    """

    windows: dict[str, dict[str, float]]
    absrel_frame: float
    absrel_clip: float
    delta1: float
    log_scale_std: float
    focal: float
    lost: int
    segments: int


def frames_of(sequence: Sequence, width: int) -> list[Frame]:
    """Pictures of a sequence, as a model of that width takes them."""
    fitter = Fitter(width)
    return [_frame(fitter, number, path) for number, path in enumerate(sequence.pictures)]


def head_figures(model: LoadedModel, frames: list[Frame], truth: Truth) -> CameraFigures:
    """Of what the network says: a stream with a window of 8, or offline all frames at once."""
    predictions = predict(model, frames, window(8))
    seen = _Seen(
        [p.world_from_cam for p in predictions],
        [p.depth for p in predictions],
        [float(p.intrinsics[0, 0]) / p.depth.shape[1] for p in predictions],
    )
    return _figures(seen, truth)


def predict(model: LoadedModel, frames: list[Frame], policy: CachePolicy) -> list[FramePrediction]:
    """A stream over frames; of weights that are not causal, what they say of all at once."""
    if not model.causal:
        return predict_clip(model, frames, causal=False)
    stream = Stream(model, policy)
    return [stream.step(frame) for frame in frames]


def refined_figures(
    model: LoadedModel, frames: list[Frame], truth: Truth, seed: int = 0
) -> CameraFigures:
    """Of a stream's cameras refined by tracking, and its depth as corrected."""
    predictions, corrections = _refine(model, frames, seed)
    seen = _Seen(
        [c.world_from_cam for c in corrections],
        [c.correct(p.depth) for c, p in zip(corrections, predictions, strict=True)],
        [c.focal for c in corrections],
    )
    lost = sum(c.status == "lost" for c in corrections)
    return replace(_figures(seen, truth), lost=lost, segments=len({c.segment for c in corrections}))


@dataclass(frozen=True)
class _Seen:
    """What a run makes of frames: world_from_cam, depth, and focal length by width."""

    poses: list[Array]
    depths: list[Array]
    focals: list[float]


def _figures(seen: _Seen, truth: Truth) -> CameraFigures:
    focal = float("nan")
    if truth.focal is not None:
        focal = float(np.mean([abs(f / truth.focal - 1) for f in seen.focals]))
    return CameraFigures(
        windows=_windows(np.stack(seen.poses), truth.world_from_cam[: len(seen.poses)]),
        **_depth_figures(seen.depths, truth),
        focal=focal,
        lost=0,
        segments=1,
    )


def _refine(
    model: LoadedModel, frames: list[Frame], seed: int
) -> tuple[list[FramePrediction], list[Correction]]:
    """Predictions, and the last correction of every frame."""
    stream = Stream(model, window(8))
    predictions: list[FramePrediction] = []
    newest: dict[int, Correction] = {}
    with SolverProcess() as process:
        refiner = Refiner(WaitingSolver(process), RefineOptions(seed=seed))
        for frame in frames:
            predictions.append(stream.step(frame))
            newest |= {c.frame: c for c in refiner.add(frame.grey, predictions[-1])}
        newest |= {c.frame: c for c in refiner.settle()}
    return predictions, [newest[n] for n in range(len(predictions))]


def _frame(fitter: Fitter, number: int, path: Path) -> Frame:
    with Image.open(path) as picture:
        return fitter.frame(number, float(number), picture)


def _windows(poses: Array, truth: Array) -> dict[str, dict[str, float]]:
    found = {}
    for size in (*[n for n in WINDOWS if n < len(poses)], len(poses)):
        starts = metrics.window_starts(len(poses), size)
        rotation, ate = metrics.quotients(
            [(poses[s : s + size], truth[s : s + size]) for s in starts]
        )
        found["all" if size == len(poses) else str(size)] = {"rotation": rotation, "ate": ate}
    return found


def _depth_figures(depths: list[Array], truth: Truth) -> dict[str, float]:
    frame_errors, near, ratios, clip = [], [], [], []
    for number, depth in enumerate(depths):
        true = truth.depth(number)
        if true is None or (true > 0).mean() < _KNOWN:
            continue
        predicted, valid = metrics.resample(depth, true.shape), true > 0
        frame_errors.append(metrics.absrel(predicted, true))
        near.append(metrics.delta1(predicted, true))
        ratios.append(float(np.median(np.log(true[valid] / predicted[valid]))))
        clip.append((predicted[valid], true[valid]))
    scale = np.exp(np.median(ratios))
    whole = [float(np.mean(np.abs(scale * p - t) / t)) for p, t in clip]
    return {
        "absrel_frame": float(np.mean(frame_errors)),
        "absrel_clip": float(np.mean(whole)),
        "delta1": float(np.mean(near)),
        "log_scale_std": float(np.std(ratios)),
    }
