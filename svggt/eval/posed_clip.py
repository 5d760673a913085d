"""Pictures with their true cameras and depth, in memory: what a suite's clip is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svggt.data.sequence import Sequence
from svggt.data.truth import Truth
from svggt.media.bars import shown_by
from svggt.media.frames import Fitter, Frame

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class PosedClip:
    """A clip, and what is known of it.

    Attributes:
        pictures: (H, W, 3) uint8 each.
        truth: None where nobody knows.
        same: numbers of two frames, taken at (about) the same place, of a camera that comes back.
    """

    pictures: list[NDArray[np.uint8]]
    truth: Truth | None
    same: tuple[int, int] | None = None

    @classmethod
    def of(cls, sequence: Sequence, returns: bool = False) -> PosedClip:
        """Reads a sequence's pictures; depth is read when it is asked for.

        Args:
            sequence: with its truth.
            returns: whether the camera ends where it began.
        """
        pictures = []
        for path in sequence.pictures:
            with Image.open(path) as picture:
                pictures.append(np.asarray(picture.convert("RGB")))
        same = (0, len(pictures) - 1) if returns else None
        return cls(pictures, sequence.truth, same)

    def chosen(self, numbers: list[int]) -> PosedClip:
        """Some moments, in that order."""
        truth = self.truth
        if truth is not None:
            whole = truth.depth
            truth = replace(
                truth,
                world_from_cam=truth.world_from_cam[numbers],
                depth=lambda number: whole(numbers[number]),
            )
        pictures = [self.pictures[n] for n in numbers]
        if self.same is None:
            return replace(self, pictures=pictures, truth=truth)
        a, b = (int(np.abs(np.array(numbers) - n).argmin()) for n in self.same)
        return replace(self, pictures=pictures, truth=truth, same=(a, b))

    def cut(self, left: float, top: float, right: float, bottom: float) -> PosedClip:
        """A part of each picture, and of its truth; shares of the width and the height."""

        def part(image: Array) -> Array:
            height, width = image.shape[:2]
            rows = slice(round(top * height), round(bottom * height))
            return image[rows, round(left * width) : round(right * width)]

        truth = self.truth
        if truth is not None:
            intrinsics, whole = truth.intrinsics, truth.depth
            if intrinsics is not None:
                intrinsics = intrinsics.copy()
                intrinsics[:2, 2] -= left, top
                intrinsics[:2] /= np.array([[right - left], [bottom - top]])

            def depth(number: int) -> Array | None:
                known = whole(number)
                return None if known is None else part(known)

            truth = replace(truth, intrinsics=intrinsics, depth=depth)
        return replace(self, pictures=[part(p) for p in self.pictures], truth=truth)

    def without_bars(self) -> PosedClip:
        """As the page takes it: black bars are cut off, of the truth too."""
        shown = shown_by(map(Image.fromarray, self.pictures[:: -(-len(self.pictures) // 8)]))
        height, width = self.pictures[0].shape[:2]
        if shown is None:
            return self
        left, top, right, bottom = shown.box((width, height))
        return self.cut(left / width, top / height, right / width, bottom / height)

    def frames(self, width: int) -> list[Frame]:
        """As a model of that width takes them."""
        return list(self.each_frame(width))

    def each_frame(self, width: int) -> Iterator[Frame]:
        """The same, one in memory at a time."""
        fitter = Fitter(width)
        for number, picture in enumerate(self.pictures):
            yield fitter.frame(number, float(number), Image.fromarray(picture))
