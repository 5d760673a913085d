"""Rendered clips to be looked at, and as folders that any data loader reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from svggt.train.batch import ClipBatch
from svggt.train.synth.render import render_clips
from svggt.train.synth.rng import Rng

_SHEET = (10, 4)  # clips, frames
_SMALL = (126, 168)
_TRIES = 50


def write_sheet(path: Path, seed: int, device: torch.device) -> None:
    """A row a clip: its frames, and the last one's depth, near things light."""
    clips, frames = _SHEET
    batch = render_clips(clips, frames, _SMALL, Rng(seed, device))
    rows = []
    for number in range(clips):
        pictures = [_pixels(batch.images[number, frame]) for frame in range(frames)]
        rows.append(np.concatenate([*pictures, _depth(batch.depth[number, -1])], axis=1))
    Image.fromarray(np.concatenate(rows)).save(path)


def write_clip(
    folder: Path,
    frames: int,
    seed: int,
    device: torch.device,
    size: tuple[int, int] = (252, 336),
) -> None:
    """`images/`, `depth/` (16-bit millimetres, 0 unknown), `poses.txt` and `K.txt`.

    The plain layout of `svggt.data.layouts`: the first good clip from a seed on.
    """
    for made in (folder / "images", folder / "depth"):
        made.mkdir(parents=True, exist_ok=True)
    batch = _good_clip(frames, seed, device, size)
    for number in range(frames):
        Image.fromarray(_pixels(batch.images[0, number])).save(folder / f"images/{number:05}.png")
        millimetres = (1000 * batch.depth[0, number]).round().clamp(0, 65_000)
        depth = millimetres.cpu().numpy().astype(np.uint16)
        Image.fromarray(depth).save(folder / f"depth/{number:05}.png")
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, :3] = batch.world_from_cam[0].cpu().numpy()
    np.savetxt(folder / "poses.txt", poses.reshape(frames, 16))
    np.savetxt(folder / "K.txt", _intrinsics(batch))


def _good_clip(frames: int, seed: int, device: torch.device, size: tuple[int, int]) -> ClipBatch:
    for number in range(seed, seed + _TRIES):
        batch = render_clips(1, frames, size, Rng(number, device))
        if batch.good.all():
            return batch
    raise ValueError(f"no good clip from seed {seed} on: choose another one")


def _intrinsics(batch: ClipBatch) -> np.ndarray:
    height, width = batch.depth.shape[-2:]
    tangents = torch.tan(batch.fields_of_view[0] / 2).tolist()
    focal_y, focal_x = height / 2 / tangents[0], width / 2 / tangents[1]
    return np.array([[focal_x, 0, width / 2], [0, focal_y, height / 2], [0, 0, 1]])


def _pixels(image: Tensor) -> np.ndarray:
    return (255 * image).round().byte().permute(1, 2, 0).cpu().numpy()


def _depth(depth: Tensor) -> np.ndarray:
    """Near things light, what is unknown black."""
    near = torch.where(depth > 0, (1 / depth.clamp_min(0.2)).clamp_max(2.0) / 2, 0.0)
    return _pixels(near.expand(3, -1, -1))
