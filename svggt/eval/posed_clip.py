"""Pictures with their true cameras and depth, in memory: what a suite's clip is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svggt.data.sequence import Sequence
from svggt.data.truth import Truth
from svggt.media.frames import Fitter, Frame

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class PosedClip:
    """A clip, and what is known of it.

    Attributes:
        pictures: (H, W, 3) uint8 each.
        truth: None where nobody knows.
        returns: whether the camera comes back to where it began.
    """

    pictures: list[NDArray[np.uint8]]
    truth: Truth | None
    returns: bool = False

    @classmethod
    def of(cls, sequence: Sequence, returns: bool = False) -> PosedClip:
        """Reads a sequence's pictures; depth is read when it is asked for."""
        pictures = []
        for path in sequence.pictures:
            with Image.open(path) as picture:
                pictures.append(np.asarray(picture.convert("RGB")))
        return cls(pictures, sequence.truth, returns)

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
        return replace(self, pictures=[self.pictures[n] for n in numbers], truth=truth)

    def frames(self, width: int) -> list[Frame]:
        """As a model of that width takes them."""
        fitter = Fitter(width)
        return [
            fitter.frame(number, float(number), Image.fromarray(picture))
            for number, picture in enumerate(self.pictures)
        ]
