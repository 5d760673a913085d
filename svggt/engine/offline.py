"""A whole clip at once: what offline VGGT makes of it, for comparison with a stream."""

from __future__ import annotations

import time

import psutil
import torch

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.stream import predictions, to_arrays, to_images
from svggt.errors import BadInput
from svggt.media.frames import Frame
from svggt.model.chunks import WHOLE, Chunks
from svggt.prediction import FramePrediction, PointTrack

_COPIES = 8  # of a frame's tokens within a global block: in, q, k, v, their pieces, out
_PIXEL_BYTES = 64  # picture, depth, points, two confidences, in float32, and one copy
_SHARE = 0.8  # of what is free


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


def most_frames(model: LoadedModel, size: tuple[int, int], free_bytes: int) -> int:
    """How many frames fit at once into so much memory, cautiously.

    What a pass keeps of every frame: queries, keys, values and tokens in and out of a block, the
    tokens of the layers that heads read, and the predictions. Pieces and weights are besides.

    Args:
        model: the weights.
        size: (height, width) of the pictures.
        free_bytes: what is free on the device.
    """
    config = model.network.config
    patches = size[0] * size[1] // config.patch_size**2
    tokens = (patches + config.num_special_tokens) * config.embed_dim
    width = torch.finfo(model.device.dtype).bits // 8
    kept_layers = len({*config.dpt_layers, config.depth - 1})
    a_frame = tokens * width * (_COPIES + 2 * kept_layers) + size[0] * size[1] * _PIXEL_BYTES
    return max(1, int(_SHARE * free_bytes / a_frame))


def check_capacity(model: LoadedModel, size: tuple[int, int], count: int) -> None:
    """Raises BadInput unless so many frames (H, W) fit on a model's device at once."""
    if size[1] != model.input_width:
        raise BadInput(
            f"{model.name} takes pictures {model.input_width} pixels wide, and these frames have "
            f"{size[1]}: run A with weights of that width too."
        )
    free = model.device.free_bytes
    most = most_frames(model, size, psutil.virtual_memory().available if free is None else free)
    if count > most:
        raise BadInput(
            f"{count} frames do not fit on {model.device.name} at once; {most} do. Take the first "
            f"{most} of them (Frames)."
        )


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
