"""Ground truth of a clip, where there is one; see `svggt.data.sequence` for a folder's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

HALF = 2
"""Depth of the truth is of half size: it is compared with, and neighbours say the same."""


@dataclass(frozen=True)
class TruthFile:
    """Where the truth of a clip of ours lies.

    Attributes:
        path: a file that `assets/make_clips.py` made.
        rate: the clip's, frames a second.
    """

    path: Path
    rate: float


@dataclass(frozen=True)
class Truth:
    """Cameras and depth of a clip.

    Attributes:
        world_from_cam: (N, 3, 4), metres, of all frames of the clip.
        intrinsics: (3, 3), x divided by the picture's width and y by its height; None if unknown.
        rate: the clip's, frames a second.
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
            height, width = (HALF * side for side in depths.shape[1:])
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

    def pixel_intrinsics(self, size: tuple[int, ...]) -> Array | None:
        """(3, 3) of a picture or depth map (height, width); None if unknown."""
        if self.intrinsics is None:
            return None
        return self.intrinsics * np.array([[size[1]], [size[0]], [1]])

    def number_at(self, time_s: float) -> int | None:
        """The frame of a time in the clip; None where it has ended."""
        number = round(time_s * self.rate)
        return number if number < len(self.world_from_cam) else None
