"""Cameras and depth of a stream against ground truth; see `svggt.eval.clip_figures`."""

from __future__ import annotations

import numpy as np

from svggt import metrics
from svggt.data.truth import Truth
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.offline import predict_clip
from svggt.engine.stream import Stream
from svggt.eval.clip_figures import ClipFigures, depth_figures, focal_figure, pose_figures
from svggt.eval.refined_run import RefinedRun, refine_run
from svggt.media.frames import Frame
from svggt.model.memory import CachePolicy
from svggt.model.policies import window
from svggt.prediction import FramePrediction
from svggt.refine.correction import Correction


def head_figures(model: LoadedModel, frames: list[Frame], truth: Truth) -> ClipFigures:
    """Of what the network says: a stream with a window of 8, or offline all frames at once."""
    said = predict(model, frames, window(8))
    poses = np.stack([p.world_from_cam for p in said])
    return ClipFigures(
        cameras=pose_figures(poses, np.zeros(len(said), bool), truth),
        live=None,
        depth=depth_figures([p.depth for p in said], truth),
        focal=focal_figure([float(p.intrinsics[0, 0]) / p.depth.shape[1] for p in said], truth),
    )


def predict(model: LoadedModel, frames: list[Frame], policy: CachePolicy) -> list[FramePrediction]:
    """A stream over frames; of weights that are not causal, what they say of all at once."""
    if not model.causal:
        return predict_clip(model, frames, causal=False)
    stream = Stream(model, policy)
    return [stream.step(frame) for frame in frames]


def refined_figures(
    model: LoadedModel, frames: list[Frame], truth: Truth, seed: int = 0
) -> ClipFigures:
    """Of a stream's cameras refined by tracking, and its depth as corrected."""
    return run_figures(refine_run(frames, predict(model, frames, window(8)), seed), truth)


def run_figures(
    run: RefinedRun, truth: Truth | None, same: tuple[int, int] | None = None
) -> ClipFigures:
    """Of a refined run.

    Args:
        run: over all frames of a clip.
        truth: the clip's; None where nobody knows.
        same: two frames taken at the same place; see `PosedClip`.
    """
    poses, count = _poses(run.final), len(run.final)
    depths = [c.correct(p.depth) for c, p in zip(run.final, run.predictions, strict=True)]
    gap = float("nan")
    if same is not None:
        gap = metrics.gap(poses, same, None if truth is None else truth.world_from_cam[:count])
    return ClipFigures(
        cameras=truth and pose_figures(poses, _told(run.final), truth),
        live=truth and pose_figures(_poses(run.live), _told(run.live), truth),
        depth=truth and depth_figures(depths, truth),
        focal=focal_figure([run.final[-1].focal], truth) if truth else float("nan"),
        lost=float(np.mean([c.status == "lost" for c in run.final])),
        segments=len({c.segment for c in run.final}),
        gap=gap,
    )


def _poses(corrections: list[Correction]) -> np.ndarray:
    """(N, 3, 4) world_from_cam."""
    return np.stack([c.world_from_cam for c in corrections])


def _told(corrections: list[Correction]) -> np.ndarray:
    """(N,) frames that were not told as tracked."""
    return np.array([c.status in ("weak", "lost") for c in corrections])
