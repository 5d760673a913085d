"""A stream whose frames and cameras go to disk: a session's run, a comparison's, the command's."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from svggt.engine.frame_source import frames_of, nothing, with_next
from svggt.engine.worker import Step, Worker
from svggt.errors import BadInput, Busy, Cancelled, MemoryFull, SnapshotRefused, StreamLost, writing
from svggt.media.camera_stream import LiveClip
from svggt.media.clips import Clip
from svggt.media.frames import Frame
from svggt.prediction import MemoryMap
from svggt.refine.correction import Correction
from svggt.refine.recognition import MOST_KEYFRAMES
from svggt.settings import BudgetError, StreamSettings
from svggt.store.recording import Recording, looks_for_room

log = logging.getLogger(__name__)

_KEYFRAME_BYTES = 100_000  # of the picture and features that a refiner keeps of one
_ROOM_BYTES = 64_000_000  # that are left free for frames, beside snapshots
_FRAMES_A_SNAPSHOT = 32  # of a stream whose worker may be lost; rarer where one takes long:
_BETWEEN_SNAPSHOTS = 10.0  # times as long as the last one took
_MOST_LOSSES, _WAIT_SECONDS, _LOOK_SECONDS = 3, 120.0, 1.0  # at one frame; for another place
_LOST_TOO_OFTEN = "The worker of this run was lost again and again at this frame. Resume it later."
_BEING_REBUILT = "The worker of this stream is gone; it moves to another. Try again in a moment."
_CANNOT_REBUILD = (
    "Older frames of this run were thinned when the disk became short, and what its stream "
    "remembered cannot be read: it cannot be resumed. Start its clip anew."
)

MEMORY_FIXED = "No frame comes any more: the memory of the next run is chosen before its Start."
"""Why a memory cannot be changed."""


class RecordedStream:
    """Frames through a stream into a recording. A run is resumed here, and nowhere else.

    A run that was stopped left a snapshot of its stream, which goes on from it. What came after
    the newest one (its process was killed), or all of it, rebuilds the memory: frames of the
    recording go through the model again, its memory changes where it was changed, and their
    cameras are refined anew, in one world with those that follow. So it goes on, too, where the
    worker that ran it is lost meanwhile.

    Args:
        worker: gets the stream.
        settings: how it is computed.
        recording: the run's; what it holds now is rebuilt first.
        beside: it is a comparison's, and gives way to others; see `Worker.open`.

    Attributes:
        num_kept: frames that the recording held at the beginning; those that come again rebuild.

    Raises:
        KeyError: no such model is loaded.
        BadInput: what would rebuild the memory was thinned, and no snapshot can be read.
    """

    def __init__(
        self, worker: Worker, settings: StreamSettings, recording: Recording, beside: bool = False
    ) -> None:
        self.num_kept = len(recording.frames)
        self._worker, self._recording = worker, recording
        self._settings, self._beside = settings, beside
        self._num_done = 0
        self._memory_bytes = 0  # of the stream, after its last step
        self._changing, self._frames_ended = threading.Lock(), False
        self._anew: list[Correction] = []  # corrections of frames that were kept
        self._stream_id = ""
        self._changes: list[tuple[int, StreamSettings]] = []  # of its memory, to come
        self._losses: Counter[int] = Counter()  # by the number of the frame in hand
        self._cancelled: Callable[[], bool] = lambda: False
        self._finalized = False
        self._snapshot_due_s = 0.0  # of `time.monotonic`
        self._open()

    def frames_of(
        self,
        clip: Clip | LiveClip,
        cancelled: Callable[[], bool],
        note: Callable[[str], None] = lambda sentence: None,
    ) -> Iterator[Frame]:
        """Those kept that rebuild the stream, then the clip's; see `frame_source.frames_of`."""
        rebuild = range(self._num_done, self.num_kept)
        return frames_of(self._recording.frames, rebuild, clip, cancelled, note)

    def steps(
        self,
        frames: Iterator[Frame],
        cancelled: Callable[[], bool] = lambda: False,
        live: bool = False,
    ) -> Iterator[Step]:
        """Takes in frames and records what comes of them.

        Args:
            frames: number 0 at first; those that the recording holds, before new ones.
            cancelled: then no further step comes, but for one that was begun with.
            live: they come as a camera sends them; else they are read one ahead.

        Yields:
            A step a frame; of kept ones without corrections, which come with the last of them.
            Where a worker is lost its frames come once more, below `num_kept`.
        """
        self._cancelled = cancelled
        try:
            for frame, then in with_next(frames, cancelled, live):
                yield from self._through(frame, then)
        except Cancelled:  # while it was rebuilt
            return

    def change_memory(self, settings: StreamSettings) -> None:
        """Remembers by other settings from the next frame on, also where it is resumed later.

        Raises:
            BadInput: the budget is too small, the disk takes nothing, or no frame comes any more;
                nothing changes.
        """

        def record(number: int) -> None:
            with writing():
                self._recording.change_memory(settings, max(number, self.num_kept))

        with self._changing:
            if self._frames_ended:
                raise BadInput(MEMORY_FIXED)
            try:
                self._worker.change_memory(self._stream_id, settings, record)
            except KeyError:
                raise BadInput(MEMORY_FIXED) from None
            except BudgetError as error:
                raise BadInput(f"{error}.") from None
            except MemoryFull:
                raise BadInput(
                    "The device has no room to change the memory. Choose a smaller budget."
                ) from None
            except StreamLost:  # its next frame rebuilds it
                raise BadInput(_BEING_REBUILT) from None
            self._changes = []

    def end_frames(self) -> None:
        """Says that no frame comes any more: what is remembered stays as it is."""
        with self._changing:
            self._frames_ended = True

    def memory_map(self) -> MemoryMap | None:
        """What is kept of each frame; None before the first."""
        return self._worker.memory_map(self._stream_id)

    def finalize(self) -> list[Correction]:
        """Records the corrections that come after the last frame.

        None where a run ended before its memory was rebuilt: they would tell of a part of it.
        """
        if self._num_done < self.num_kept:
            return []
        corrections = self._surely(self._worker.finalize)
        self._finalized = True
        self._recording.cameras.append(corrections)
        return corrections

    def adjust(self, on_share: Callable[[float], None] = lambda share: None) -> list[Correction]:
        """Records the corrections of all cameras, adjusted at once after `finalize`.

        Args:
            on_share: told how much is done, 0 to 1; what it raises ends it, and nothing moves.
        """
        if self._num_done < self.num_kept:
            return []
        corrections = self._surely(lambda stream_id: self._worker.adjust(stream_id, on_share))
        self._recording.cameras.append(corrections)
        return corrections

    def suspend(self) -> bool:
        """Keeps the stream on disk, so that it need not be rebuilt; before `finalize`.

        What cannot be kept, or is too large for what the disk or the quota leaves, is rebuilt from
        frames, where none of them was thinned.

        Returns:
            Whether it is kept.
        """
        if self._num_done < self.num_kept:
            return False
        try:
            self._recording.check_room(self._snapshot_bytes)
            self._worker.snapshot(self._stream_id, self._recording.snapshot(self._num_done))
        except (OSError, BadInput, StreamLost):
            log.exception("a stream is not kept: it has to be rebuilt from its frames")
            return False
        self._recording.clear_snapshots(spared=self._num_done)
        return True

    def make_room(self) -> bool:
        """Thins older frames where the disk or the quota runs short, after some of the frames.

        What the stream remembers is kept first, which a killed run goes on from.

        Returns:
            Whether frames were thinned.

        Raises:
            BadInput: the disk or the quota is full, and nothing could be thinned.
        """
        needed = 2 * self._snapshot_bytes + _ROOM_BYTES
        looks = looks_for_room(self._num_done - 1) and self._num_done >= self.num_kept
        if not looks or self._recording.makes_room(needed):
            return False
        # What lies before the snapshot that is there costs nothing; a camera's last frame says
        # where the next one goes on.
        frames, newest = self._recording.frames, self._recording.newest_snapshot()
        thinned = newest is not None and frames.thin(newest - 1) > 0
        thinned = thinned or (self.suspend() and frames.thin(self._num_done - 1) > 0)
        if not thinned:
            self._recording.check_room()
        return thinned

    @property
    def _snapshot_bytes(self) -> int:
        """About what a snapshot takes now."""
        return self._memory_bytes + min(self._num_done, MOST_KEYFRAMES) * _KEYFRAME_BYTES

    def close(self) -> None:
        """Ends the stream and frees its memory; closing twice is harmless."""
        self._worker.close(self._stream_id)

    def _through(self, frame: Frame, then: Callable[[], Frame | None] = nothing) -> Iterator[Step]:
        """One frame; before it those that rebuild its stream, where that was lost."""
        while True:
            try:
                self._change_as_before(frame.number)
                ahead = self._may_look_ahead(frame.number)
                step = self._worker.step(self._stream_id, frame, then if ahead else nothing)
            except StreamLost as gone:
                yield from self._rebuild(frame.number, gone)
            else:
                break
        self._num_done, self._memory_bytes = frame.number + 1, step.prediction.memory_bytes
        if frame.number < self.num_kept:
            if step.sightings is not None:  # frames to come see the landmarks of this stream
                self._recording.frames.see(frame.number, step.sightings)
            yield Step(step.prediction, self._rebuilt(step.corrections))
            return
        self._recording.add(frame, step.prediction, step.corrections, step.sightings)
        if self._worker.loses_streams and self._num_done % _FRAMES_A_SNAPSHOT == 0:
            self._keep_at_times()
        yield step

    def _may_look_ahead(self, number: int) -> bool:
        """Whether nothing keeps or changes the stream between a frame and the next one."""
        kept = looks_for_room(number) or self._worker.loses_streams
        return not (kept or self._changes or number < self.num_kept)

    def _keep_at_times(self) -> None:
        """Keeps the stream in case its worker is lost, for a tenth of the time at most."""
        begun_s = time.monotonic()
        if begun_s >= self._snapshot_due_s:
            self.suspend()
            ended_s = time.monotonic()
            self._snapshot_due_s = ended_s + _BETWEEN_SNAPSHOTS * (ended_s - begun_s)

    def _rebuild(self, number: int, gone: StreamLost) -> Iterator[Step]:
        """Goes on on another worker, up to a frame.

        Raises:
            BadInput: it was lost too often at this frame: that may be what ends its workers.
            Cancelled: nobody wants it any more.
        """
        log.warning("a stream is rebuilt: %s", gone)
        self._losses[number] += 1
        if self._losses[number] > _MOST_LOSSES:
            raise BadInput(_LOST_TOO_OFTEN)
        self.num_kept, self._anew = max(self.num_kept, len(self._recording.frames)), []
        self._open_again(number)
        for kept in range(self._num_done, number):
            if self._cancelled():
                raise Cancelled
            yield from self._through(self._recording.frames.frame(kept))

    def _open_again(self, number: int) -> None:
        """Where there is room, which a worker that is begun anew may be the only one to have."""
        until_s = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                return self._open(number)
            except Busy:
                if self._cancelled():
                    raise Cancelled from None
                if time.monotonic() > until_s:
                    raise
                time.sleep(_LOOK_SECONDS)

    def _surely(self, call: Callable[[str], list[Correction]]) -> list[Correction]:
        """What a worker says of the stream, which is rebuilt for it where it was lost."""
        anew = list[Correction]()
        while True:
            try:
                return anew + call(self._stream_id)
            except StreamLost as gone:
                try:
                    rebuilt = list(self._rebuild(self._num_done, gone))
                except Cancelled:  # a run that was stopped ends without
                    return []
                anew = [each for step in rebuilt for each in step.corrections]
                if self._finalized:
                    anew += self._surely(self._worker.finalize)

    def _open(self, most: int | None = None) -> None:
        """In the place of the last stream one that goes on after `most` frames or fewer."""
        about, self._num_done = self._recording.about, 0
        memories = [(0, self._settings)] if about is None else about.memories
        number = self._recording.newest_snapshot(most)
        if number is not None:
            path = self._recording.snapshot(number)
            # Where a memory was changed after as many frames, either may be the one that was kept.
            for i in reversed([i for i, (first, _) in enumerate(memories) if first <= number]):
                try:
                    self._begin(memories[i][1], path)
                except SnapshotRefused as error:
                    log.warning("%s: %s", path, error)
                else:
                    self._num_done, self._changes = number, memories[i + 1 :]
                    return
        if self._recording.frames.num_thinned:
            raise BadInput(_CANNOT_REBUILD)
        self._begin(memories[0][1])
        self._changes = memories[1:]

    def _begin(self, settings: StreamSettings, snapshot: Path | None = None) -> None:
        self._stream_id = self._worker.open(settings, self._beside, snapshot, self._stream_id)

    def _change_as_before(self, number: int) -> None:
        """Changes the memory of a stream that is rebuilt, where it was changed then."""
        with self._changing:
            while self._changes and self._changes[0][0] <= number:
                _, settings = self._changes.pop(0)
                self._worker.change_memory(self._stream_id, settings, lambda number: None)

    def _rebuilt(self, corrections: list[Correction]) -> list[Correction]:
        """Collects corrections of kept frames: they replace those on disk all together."""
        self._anew += corrections
        if self._num_done < self.num_kept:
            return []
        self._recording.cameras.append(self._anew)
        return self._anew
