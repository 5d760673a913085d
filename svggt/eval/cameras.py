"""Cameras and depth of a stream against ground truth, on any folder with poses.

Protocol: windows of n = 8, 32 and all frames of one stream, poses relative to the window's
first; errors are sums over windows divided by those of a camera that never moves. Neither
intrinsics nor scale are taken from the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svggt import metrics
from svggt.checkpoints import LoadedModel
from svggt.frames import Fitter, Frame
from svggt.model.policies import window
from svggt.prediction import FramePrediction
from svggt.refine.correction import Correction
from svggt.refine.options import RefineOptions
from svggt.refine.refiner import Refiner
from svggt.refine.solver import SolverProcess, WaitingSolver
from svggt.stream import Stream
from svggt.truth import PosedFolder

WINDOWS = (8, 32)


@dataclass(frozen=True)
class CameraFigures:
    """Rotation and ATE quotients per window size, and depth over all frames.

    Attributes:
        windows: "8", "32", "all" -> {"rotation": q, "ate": q}.
        absrel_frame: depth, as corrected, with one scale a frame.
        absrel_clip: the same with one scale for the clip.
        log_scale_std: spread of the log scale between frames.
        lost: frames whose refined pose is the camera head's motion.
        pieces: of the trajectory that nothing ties to each other.
    """

    windows: dict[str, dict[str, float]]
    absrel_frame: float
    absrel_clip: float
    log_scale_std: float
    lost: int
    pieces: int


def camera_figures(
    model: LoadedModel, folder: PosedFolder, cameras: Literal["head", "refined"], seed: int = 0
) -> CameraFigures:
    """Streams the folder's pictures and compares."""
    predictions, corrections = _run(model, folder, seed)
    refined = cameras == "refined"
    poses = np.stack(
        [
            c.world_from_cam if refined else p.world_from_cam
            for c, p in zip(corrections, predictions, strict=True)
        ]
    )
    depths = [
        c.correct(p.depth) if refined else p.depth
        for c, p in zip(corrections, predictions, strict=True)
    ]
    return CameraFigures(
        windows=_windows(poses, folder.world_from_cam),
        **_depth_figures(depths, folder),
        lost=sum(c.status == "lost" for c in corrections) if refined else 0,
        pieces=len({c.piece for c in corrections}) if refined else 1,
    )


def _run(
    model: LoadedModel, folder: PosedFolder, seed: int
) -> tuple[list[FramePrediction], list[Correction]]:
    """Predictions, and the last correction of every frame."""
    stream, fitter = Stream(model, window(8)), Fitter(model.input_width)
    predictions: list[FramePrediction] = []
    newest: dict[int, Correction] = {}
    with SolverProcess() as process:
        refiner = Refiner(WaitingSolver(process), RefineOptions(seed=seed))
        for number, path in enumerate(folder.pictures):
            frame = _frame(fitter, number, path)
            predictions.append(stream.step(frame))
            newest |= {c.frame: c for c in refiner.add(frame.grey, predictions[-1])}
        newest |= {c.frame: c for c in refiner.settle()}
    return predictions, [newest[n] for n in range(len(predictions))]


def _frame(fitter: Fitter, number: int, path: Path) -> Frame:
    with Image.open(path) as picture:
        return fitter.frame(number, float(number), picture)


def _windows(poses: NDArray[np.floating], truth: NDArray[np.floating]) -> dict:
    found = {}
    for size in (*[n for n in WINDOWS if n < len(poses)], len(poses)):
        starts = metrics.window_starts(len(poses), size)
        rotation, ate = metrics.quotients(
            [(poses[s : s + size], truth[s : s + size]) for s in starts]
        )
        found["all" if size == len(poses) else str(size)] = {"rotation": rotation, "ate": ate}
    return found


def _depth_figures(depths: list[NDArray[np.float32]], folder: PosedFolder) -> dict[str, float]:
    frame_errors, ratios, clip = [], [], []
    for number, depth in enumerate(depths):
        true = folder.depth(number)
        predicted = metrics.resample(depth, true.shape)
        valid = true > 0
        if valid.mean() < 0.1:
            continue
        frame_errors.append(metrics.absrel(predicted, true))
        ratios.append(float(np.median(np.log(true[valid] / predicted[valid]))))
        clip.append((predicted[valid], true[valid]))
    scale = np.exp(np.median(ratios))
    whole = [float(np.mean(np.abs(scale * p - t) / t)) for p, t in clip]
    return {
        "absrel_frame": float(np.mean(frame_errors)),
        "absrel_clip": float(np.mean(whole)),
        "log_scale_std": float(np.std(ratios)),
    }
