"""Points of a scene's frames, in bands, as the frames around them confirm them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, Protocol

from numpy.typing import NDArray

from svggt.prediction import FramePrediction
from svggt.scene.clouds import Cloud, banded, stride_of
from svggt.scene.confirmations import FURTHEST, around
from svggt.scene.frame_poses import FramePoses
from svggt.scene.posed_frame import PosedFrame
from svggt.scene.sky import sky_of
from svggt.scene.surfels import Surfels
from svggt.view_options import Cameras, ViewOptions

Array = NDArray[Any]


class Frames(Protocol):
    """Where a scene reads frames again: an archive, or what shows one otherwise."""

    def load(self, number: int) -> FramePrediction:
        """A frame; KeyError where there is none of that number."""
        ...


class ConfirmedPoints:
    """Makes them of the newest frames, which it holds, or of any, which it reads again.

    Args:
        frames: where they are read.
        placings: where each frame stands that was added; grows and changes outside.
        most: points of a frame.
    """

    def __init__(self, frames: Frames, placings: list[FramePoses], most: int) -> None:
        self._frames, self._placings, self._most = frames, placings, most
        self._newest: dict[int, FramePrediction] = {}

    def stride(self, prediction: FramePrediction) -> int:
        """Every n-th row and column of a frame is a point."""
        return stride_of(prediction.depth.size, self._most)

    def add(self, number: int, prediction: FramePrediction) -> FramePrediction:
        """Holds a new frame, to make its points and to confirm others'; with its sky, from now."""
        self._newest[number] = replace(prediction, sky=sky_of(prediction))
        return self._newest[number]

    def keep(self, oldest: int) -> None:
        """Forgets what no frame from this one on looks at."""
        first = min(around(oldest), default=oldest)
        self._newest = {n: held for n, held in self._newest.items() if n >= first}

    def made(self, number: int) -> list[Cloud]:
        """Bands of one of the newest frames, in its camera's coordinates."""
        there = self._newest or range(len(self._placings))
        return self._banded(number, self._held, there)

    def rest(self) -> None:
        """Gives back what is held; from now on it is read."""
        self._newest.clear()

    def read(self, number: int, cameras: Cameras) -> list[Cloud]:
        """Bands of any frame as it stands now, in the world."""
        return self._read(number, cameras, self._frames.load)

    def surfels(
        self, numbers: list[int], most: int, look: ViewOptions
    ) -> Iterator[tuple[int, Surfels]]:
        """At most so many of frames as they stand now, of those shown, in the world.

        Without frames that have none, and those gone or damaged, as is told when a scene is
        restored.
        """
        load = self._once()
        for number in numbers:
            try:
                shot, views = self._seen(number, load, range(len(self._placings)))
            except (KeyError, ValueError):
                continue
            stride = stride_of(shot.prediction.depth.size, most // len(numbers))
            surfels = Surfels.of(shot, stride, views, look)
            if len(surfels):
                yield number, surfels.moved(*self._place(number, look.cameras))

    def read_all(
        self, numbers: range, cameras: Cameras, on_frame: Callable[[], None]
    ) -> list[list[Cloud]]:
        """The same of frames in their order, each loaded once; what `on_frame` raises ends it."""
        load = self._once()
        made: list[list[Cloud]] = []
        for number in numbers:
            on_frame()
            made.append(self._read(number, cameras, load))
        return made

    def _once(self) -> Callable[[int], FramePrediction]:
        """Reads frames in their order, each once."""
        return lru_cache(maxsize=FURTHEST * 2 + 1)(self._frames.load)

    def _read(
        self, number: int, cameras: Cameras, load: Callable[[int], FramePrediction]
    ) -> list[Cloud]:
        place = self._place(number, cameras)
        bands = self._banded(number, load, range(len(self._placings)))
        return [cloud.moved(*place) for cloud in bands]

    def _place(self, number: int, cameras: Cameras) -> tuple[Array, Array]:
        """Pose (3, 4) and stretch (3,) of points that are made by a frame's newest correction."""
        placing = self._placings[number]
        return placing.pose(cameras), placing.now().stretch(cameras)

    def _held(self, number: int) -> FramePrediction:
        return self._newest.get(number) or self._frames.load(number)

    def _banded(
        self, number: int, load: Callable[[int], FramePrediction], there: Container[int]
    ) -> list[Cloud]:
        shot, views = self._seen(number, load, there)
        return banded(shot, self.stride(shot.prediction), views)

    def _seen(
        self, number: int, load: Callable[[int], FramePrediction], there: Container[int]
    ) -> tuple[PosedFrame, list[PosedFrame]]:
        """A frame, and those that may confirm its points."""
        shot, views = self._posed(number, load), list[PosedFrame]()
        for each in around(number):
            if each in there:
                with contextlib.suppress(KeyError, ValueError):  # gone or damaged: no witness
                    views.append(self._posed(each, load))
        return shot, views

    def _posed(self, number: int, load: Callable[[int], FramePrediction]) -> PosedFrame:
        return PosedFrame(load(number), self._placings[number].correction)
