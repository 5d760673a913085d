"""Frames of a recording as one choice of cameras has them: what every export is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.prediction import FramePrediction
from svggt.refine.correction import Correction
from svggt.scene.clouds import Cloud, banded, is_shown
from svggt.scene.confirmations import around
from svggt.scene.posed_frame import PosedFrame
from svggt.store.recording import Recording
from svggt.view_options import Cameras, ViewOptions

_HELD = 16  # frames that are at hand at once; more than look at one


@dataclass(frozen=True)
class PosedFrames:
    """All frames of a recording, read one at a time, as often as wanted.

    Attributes:
        recording: a run that may go on meanwhile.
        cameras: which.
        count: frames.
        corrections: by frame; none for the head's cameras.
        on_frame: told how many were read; may raise to end an export.
        metres: that the world's unit is; None: its own unit, of which nobody knows. Known, frames
            are in metres.
    """

    recording: Recording
    cameras: Cameras
    count: int
    corrections: dict[int, Correction]
    on_frame: Callable[[int], None]
    metres: float | None = None

    @classmethod
    def of(
        cls,
        recording: Recording,
        cameras: Cameras,
        on_frame: Callable[[int], None] = lambda number: None,
        metric: bool = False,
    ) -> PosedFrames:
        """What a recording holds now; `metric`: in metres, where somebody knows."""
        count = len(recording.frames)  # first: a frame is written before its correction
        corrections = recording.cameras.read() if cameras == "refined" else {}
        metres = recording.metres.get(cameras) if metric else None
        return cls(recording, cameras, count, corrections, on_frame, metres)

    def __iter__(self) -> Iterator[PosedFrame]:
        for number in range(self.count):
            self.on_frame(number)
            yield self.shot(number)

    def shot(self, number: int) -> PosedFrame:
        """One of them.

        Raises:
            KeyError: there is none of that number.
        """
        return PosedFrame(self._load(number), self.corrections.get(number), self.metres or 1.0)

    def cloud(self, number: int, stride: int) -> Cloud:
        """A frame's points in the world that a scene shows at first: confirmed, still, and no sky.

        Args:
            number: the frame's, from 0.
            stride: take every n-th row and column.
        """
        views = [self.shot(each) for each in around(number) if each < self.count]
        shot = self.shot(number)
        bands = banded(shot, stride, views)
        first = ViewOptions()
        shown = Cloud.joined([each for band, each in enumerate(bands) if is_shown(band, first)])
        return replace(shown, points=shot.in_world(shown.points))

    @property
    def unit(self) -> str:
        """Of lengths, for people."""
        return "the scene's own" if self.metres is None else "metre"

    @cached_property
    def _load(self) -> Callable[[int], FramePrediction]:
        return lru_cache(_HELD)(self.recording.frames.load)

    def first_of(self, count: int) -> PosedFrames:
        """So many of them at most, from the first one on."""
        return replace(self, count=min(count, self.count))

    def first(self) -> PosedFrame:
        """The first one; there is one."""
        return next(iter(self))


def poses(shots: PosedFrames) -> NDArray[Any]:
    """World_from_cam of all frames, (S, 3, 4)."""
    return np.stack([shot.world_from_cam for shot in shots])
