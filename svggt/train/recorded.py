"""Clips to learn from, cut out of recorded sequences, and mixed with others by weight."""

from __future__ import annotations

from collections.abc import Sequence as Several

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from svggt.data.sequence import Array, Sequence
from svggt.train.batch import ClipBatch, Source
from svggt.train.source import Shape

_LEAPS = (1, 8)  # frames between two of a clip
_KNOWN = 0.2  # of a clip's depth: with less it is not good
_EXPOSURE = 0.15


def recorded(
    sequences: Several[Sequence], shapes: tuple[Shape, ...], seed: int, device: torch.device
) -> Source:
    """Clips of sequences, each as likely as any other, of one of the shapes in turn.

    Raises:
        ValueError: no sequence, none as long as the longest clip, or one without a focal length or
            without cameras.
    """
    for sequence in sequences:
        if not sequence.has_cameras:
            folder = sequence.pictures[0].parent
            raise ValueError(f"{folder} has no cameras: it serves evaluation of depth alone")
        if sequence.intrinsics is None:
            folder = sequence.pictures[0].parent.parent
            raise ValueError(f"{folder / 'K.txt'} is missing: training needs the focal length")
    longest = max(shape.frames for shape in shapes)
    enough = [sequence for sequence in sequences if len(sequence.pictures) >= longest]
    if not enough:
        raise ValueError(f"no sequence of {longest} frames or more: name other folders")

    def clips(step: int, part: int) -> ClipBatch:
        shape, rng = shapes[step % len(shapes)], np.random.default_rng((seed, step, part))
        made = [_clip(enough[rng.integers(len(enough))], shape, rng) for _ in range(shape.clips)]
        images, depth, poses, views = (torch.stack(each) for each in zip(*made, strict=True))
        known = (depth > 0).float().mean((1, 2, 3))
        return ClipBatch(
            images=images.to(device),
            depth=depth.to(device),
            world_from_cam=poses.to(device),
            fields_of_view=views.to(device),
            motion=torch.zeros(*depth.shape, 3, device=device),  # nobody knows
            when=torch.arange(shape.frames, dtype=torch.float32, device=device),
            good=(known > _KNOWN).to(device),
        )

    return clips


def mixed(sources: Several[tuple[float, Source]], seed: int) -> Source:
    """Each step's clips from one of several sources, as often as its weight says.

    Args:
        sources: weight and source each.
        seed: from which the choice is drawn.
    """
    weights = np.array([weight for weight, _ in sources])

    def clips(step: int, part: int) -> ClipBatch:
        rng = np.random.default_rng((seed, step, part, len(sources)))
        return sources[rng.choice(len(sources), p=weights / weights.sum())][1](step, part)

    return clips


def _clip(sequence: Sequence, shape: Shape, rng: np.random.Generator) -> tuple[Tensor, ...]:
    """Images, depth, world_from_cam and fields of view of one clip."""
    assert sequence.intrinsics is not None
    count, most = shape.frames, len(sequence.pictures)
    leap = int(min(rng.integers(_LEAPS[0], _LEAPS[1] + 1), (most - 1) // max(count - 1, 1)))
    start = int(rng.integers(most - leap * (count - 1)))
    numbers = range(start, start + leap * (count - 1) + 1, leap)
    exposure = float(np.exp(_EXPOSURE * rng.standard_normal()))
    images, depths = [], []
    for number in numbers:
        with Image.open(sequence.pictures[number]) as opened:
            picture = opened.convert("RGB")
        box = centred_box(picture.size, sequence.intrinsics, shape.size)
        images.append(_picture(picture, box, shape.size) * exposure)
        depth = sequence.depth(number)
        depths.append(_sampled(depth, box, picture.size, shape.size))
    focal = sequence.intrinsics[[1, 0], [1, 0]]
    sides = np.array([box[3] - box[1], box[2] - box[0]])
    return (
        torch.from_numpy(np.stack(images)).clamp(0, 1),
        torch.from_numpy(np.stack(depths)),
        torch.from_numpy(sequence.world_from_cam[list(numbers)].astype(np.float32)),
        torch.from_numpy(2 * np.arctan(sides / 2 / focal)).float(),
    )


Box = tuple[float, float, float, float]
"""Left, top, right, bottom of a part of a picture, in pixels from its corner."""


def centred_box(size: tuple[int, int], intrinsics: Array, wanted: tuple[int, int]) -> Box:
    """The largest part of a shape whose pixel (W/2, H/2) is at the principal point.

    The network's cameras look ahead there, and number pixels by their middles, as intrinsics do.

    Args:
        size: (W, H) of the picture.
        intrinsics: (3, 3) in its pixels.
        wanted: (H, W) of what is made of the part.
    """
    middle = intrinsics[:2, 2] + 0.5
    pixels = np.array([wanted[1], wanted[0]])
    before, after = pixels / 2 + 0.5, pixels / 2 - 0.5  # of the middle
    scale = min((middle / before).min(), ((np.array(size) - middle) / after).min())
    left, top = np.maximum(middle - scale * before, 0)  # but for rounding it is at least 0
    right, bottom = np.minimum(middle + scale * after, size)
    return float(left), float(top), float(right), float(bottom)


def _picture(picture: Image.Image, box: Box, size: tuple[int, int]) -> Array:
    """(3, H, W) in [0, 1]."""
    resized = picture.resize((size[1], size[0]), Image.Resampling.BICUBIC, box=box)
    return np.asarray(resized, dtype=np.float32).transpose(2, 0, 1) / 255


def _sampled(depth: Array, box: Box, picture: tuple[int, int], size: tuple[int, int]) -> Array:
    """(H, W) of the nearest known depths; depth may have another size than its picture."""
    left, top, right, bottom = box
    columns = left + (np.arange(size[1]) + 0.5) / size[1] * (right - left)
    rows = top + (np.arange(size[0]) + 0.5) / size[0] * (bottom - top)
    x = np.clip(columns * depth.shape[1] / picture[0], 0, depth.shape[1] - 1).astype(int)
    y = np.clip(rows * depth.shape[0] / picture[1], 0, depth.shape[0] - 1).astype(int)
    return depth[y[:, None], x].astype(np.float32)
