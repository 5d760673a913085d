"""Ground truth of a clip, where there is one: the office example's, or a folder's with poses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]

_HALF = 2  # depth is read at half size
SEVEN_SCENES = np.array([[525 / 640, 0, 0.5], [0, 525 / 480, 0.5], [0, 0, 1]])  # of colour pictures


@dataclass(frozen=True)
class TruthFile:
    """Where the truth of a clip of ours lies.

    Attributes:
        path: a file that `assets/make_clips.py` made.
        rate: of the clip, frames a second.
    """

    path: Path
    rate: float


@dataclass(frozen=True)
class Truth:
    """Cameras and depth of a clip.

    Attributes:
        world_from_cam: (N, 3, 4), metres, of all frames of the clip.
        intrinsics: (3, 3), x divided by the picture's width and y by its height; None if unknown.
        rate: of the clip, frames a second.
        depth: (H, W) metres of a frame by its number, 0 where unknown; None if it has none.
    """

    world_from_cam: Array
    intrinsics: Array | None
    rate: float
    depth: Callable[[int], Array | None]

    @classmethod
    def load(cls, source: TruthFile) -> Truth:
        """Reads a file."""
        with np.load(source.path) as file:
            depths = file["depth_mm"].astype(np.float64) / 1000
            height, width = (_HALF * side for side in depths.shape[1:])
            return cls(
                world_from_cam=file["world_from_cam"][:, :3],
                intrinsics=file["intrinsics"] / np.array([[width], [height], [1]]),
                rate=source.rate,
                depth=dict(zip(file["depth_frames"].tolist(), depths, strict=True)).get,
            )

    @property
    def focal(self) -> float | None:
        """Fx divided by the picture's width; None if unknown."""
        return None if self.intrinsics is None else float(self.intrinsics[0, 0])

    def number_at(self, time_s: float) -> int | None:
        """The frame of a time in the clip; None where it has ended."""
        number = round(time_s * self.rate)
        return number if number < len(self.world_from_cam) else None


@dataclass(frozen=True)
class PosedFolder:
    """Pictures, depth and poses of a folder.

    Attributes:
        pictures: files in order.
        depths: 16-bit millimetres, 0 and 65535 unknown, in the same order.
        world_from_cam: (N, 3, 4), metres.
        intrinsics: as of `Truth`; None if the folder does not say.
    """

    pictures: list[Path]
    depths: list[Path]
    world_from_cam: Array
    intrinsics: Array | None

    @classmethod
    def open(cls, folder: Path, every: int) -> PosedFolder:
        """Reads a plain folder (images/, depth/, poses.txt, K.txt) or a 7-Scenes sequence.

        Raises:
            ValueError: a file that belongs to neither layout is missing; it is named.
        """
        if (folder / "poses.txt").is_file():
            pictures = sorted((folder / "images").iterdir())
            depths = sorted((folder / "depth").iterdir())
            poses = np.loadtxt(folder / "poses.txt").reshape(-1, 4, 4)
        else:
            pictures = sorted(folder.glob("frame-*.color.*"))
            depths = sorted(folder.glob("frame-*.depth.png"))
            files = sorted(folder.glob("frame-*.pose.txt"))
            if not files:
                raise ValueError(f"{folder} has neither poses.txt nor frame-*.pose.txt")
            poses = np.stack([np.loadtxt(file) for file in files])
        if not len(pictures) == len(depths) == len(poses):
            counts = f"{len(pictures)} pictures, {len(depths)} depth maps, {len(poses)} poses"
            raise ValueError(f"{folder} has {counts}: one of each is needed for every frame")
        intrinsics = _intrinsics_of(folder, pictures[0])
        return cls(pictures[::every], depths[::every], poses[::every, :3], intrinsics)

    def depth(self, number: int) -> Array:
        """(H, W) metres at half size, 0 where unknown."""
        millimetres = np.asarray(Image.open(self.depths[number]))[::_HALF, ::_HALF]
        return np.where(millimetres == 65535, 0, millimetres.astype(np.float64)) / 1000

    @property
    def truth(self) -> Truth:
        """Of its pictures, a second apart each."""
        return Truth(self.world_from_cam, self.intrinsics, 1.0, self.depth)


def _intrinsics_of(folder: Path, picture: Path) -> Array | None:
    if not (folder / "poses.txt").is_file():
        return SEVEN_SCENES
    if not (folder / "K.txt").is_file():
        return None
    with Image.open(picture) as opened:
        return np.loadtxt(folder / "K.txt") / np.array([[opened.width], [opened.height], [1]])
