"""The engine's `Worker` over workers elsewhere: finds a stream's, calls it, says if it is gone."""

from __future__ import annotations

import copy
import logging
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray.actor import ActorProxy

from svggt.cluster.directory import Directory, Location
from svggt.cluster.remote_models import RemoteModels
from svggt.cluster.stream_actor import DeviceActor
from svggt.cluster.workers import Workers, telling
from svggt.engine.model_registry import ModelRegistry
from svggt.engine.worker import Load, Pass, RefinedClip, Step
from svggt.errors import Busy, Cancelled, StreamLost
from svggt.files import atomic_write
from svggt.media.frames import Frame
from svggt.prediction import FramePrediction, MemoryMap, PointTrack
from svggt.refine.correction import Correction
from svggt.settings import StreamSettings

log = logging.getLogger(__name__)

_KEEP_SECONDS = 60.0  # a fifth of what a worker waits
_FULL = "All workers are full. Try again in some minutes."
_COMPARISON_GONE = "The worker of this comparison is gone. Try again, or with fewer frames."


class RayWorker:
    """Streams on the workers of a cluster.

    Each of this page's streams has a row in a directory, with the epoch that its worker knows it
    by. A worker that is gone, or came back without its streams, raises `StreamLost`; who asked
    opens the stream again, on another worker and one epoch later.

    Args:
        actors: the workers by name; see `cluster.cluster`.

    Attributes:
        workers: the same, to be asked.
        models: what they have loaded.
        loses_streams: a worker may be gone.
    """

    loses_streams = True

    def __init__(self, actors: dict[str, ActorProxy[DeviceActor]]) -> None:
        self.workers, self._directory = Workers(actors), Directory()
        self._num_frames, self._model_seconds = 0, 0.0  # of this page's streams
        self._counting = threading.Lock()
        # A stream's, for its memory or its place; a worker that hangs stops nobody else's.
        self._changing = defaultdict[str, threading.Lock](threading.Lock)
        self.models: ModelRegistry = RemoteModels(self.workers)
        self._ended = threading.Event()
        threading.Thread(target=self._ask_to_keep, name="keep-streams", daemon=True).start()

    def locate(self, stream_id: str) -> Location:
        """Where a stream is.

        Raises:
            KeyError: it was closed.
        """
        return self._directory[stream_id]

    @property
    def stream_ids(self) -> list[str]:
        """Of this page's streams."""
        return list(self._directory)

    def load(self) -> Load:
        """What this page's streams are to the cluster; other pages tell of theirs."""
        streams = self._directory
        return Load(len(streams), streams.memory_bytes, self._num_frames, self._model_seconds)

    def open(
        self,
        settings: StreamSettings,
        beside: bool = False,
        snapshot: Path | None = None,
        again: str = "",
    ) -> str:
        """Begins a stream on the worker that carries least; see `LocalWorker.open`.

        Raises:
            Busy: all are full, or none answers.
        """
        stream_id = again or secrets.token_hex(8)
        content = None if snapshot is None else snapshot.read_bytes()
        row = Location("", 0, settings, beside, snapshot=snapshot)
        self._place(stream_id, row, content, self.workers.by_load())
        return stream_id

    def step(
        self, stream_id: str, frame: Frame, then: Callable[[], Frame | None] = lambda: None
    ) -> Step:
        """Takes one frame in; see `LocalWorker.step`. None is begun with ahead.

        Raises:
            StreamLost: its worker is gone, or does not know it.
        """
        answer = self._ask_stream(stream_id, "step", frame)
        step, must_move = copy.deepcopy(answer)  # else a camera that is kept keeps all of it
        row, said = self._directory[stream_id], step.prediction
        self._directory.note(
            stream_id, row.epoch, last_frame=frame.number, memory_bytes=said.memory_bytes
        )
        with self._counting:
            self._num_frames += 1
            self._model_seconds += said.seconds
        if must_move:
            self._move(stream_id)
        return step

    def snapshot(self, stream_id: str, path: Path) -> None:
        """Writes a stream to a file that `open` goes on from."""
        content, epoch = self._ask_stream(stream_id, "snapshot"), self._directory[stream_id].epoch
        with atomic_write(path) as begun:
            begun.write_bytes(content)
        self._directory.note(stream_id, epoch, snapshot=path)

    def change_memory(
        self, stream_id: str, settings: StreamSettings, record: Callable[[int], None]
    ) -> None:
        """Remembers by other settings from the next frame on; see `LocalWorker.change_memory`."""
        with self._changing[stream_id]:
            self._change_memory(stream_id, settings, record)

    def _change_memory(
        self, stream_id: str, settings: StreamSettings, record: Callable[[int], None]
    ) -> None:
        row = self._directory[stream_id]
        agreed, refused = list[bool](), list[Exception]()

        def agree(told: float | None, answer: Callable[[bool], None]) -> None:
            if told is not None and not agreed:
                agreed.append(True)
                try:
                    record(int(told))
                except Exception as error:  # noqa: BLE001  # it is raised once the worker has let go
                    refused.append(error)
                answer(not refused)

        try:
            self.workers.watch(row.worker, "change_memory", agree, stream_id, row.epoch, settings)
        except Cancelled:
            if refused:
                raise refused[0] from None
            if not agreed:
                raise StreamLost("its worker waited too long for an answer") from None
            self._give_up(stream_id, row)
        except StreamLost:
            if not agreed:
                raise
            self._give_up(stream_id, row)  # it is recorded, and so it is changed when it is rebuilt
        self._directory.note(stream_id, row.epoch, settings=row.settings.with_memory_of(settings))

    def memory_map(self, stream_id: str) -> MemoryMap | None:
        """What a stream keeps of each frame; None while its worker does not answer."""
        try:
            return self._ask_stream(stream_id, "memory_map")
        except StreamLost:  # its next frame finds out
            return None

    def finalize(self, stream_id: str) -> list[Correction]:
        """Corrections that come after the last frame."""
        return self._ask_stream(stream_id, "finalize")

    def adjust(
        self, stream_id: str, on_share: Callable[[float], None] = lambda share: None
    ) -> list[Correction]:
        """Corrections of all cameras, adjusted at once after the last frame."""
        row = self._directory[stream_id]
        return self.workers.watch(row.worker, "adjust", telling(on_share), stream_id, row.epoch)

    def close(self, stream_id: str) -> None:
        """Ends a stream; closing twice is harmless."""
        row = self._directory.remove(stream_id)
        self._changing.pop(stream_id, None)
        if row is not None:
            self.workers.tell(row.worker, "close", stream_id, row.epoch)  # nobody waits for it

    def track(self, model: str, shown: list[FramePrediction], pixel: tuple[int, int]) -> PointTrack:
        """Follows a pixel through frames."""
        return self.workers.ask_any("track", model, shown, pixel)

    def predict_clip(
        self,
        settings: StreamSettings,
        frames: list[Frame],
        causal: bool,
        on_turn: Callable[[], None] = lambda: None,
    ) -> Pass:
        """All frames in one pass."""
        return self._watch_any("predict_clip", on_turn, settings, frames, causal)

    def refine_clip(
        self,
        settings: StreamSettings,
        frames: list[Frame],
        predictions: list[FramePrediction],
        on_turn: Callable[[], None] = lambda: None,
    ) -> RefinedClip:
        """Refined cameras of a clip that was predicted at once."""
        return self._watch_any("refine_clip", on_turn, settings, frames, predictions)

    def wait_for_gap(self, check: Callable[[], None]) -> None:
        """No stream computes in this process."""
        check()

    def shutdown(self) -> None:
        """Ends this page's streams."""
        self._ended.set()
        for stream_id in self._directory:
            self.close(stream_id)

    def _ask_to_keep(self) -> None:
        """Tells workers which streams are still wanted: those of a page that is gone end."""
        while not self._ended.wait(_KEEP_SECONDS):
            for name, streams in self._directory.by_worker().items():
                self.workers.tell(name, "keep", streams)

    def _watch_any(self, method: str, on_turn: Callable[[], None], *arguments: Any) -> Any:
        """On the worker that carries least. What may have ended one is not tried on another."""
        name = self.workers.by_load(full=True)[0]
        try:
            return self.workers.watch(name, method, telling(lambda _: on_turn()), *arguments)
        except StreamLost:
            raise Busy(_COMPARISON_GONE) from None

    def _ask_stream(self, stream_id: str, method: str, *arguments: Any) -> Any:
        row = self._directory[stream_id]
        return self.workers.ask(row.worker, method, stream_id, row.epoch, *arguments)

    def _place(
        self, stream_id: str, row: Location, snapshot: bytes | None, names: list[str]
    ) -> None:
        """Opens a stream on the first that takes it, one epoch later; where it was it ends.

        Raises:
            Busy: there is none.
            Exception: what the last worker said that could not, where none could.
        """
        last = self._directory.get(stream_id)
        placed = replace(row, epoch=0 if last is None else last.epoch + 1)
        refused: Exception = Busy(_FULL)
        for name in names:
            try:
                self._open_on(stream_id, replace(placed, worker=name), snapshot)
            except Exception as error:  # noqa: BLE001  # another may have the room, or the weights
                log.warning("stream %s is not opened on %s: %s", stream_id, name, error)
                self.workers.tell(name, "close", stream_id, placed.epoch)  # if it was only too slow
                refused = refused if isinstance(error, StreamLost) else error
            else:
                if last is not None:  # it may be alive, if it was taken for lost
                    self.workers.tell(last.worker, "close", stream_id, last.epoch)
                return
        raise refused

    def _open_on(self, stream_id: str, row: Location, snapshot: bytes | None) -> None:
        opening = (stream_id, row.epoch, row.settings, row.beside, snapshot)
        self.workers.ask(row.worker, "open", *opening)
        self._directory.put(stream_id, row)

    def _move(self, stream_id: str) -> None:
        """To another worker, with all that it remembers; it stays where none has room."""
        with self._changing[stream_id]:
            row = self._directory[stream_id]
            try:
                if names := self.workers.by_load():
                    content = self.workers.ask(row.worker, "snapshot", stream_id, row.epoch)
                    self._place(stream_id, row, content, names)
            except Exception:  # its frame is taken in, wherever it is
                log.exception("stream %s stays on %s", stream_id, row.worker)

    def _give_up(self, stream_id: str, row: Location) -> None:
        """What a worker has of a stream does not count any more: its next frame rebuilds it."""
        self._directory.note(stream_id, row.epoch, epoch=row.epoch + 1)
