"""A whole clip at once: what offline VGGT makes of it, for comparison with a stream."""

from __future__ import annotations

import time

import torch

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.conversion import predictions, to_arrays, to_images
from svggt.media.frames import Frame
from svggt.model.chunks import WHOLE, Chunks
from svggt.prediction import FramePrediction, PointTrack


@torch.inference_mode()
def predict_clip(
    model: LoadedModel,
    frames: list[Frame],
    causal: bool,
    points: bool = False,
    chunks: Chunks = WHOLE,
) -> list[FramePrediction]:
    """Predicts all frames in one pass.

    Args:
        model: the weights.
        frames: the clip's, of one size.
        causal: frame t sees frames 0..t only (the batch form of a stream), else all.
        points: run the point head too.
        chunks: how the pass is cut; its result is the same.

    Returns:
        One prediction per frame; `seconds` is the clip's time divided by its frames.
    """
    started = time.perf_counter()
    arrays = to_arrays(model.network(to_images(frames, model), causal, points, chunks))
    seconds = (time.perf_counter() - started) / len(frames)
    return predictions(frames, arrays, seconds, memory_bytes=0)


@torch.inference_mode()
def track_point(
    model: LoadedModel, shown: list[FramePrediction], pixel: tuple[int, int]
) -> PointTrack:
    """Follows a pixel of the first frame through the others, in one pass (VGGT, section 3.4).

    Args:
        model: weights with a track head.
        shown: frames of one size.
        pixel: x and y.

    Raises:
        ValueError: the weights have no track head.
    """
    query = torch.tensor([[pixel]], dtype=torch.float32, device=model.device.torch)
    tracks = model.network.track(to_images(shown, model), query, causal=model.causal)
    return PointTrack(
        first=shown[0].number,
        pixels=tracks.iterations[-1][0, :, 0].float().cpu().numpy(),
        visibility=tracks.visibility[0, :, 0].float().cpu().numpy(),
    )
