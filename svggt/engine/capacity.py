"""How many frames a device has room for, by arithmetic, before any is computed."""

from __future__ import annotations

import psutil
import torch

from svggt.engine.checkpoints import LoadedModel
from svggt.errors import BadInput
from svggt.media.frames import PATCH

_COPIES = 8  # of a frame's tokens within a global block: in, q, k, v, their pieces, out
_PIXEL_BYTES = 64  # picture, depth, points, two confidences, in float32, and one copy
_SHARE = 0.8  # of what is free


def free_bytes(model: LoadedModel) -> int:
    """What is free where a model computes: what was, when its accelerator was chosen."""
    free = model.device.free_bytes
    return psutil.virtual_memory().available if free is None else free


def remembered_bytes(model: LoadedModel, size: tuple[int, int]) -> int:
    """What a stream that forgets nothing keeps of one frame.

    Keys and values of P tokens in every global layer, in the network's numbers, and of one token
    in every pass and block of the camera head, in float32.

    Args:
        model: the weights.
        size: (height, width) of the pictures.
    """
    config = model.network.config
    of_layers = 2 * config.depth * _tokens(model, size) * config.embed_dim
    blocks = config.camera_iterations * config.camera_trunk_depth
    of_camera = 2 * blocks * 2 * config.embed_dim
    return of_layers * model.device.dtype.itemsize + of_camera * torch.float32.itemsize


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
    kept_layers = len({*config.dpt_layers, config.depth - 1})
    copies = model.device.dtype.itemsize * (_COPIES + 2 * kept_layers)
    of_tokens = _tokens(model, size) * config.embed_dim * copies
    return max(1, int(_SHARE * free_bytes / (of_tokens + size[0] * size[1] * _PIXEL_BYTES)))


def check_capacity(model: LoadedModel, size: tuple[int, int], count: int) -> None:
    """Raises BadInput unless so many frames (H, W) fit on a model's device at once."""
    if not _is_of_width(size, model.input_width):
        raise BadInput(
            f"{model.name} takes pictures {model.input_width} pixels wide, and these frames have "
            f"{size[1]}: run A with weights of that width too."
        )
    most = most_frames(model, size, free_bytes(model))
    if count > most:
        raise BadInput(
            f"{count} frames do not fit on {model.device.name} at once; {most} do. Take the first "
            f"{most} of them (Frames)."
        )


def _is_of_width(size: tuple[int, int], width: int) -> bool:
    """Whether frames (H, W) are as a model of that width takes them: tall ones, kept whole, too."""
    height_of_wider = size[0] * (size[1] + PATCH) / size[1] + PATCH / 2
    return size[1] == width or size[1] < size[0] <= width <= height_of_wider


def check_memory(model: LoadedModel, size: tuple[int, int], count: int) -> None:
    """Raises BadInput unless a stream can remember so many frames (H, W), each whole."""
    needed = count * remembered_bytes(model, size)
    free = int(_SHARE * free_bytes(model))
    if needed > free:
        raise BadInput(
            f"{count} frames take {needed / 1e9:.1f} GB to remember, and {model.device.name} has "
            f"{free / 1e9:.1f} GB for them: choose a bounded memory, as --memory window."
        )


def _tokens(model: LoadedModel, size: tuple[int, int]) -> int:
    """Of a picture (height, width), special ones included."""
    config = model.network.config
    return size[0] * size[1] // config.patch_size**2 + config.num_special_tokens
