"""Streams that are open, in memory or parked on disk while others need the room."""

from __future__ import annotations

import logging
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.device_queue import Measured
from svggt.engine.snapshot import read, write
from svggt.engine.stream import Stream
from svggt.errors import MemoryFull
from svggt.media.frames import Frame
from svggt.model.policies import policy_of
from svggt.prediction import FramePrediction, MemoryMap
from svggt.refine.refiner import Refiner
from svggt.settings import StreamSettings

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_MAP_SECONDS = 0.4  # between two looks at what is kept


@dataclass(frozen=True, eq=False)
class Ahead:
    """What a stream was asked for ahead.

    Attributes:
        frame: the one that comes next,
        predicting: and what will be said of it.
    """

    frame: Frame
    predicting: Future[Measured[FramePrediction]]


@dataclass(eq=False)
class OpenStream:
    """A stream, in memory or parked on disk.

    Attributes:
        settings: how it is computed.
        stream: empty while it is parked.
        refiner: None where nothing is refined.
        beside: it is a comparison's, and has half of the memory of all at most.
        stepping: held while the stream is used.
        ahead: the next frame, where that is predicted already, or just now.
        map: what was kept of each frame before one was asked for ahead.
        mapped_s: when that was looked at, monotonic.
        parked: the file that it waits in; None: it is in memory.
        used_s: when it was used last, monotonic.
    """

    settings: StreamSettings
    stream: Stream
    refiner: Refiner | None
    beside: bool
    stepping: threading.Lock = field(default_factory=threading.Lock)
    ahead: Ahead | None = None
    map: MemoryMap | None = None
    mapped_s: float = 0.0
    parked: Path | None = None
    used_s: float = field(default_factory=time.monotonic)

    def look(self) -> None:
        """Looks what is kept of each frame, at times, before more is asked for."""
        if time.monotonic() - self.mapped_s > _MAP_SECONDS:
            self.map, self.mapped_s = self.stream.memory_map(), time.monotonic()

    def wait(self) -> None:
        """Until what was asked for ahead is computed, so that the stream can be looked at."""
        if self.ahead is not None:
            self.ahead.predicting.exception()

    def ask_refiner(self, question: Callable[[Refiner], Result | None]) -> Result | None:
        """What its refiner answers; None where it has none, or none any more."""
        if self.refiner is None:
            return None
        try:
            return question(self.refiner)
        except Exception:  # OpenCV raises its own; the stream must not end by it
            log.exception("refinement ended; the stream goes on with the camera head")
            self.refiner = None
            return None


def cached_bytes(streams: Collection[OpenStream]) -> int:
    """Allocated for those that are not parked; some may open or close meanwhile."""
    return sum(each.stream.memory_bytes for each in list(streams))


def new_stream(model: LoadedModel, settings: StreamSettings) -> Stream:
    """Without a frame."""
    return Stream(model, policy_of(settings), settings.points)


class Parking:
    """Where streams wait on disk.

    Args:
        most_bytes: of the cached token memories of all streams that are in memory.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._folder = tempfile.TemporaryDirectory(prefix="svggt-streams-")

    def make_room(self, running: OpenStream, streams: Collection[OpenStream]) -> None:
        """Parks other streams, the one used longest ago first, while too much is in memory.

        Args:
            running: needs the room.
            streams: all that are open; some may close meanwhile.

        Raises:
            MemoryFull: the stream itself exceeds it, or the disk is full too.
        """
        most = self._most // 2 if running.beside else self._most
        while cached_bytes(streams) > most:
            others = sorted(
                (
                    each
                    for each in list(streams)
                    if each is not running and each.stream.memory_bytes
                ),
                key=lambda each: each.used_s,
            )
            if not any(self._park(each) for each in others):
                raise MemoryFull("the memory set aside for all streams is used up")

    def bring_back(self, running: OpenStream) -> None:
        """Makes sure that a stream is in memory, as it was when it was parked."""
        if running.parked is not None:
            read(running.parked, running.stream, running.settings)
            running.parked.unlink()
            running.parked = None

    def close(self) -> None:
        """Removes what waits."""
        self._folder.cleanup()

    def _park(self, running: OpenStream) -> bool:
        """Moves a stream's memory to disk unless it is used just now; whether it was moved."""
        if not running.stepping.acquire(blocking=False):
            return False
        try:
            running.wait()
            path = Path(self._folder.name) / secrets.token_hex(8)
            write(path, running.stream, None, running.settings)
            running.stream = new_stream(running.stream.model, running.settings)
            running.parked = path
        except OSError:
            log.exception("a stream cannot be parked on disk")
            return False
        finally:
            running.stepping.release()
        return True
