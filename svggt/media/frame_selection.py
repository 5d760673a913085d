"""Which frames of a video are taken: at a rate, or by how far the picture has moved."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from svggt.refine.tracking import Grey, find_corners, follow

LOOK_WIDTH = 240
"""Width of the small pictures that motion is looked for in."""

_LOOKS_PER_SECOND = 10.0
_MOVED = 0.05  # of the width: tracking need not leap so far
_PATIENCE = (0.1, 1.0)  # seconds until a frame is taken although nothing moved, by length
_FEWEST = 30  # frames that a clip gives however little it moves, unless it is shorter
_CORNERS = 80
_LEAST, _KEPT = 12, 0.5  # corners, and share of them; with fewer followed much has changed
_ROUNDING = 0.1  # of a tick: time stamps are rounded,
_STAMP = 0.02  # seconds, by so much at most


class Selection(Protocol):
    """Says of each frame in turn whether it is taken."""

    def takes(self, time_s: float, look: Callable[[], Grey]) -> bool:
        """Whether the frame at this time is taken; `look` makes its small grey picture."""
        ...


class AtRate:
    """So many frames a second, at equal ticks, so that a variable rate keeps its real pace."""

    def __init__(self, frames_per_second: float) -> None:
        self._rate = frames_per_second
        self._due = 0

    def takes(self, time_s: float, look: Callable[[], Grey]) -> bool:
        """Whether a tick was reached."""
        tick = time_s * self._rate + _ROUNDING
        if tick < self._due:
            return False
        self._due = math.floor(tick) + 1
        return True


class ByMotion:
    """A frame when the median flow since the last one passes 5 % of the width, or after a while.

    It looks at about ten small pictures a second.

    Args:
        length_s: of the clip, seconds: it gives thirty frames at least if it has them, however
            little it moves. None, of a camera: a frame comes after a second.
    """

    def __init__(self, length_s: float | None = None) -> None:
        least, most = _PATIENCE
        wanted = most if length_s is None else min(most, max(least, length_s / _FEWEST))
        self._patience = wanted - _STAMP
        self._looks = AtRate(_LOOKS_PER_SECOND)
        self._taken_s = -math.inf
        self._before = np.zeros((0, 0), np.uint8)
        self._start: NDArray[np.float32] = np.zeros((0, 2), np.float32)  # when last taken,
        self._now = self._start  # and where they are

    def takes(self, time_s: float, look: Callable[[], Grey]) -> bool:
        """Whether the picture has moved enough, or time has passed."""
        if not self._looks.takes(time_s, look):
            return False
        grey = look()
        if time_s - self._taken_s < self._patience and not self._has_moved(grey):
            self._before = grey
            return False
        self._taken_s, self._before = time_s, grey
        everywhere = np.ones(grey.shape, bool)
        self._start = self._now = find_corners(grey, everywhere, self._start[:0], _CORNERS)
        return True

    def _has_moved(self, grey: Grey) -> bool:
        count = len(self._now)
        now, found = follow(self._before, grey, self._now, self._now)
        self._start, self._now = self._start[found], now[found]
        if len(self._now) < max(_LEAST, _KEPT * count):
            return True
        moved = np.linalg.norm(self._now - self._start, axis=1)
        return float(np.median(moved)) > _MOVED * grey.shape[1]
