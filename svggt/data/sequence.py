"""A recorded sequence with ground truth, whatever its layout on disk; see `svggt.data.layouts`."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Sequence as Several
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svggt.data.truth import HALF, Truth

Array = NDArray[Any]

PICTURES = ("*.png", "*.jpg", "*.jpeg", "*.JPG")
_UNKNOWN = 65535  # of 16-bit depth, besides 0
_SKY = 500.0  # metres from which depth counts as unknown


@dataclass(frozen=True)
class Sequence:
    """Pictures, depth and cameras of N moments, in order.

    Attributes:
        pictures: files.
        depths: files of the same moments; None of one without.
        read_depth: a file to (H, W) metres, 0 where unknown.
        world_from_cam: (N, 3, 4), metres; NaN where nobody knows.
        intrinsics: (3, 3) in pixels of the pictures; None if nobody says.
    """

    pictures: list[Path]
    depths: Several[Path | None]
    read_depth: Callable[[Path], Array]
    world_from_cam: Array
    intrinsics: Array | None

    def __post_init__(self) -> None:
        counts = len(self.pictures), len(self.depths), len(self.world_from_cam)
        if len(set(counts)) > 1 or not counts[0]:
            words = "{} pictures, {} depth maps, {} poses".format(*counts)
            where = self.pictures[0].parent if self.pictures else "a sequence"
            raise ValueError(f"{where} has {words}: one of each is needed for every moment")

    def thinned(self, every: int) -> Sequence:
        """Every n-th moment alone."""
        return replace(
            self,
            pictures=self.pictures[::every],
            depths=self.depths[::every],
            world_from_cam=self.world_from_cam[::every],
        )

    @property
    def posed(self) -> NDArray[np.bool_]:
        """(N,) whether it is known where a picture was taken."""
        return np.all(np.isfinite(self.world_from_cam), axis=(1, 2))

    @property
    def has_cameras(self) -> bool:
        """Whether that is known of any; some sets are of depth alone."""
        return bool(self.posed.any())

    @property
    def complete(self) -> Sequence:
        """Its moments with depth, and with a camera unless the set knows none.

        Raises:
            ValueError: there is none.
        """
        known = self.posed if self.has_cameras else np.ones(len(self.pictures), bool)
        numbers = [n for n in np.flatnonzero(known).tolist() if self.depths[n] is not None]
        if not numbers:
            raise ValueError(f"{self.pictures[0].parent} has no frame with depth and a known pose")
        return replace(
            self,
            pictures=[self.pictures[n] for n in numbers],
            depths=[self.depths[n] for n in numbers],
            world_from_cam=self.world_from_cam[numbers],
        )

    def depth(self, number: int) -> Array:
        """(H, W) metres of a moment that has it, 0 where unknown."""
        path = self.depths[number]
        assert path is not None, number
        return self.read_depth(path)

    @property
    def truth(self) -> Truth:
        """Of its pictures, a second apart each; files of depth are read when asked for.

        Raises:
            ValueError: the set knows no cameras.
        """
        if not self.has_cameras:
            raise ValueError(f"{self.pictures[0].parent} has no true cameras: it is of depth alone")
        intrinsics = self.intrinsics
        if intrinsics is not None:
            with Image.open(self.pictures[0]) as picture:
                intrinsics = intrinsics / np.array([[picture.width], [picture.height], [1]])
        return Truth(self.world_from_cam, intrinsics, 1.0, self._half_depth)

    def _half_depth(self, number: int) -> Array:
        return self.depth(number)[::HALF, ::HALF]


def integers(per_metre: float, farthest: float = np.inf) -> Callable[[Path], Array]:
    """Reads 16-bit pictures of depth; 0, 65535 and what is farther are unknown."""

    def read(path: Path) -> Array:
        with Image.open(path) as picture:
            values = np.asarray(picture).astype(np.float32)
        known = (values != _UNKNOWN) & (values <= farthest * per_metre)
        return np.where(known, values, 0) / per_metre

    return read


def read_array(path: Path) -> Array:
    """Reads a .npy in metres; what is not finite, negative or sky is unknown."""
    return known_metres(np.load(path, allow_pickle=False).astype(np.float32))


def known_metres(metres: Array) -> Array:
    """The same with 0 for what is not finite, not positive, or sky."""
    return np.where(np.isfinite(metres) & (metres > 0) & (metres < _SKY), metres, 0)


def files(folder: Path, *patterns: str) -> list[Path]:
    """Sorted by the numbers in their names, in order, then by name."""
    found = {path for pattern in patterns for path in folder.glob(pattern)}
    return sorted(found, key=lambda path: (_numbers(path.stem), path.name))


def no_poses(count: int) -> Array:
    """(N, 3, 4) of a set that knows none."""
    return np.full((count, 3, 4), np.nan)


def _numbers(name: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", name)]
