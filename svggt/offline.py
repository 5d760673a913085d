"""A whole clip at once: what offline VGGT makes of it, for comparison with a stream."""

from __future__ import annotations

import time

import torch

from svggt.checkpoints import LoadedModel
from svggt.frames import Frame
from svggt.prediction import FramePrediction
from svggt.stream import predictions, to_arrays, to_images


@torch.inference_mode()
def predict_clip(
    model: LoadedModel, frames: list[Frame], causal: bool, points: bool = False
) -> list[FramePrediction]:
    """Predicts all frames in one pass.

    Args:
        model: the weights.
        frames: of one size.
        causal: frame t sees frames 0..t only (the batch form of a stream), else all.
        points: run the point head too.

    Returns:
        One prediction per frame; `seconds` is the clip's time divided by its frames.
    """
    started = time.perf_counter()
    arrays = to_arrays(model.network(to_images(frames, model), causal=causal, points=points))
    seconds = (time.perf_counter() - started) / len(frames)
    return predictions(frames, arrays, seconds, memory_bytes=0)
