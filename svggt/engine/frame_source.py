"""Where the frames of a recorded stream come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice, takewhile

from svggt.media.camera_stream import LiveClip
from svggt.media.clips import Clip
from svggt.media.frames import Frame
from svggt.store.frame_archive import FrameArchive


def frames_of(
    kept: FrameArchive,
    rebuild: range,
    clip: Clip | LiveClip,
    cancelled: Callable[[], bool],
    note: Callable[[str], None],
) -> Iterator[Frame]:
    """Some of the frames kept, then those of the clip that come after them.

    Args:
        kept: frames of a recording.
        rebuild: numbers of those that come again, to the last one.
        clip: where frames come from; a camera's are numbered after those that were kept.
        cancelled: asked while a frame is waited for.
        note: told what was left out or repaired, a sentence each.
    """
    skipped = rebuild.stop
    if isinstance(clip, LiveClip) and skipped:
        clip, skipped = replace(clip, after=kept.frame(skipped - 1)), 0
    yield from map(kept.frame, rebuild)
    yield from islice(clip.frames(cancelled, note), skipped, None)


@dataclass(eq=False)
class Coming:
    """The frame after another one, which may not be there yet.

    Attributes:
        reading: it; None at the end.
        cancelled: nobody wants it any more.
        asked: somebody was told it, and may have begun with it.
    """

    reading: Future[Frame | None]
    cancelled: Callable[[], bool]
    asked: bool = False

    def __call__(self) -> Frame | None:
        """The frame if it is there, could be read and is wanted."""
        there = self.reading.done() and self.reading.exception() is None
        if self.cancelled() or not there:
            return None
        frame = self.reading.result()
        self.asked = frame is not None
        return frame


def with_next(
    frames: Iterator[Frame], cancelled: Callable[[], bool] = lambda: False, live: bool = False
) -> Iterator[tuple[Frame, Callable[[], Frame | None]]]:
    """Each frame, and what says the one after it, if that is there by then; else None.

    Args:
        frames: read on a thread of its own, one ahead.
        cancelled: then no further one comes, but for one that was told to come.
        live: they come as a camera sends them: none is read before its time.
    """
    if live:
        yield from ((frame, nothing) for frame in takewhile(lambda _: not cancelled(), frames))
        return
    reading = ThreadPoolExecutor(1, thread_name_prefix="frames")
    try:
        coming = Coming(reading.submit(next, frames, None), cancelled)
        while (frame := coming.reading.result()) is not None:
            if cancelled() and not coming.asked:
                return
            coming = Coming(reading.submit(next, frames, None), cancelled)
            yield frame, coming
    finally:
        reading.shutdown(wait=False)  # whoever gives up waits for no frame


def nothing() -> None:
    """No frame is known to come."""
