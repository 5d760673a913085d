"""Black bars beside what a picture shows, as films and telephones' clips have them.

They stand still while the scene moves, and hold the cameras of the frames that they lie in.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BLACK = 24  # of 255, of every colour: compressed black is not 0
_STEP = 20  # from black to what is shown: vignettes are not as steep
_LINE = 0.99  # of a line's pixels that are black, in a bar
_SHOWN = 0.5  # of the pixels of the line behind a bar that are not: its edge is straight
_BLOCK = 8  # lines before that, in which a compressed edge rings
_SUBTITLED = 0.8  # of a later picture's bar that is black, at least
_NARROWEST, _WIDEST = 0.02, 0.375  # one bar, of the picture's side
_UNLIKE = 0.2  # of the wider one, between two bars that belong together
_EDGE = 2  # lines that a bar's edge is blurred over
_SAMPLES = 512  # pixels of a line that are looked at

Picture = NDArray[np.uint8]
Box = tuple[int, int, int, int]


class Bars:
    """Cuts off the bars of a clip: in pairs, as wide as the first picture has them.

    A picture of another size, or one that shows something there, is left whole.

    Args:
        note: told of it, once.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._size: tuple[int, int] | None = None  # of the first picture
        self._shown: Box | None = None  # of it, between bars

    def cut(self, picture: Image.Image) -> Image.Image:
        """A picture without its bars; as it is where it has none, or is neither RGB nor grey."""
        if picture.mode not in ("RGB", "L"):
            return picture
        if self._size is None:
            self._size, self._shown = picture.size, shown_between(picture)
            if self._shown is not None:
                left, top, _, _ = self._shown
                where = ["left and right"] * bool(left) + ["above and below"] * bool(top)
                self._note(f"Black bars {' and '.join(where)} are cut off.")
        if self._shown is None or picture.size != self._size or not self._are_black_in(picture):
            return picture
        return picture.crop(self._shown)

    def _are_black_in(self, picture: Image.Image) -> bool:
        assert self._shown is not None
        (width, height), (left, top, right, bottom) = picture.size, self._shown
        strips = (
            (0, 0, width, top),
            (0, bottom, width, height),
            (0, 0, left, height),
            (right, 0, width, height),
        )
        return all(
            (_brightness(picture.crop(strip)) <= _BLACK).mean() >= _SUBTITLED
            for strip in strips
            if strip[0] < strip[2] and strip[1] < strip[3]
        )


def shown_between(picture: Image.Image) -> Box | None:
    """What lies between a picture's bars: left, top, right, bottom; None if there are none."""
    width, height = picture.size
    top, bottom = _bars(_brightness(picture.resize((min(width, _SAMPLES), height), 0)))
    middle = picture.crop((0, top, width, height - bottom))
    few = middle.resize((width, min(middle.height, _SAMPLES)), 0)
    left, right = _bars(_brightness(few).T)
    return (left, top, width - right, height - bottom) if top or left else None


def _bars(lines: Picture) -> tuple[int, int]:
    """Lines that belong to a bar, at the beginning and at the end of (lines, pixels); or 0, 0."""
    pair = np.array([_bar(lines), _bar(lines[::-1])])
    narrowest, widest = _NARROWEST * len(lines), _WIDEST * len(lines)
    if pair.min() < narrowest or pair.max() > widest or np.ptp(pair) > _UNLIKE * pair.max():
        return 0, 0
    first, last = (pair + _EDGE).tolist()
    return first, last


def _bar(lines: Picture) -> int:
    """Lines of a black bar at the beginning that ends in a straight edge; or 0."""
    black = (lines <= _BLACK).mean(axis=1)
    other, shown = np.flatnonzero(black < _LINE), np.flatnonzero(black < 1 - _SHOWN)
    if not len(shown) or not other[0] or shown[0] - other[0] > _BLOCK:
        return 0
    inside, outside = min(shown[0] + _EDGE, len(lines) - 1), max(0, shown[0] - _BLOCK)
    step = np.median(lines[inside]) - np.median(lines[outside])
    return int(shown[0]) if step > _STEP else 0


def _brightness(picture: Image.Image) -> Picture:
    """(H, W) of each pixel's brightest colour."""
    pixels = np.asarray(picture)
    return pixels if pixels.ndim == 2 else pixels.max(axis=2)
