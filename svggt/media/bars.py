"""Black bars beside what a clip's pictures show, as films and telephones' clips have them.

They stand still while the scene moves, and hold the cameras of the frames that they lie in. One cut
holds for a whole clip: its pictures keep one size and one focal length.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svggt.media.frames import MAX_ASPECT

_BLACK = 24  # of 255, of every colour: compressed black is not 0
_STEP = 20  # from black to what is shown: vignettes are not as steep
_LINE = 0.99  # of a line's pixels that are black, in a bar
_SHOWN = 0.5  # of the pixels of the line behind a bar that are not: its edge is straight
_RINGING = 0.4  # of a bar at its edge, where compression shows
_SOMETIMES = 0.75  # of the pictures may be darker at a pixel: a subtitle comes and goes
_NARROWEST, _WIDEST = 0.02, 0.375  # one bar, of the picture's side
_UNLIKE = 0.2  # of the wider one, between two bars that belong together
_EDGE = 2  # pixels that a bar's edge is blurred over
_SAMPLES = 512  # lines, and pixels of a line, that are looked at
_MODES = ("RGB", "L", "P", "CMYK", "YCbCr")
_SAME_SHAPE = 0.01  # of the log of width over height

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Shown:
    """What lies between the bars of a clip's pictures; edges are shares of width and height.

    Attributes:
        aspect: width over height of the pictures, bars and all; others are left whole.
        left: 0 if there are no bars left and right.
        top: 0 if there are none above and below.
        right: 1 if there are none.
        bottom: 1 if there are none.
    """

    aspect: float
    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        across, down = self.right - self.left, self.bottom - self.top
        least, inside = 1 - 2 * _WIDEST, min(self.left, self.top, 1 - self.right, 1 - self.bottom)
        if not (self.aspect > 0 and inside >= 0 and min(across, down) >= least):
            raise ValueError("a clip shows something between its bars")

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, top, right and bottom pixel of it in a picture (width, height)."""
        (width, height), (first, last) = size, (math.ceil, math.floor)
        return (
            first(self.left * width) + _EDGE * (self.left > 0),
            first(self.top * height) + _EDGE * (self.top > 0),
            last(self.right * width) - _EDGE * (self.right < 1),
            last(self.bottom * height) - _EDGE * (self.bottom < 1),
        )

    def cut(self, picture: Image.Image) -> Image.Image:
        """It alone, of a picture of any mode; one of another shape as it is."""
        left, top, right, bottom = self.box(picture.size)
        has_shape = abs(math.log(picture.width / picture.height / self.aspect)) < _SAME_SHAPE
        if not has_shape or right <= left or bottom <= top:
            return picture
        return picture.crop((left, top, right, bottom))

    @property
    def is_tall(self) -> bool:
        """Whether it is higher than wide."""
        return self.aspect * (self.right - self.left) < self.bottom - self.top

    @property
    def sentence(self) -> str:
        """What is cut off, for people."""
        where = ["left and right"] * (self.left > 0) + ["above and below"] * (self.top > 0)
        return f"Black bars {' and '.join(where)} are cut off."


class Bars:
    """Finds the bars that a clip has all along, from some of its pictures."""

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None  # of the first picture
        self._samples: list[Picture] = []

    def look(self, picture: Image.Image) -> None:
        """Takes one of them in; what is of another size, deep or transparent says nothing."""
        if picture.mode not in _MODES or picture.has_transparency_data:
            return
        if picture.size != (self._size or picture.size):
            return
        self._size = picture.size
        few = picture.resize((_SAMPLES, _SAMPLES), Image.Resampling.NEAREST).convert("RGB")
        self._samples.append(np.asarray(few).max(axis=2))

    @property
    def shown(self) -> Shown | None:
        """What lies between them; None if there are none."""
        if self._size is None:
            return None
        lit = np.sort(self._samples, axis=0)[math.ceil(_SOMETIMES * (len(self._samples) - 1))]
        top, bottom = _pair(lit)
        left, right = _pair(lit[round(top * _SAMPLES) : round((1 - bottom) * _SAMPLES)].T)
        aspect = self._size[0] / self._size[1]
        left_over = aspect * (1 - left - right) / (1 - top - bottom)
        if not (top or left) or not 1 / MAX_ASPECT <= left_over <= MAX_ASPECT:
            return None
        return Shown(aspect, left, top, 1 - right, 1 - bottom)


def is_looked_at(number: int) -> bool:
    """Whether bars are looked for in a clip's picture of that number: 0, 1, 2, 4, 8 and so on."""
    return not number & (number - 1)


def shown_by(pictures: Iterable[Image.Image]) -> Shown | None:
    """What some of a clip's pictures show between bars; None if they have none."""
    bars = Bars()
    for picture in pictures:
        bars.look(picture)
    return bars.shown


def _pair(lines: Picture) -> tuple[float, float]:
    """Shares of (lines, pixels) that a bar at the beginning and one at the end have; or 0, 0."""
    first, last = (_bar(each) / len(lines) for each in (lines, lines[::-1]))
    wide, narrow = max(first, last), min(first, last)
    if narrow < _NARROWEST or wide > _WIDEST or wide - narrow > _UNLIKE * wide:
        return 0.0, 0.0
    return first, last


def _bar(lines: Picture) -> int:
    """Lines of a black bar at the beginning that ends in a straight edge; or 0."""
    black = (lines <= _BLACK).mean(axis=1)
    other, shown = np.flatnonzero(black < _LINE), np.flatnonzero(black < 1 - _SHOWN)
    if not len(shown) or other[0] < (1 - _RINGING) * shown[0] or not other[0]:
        return 0
    inside = lines[min(shown[0] + len(lines) // 100, len(lines) - 1)]
    step = float(np.median(inside)) - float(np.median(lines[other[0] - 1]))
    return int(shown[0]) if step > _STEP else 0
