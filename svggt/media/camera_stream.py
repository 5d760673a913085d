"""A camera that sends pictures while a run takes them: the newest wins, drops are counted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from svggt.errors import BadInput
from svggt.media import sandbox
from svggt.media.frame_selection import LOOK_WIDTH, ByMotion
from svggt.media.frames import Fitter, Frame, InputLimits
from svggt.media.messages import PicturesJob

MAX_BYTES = 2_000_000
"""Of one picture."""

_WAIT_SECONDS = 0.2  # between two looks whether the run was stopped
_PATIENCE_SECONDS = 60.0  # without a picture, until the camera counts as gone


@dataclass(frozen=True)
class Received:
    """What came of a camera's pictures.

    Attributes:
        made: by the camera, as often as it was asked.
        dropped: of these, for a newer one, in the browser or here, before they were looked at.
    """

    made: int = 0
    dropped: int = 0


class CameraFeed:
    """Where a camera's pictures wait: one at most, the newest."""

    def __init__(self) -> None:
        self._newest: tuple[float, bytes] | None = None
        self._received = Received()
        self._changed = threading.Condition()
        self._ended = False

    @property
    def received(self) -> Received:
        """So far."""
        return self._received

    @property
    def ended(self) -> bool:
        """Whether nothing is taken any more."""
        return self._ended

    def show(self, time_s: float, picture: bytes, missed: int = 0) -> None:
        """Offers an encoded picture, in place of one that nobody took.

        Args:
            time_s: when it came, by a clock that goes on.
            picture: of one of `pictures.KINDS`, encoded.
            missed: pictures that the camera could not send since the last one.
        """
        with self._changed:
            dropped = self._received.dropped + (self._newest is not None) + missed
            self._received = Received(self._received.made + 1 + missed, dropped)
            self._newest = (time_s, picture)
            self._changed.notify()

    def end(self) -> None:
        """Takes nothing any more; who waits stops."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def take(self, cancelled: Callable[[], bool]) -> tuple[float, bytes] | None:
        """The newest picture, waited for; None when the camera or the run has ended."""
        waited = 0.0
        with self._changed:
            while self._newest is None:
                if self._ended or cancelled() or waited > _PATIENCE_SECONDS:
                    return None
                self._changed.wait(_WAIT_SECONDS)
                waited += _WAIT_SECONDS
            taken, self._newest = self._newest, None
            return taken


@dataclass(frozen=True)
class LiveClip:
    """Frames of a camera, for a run; see `clips.Clip`, which it stands in for.

    Attributes:
        camera: that sends them.
        width: the frames', pixels, a multiple of the patch.
        limits: what is accepted.
        after: the last frame of a run that is resumed; its numbers, times and size do too.
        whole: tall pictures are not cut to a square.
    """

    camera: CameraFeed
    width: int
    limits: InputLimits
    after: Frame | None = None
    whole: bool = False
    total = None
    paths: tuple[Path, ...] = ()
    field_of_view, across = 0.0, 1.0
    length_s = None

    def frames(
        self,
        cancelled: Callable[[], bool] = lambda: False,
        note: Callable[[str], None] = lambda sentence: None,
    ) -> Iterator[Frame]:
        """Frames as they come, chosen by motion, until camera or run end.

        Whose run it is ends the camera, once the last of them is in the scene.

        Raises:
            BadInput: the camera sends what is no picture.
        """
        fitter, selection, began, first = Fitter(self.width, self.whole), ByMotion(), None, 0
        if self.after is not None:
            fitter, first = Fitter.like(self.after), self.after.number + 1
        number, earlier = first, self.after.time_s if self.after is not None else 0.0
        with sandbox.running(PicturesJob(paths=[], limits=self.limits)) as child:
            while number < self.limits.max_frames and (taken := self.camera.take(cancelled)):
                picture = Image.fromarray(sandbox.picture(child, taken[1]))
                began = taken[0] if began is None else began
                time_s = earlier + max(0.0, taken[0] - began)
                if selection.takes(time_s, lambda shown=picture: _small_grey(shown)):
                    yield fitter.frame(number, time_s, picture)
                    number += 1
        if number == first and not cancelled():
            raise BadInput("No picture came from the camera. Allow it in the browser, then Start.")

    def is_cut(self, taken: int) -> bool:
        """Whether the limit on frames ended it."""
        return taken == self.limits.max_frames


def _small_grey(picture: Image.Image) -> np.ndarray:
    height = max(1, round(LOOK_WIDTH * picture.height / picture.width))
    return np.asarray(picture.convert("L").resize((LOOK_WIDTH, height), Image.Resampling.BOX))
