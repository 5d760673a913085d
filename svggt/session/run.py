"""One run of a session: a clip's frames through a stream, on a thread, until it ends."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from svggt.engine.freed_memory import give_back_memory
from svggt.engine.recorded_stream import MEMORY_FIXED, RecordedStream
from svggt.engine.worker import Step
from svggt.errors import BadInput, Cancelled, user_message
from svggt.media.camera_stream import CameraFeed, LiveClip
from svggt.media.clips import Clip
from svggt.media.frames import Frame
from svggt.refine.correction import Correction
from svggt.scene.scene import Scene
from svggt.session.progress import Board, closed_loops
from svggt.settings import StreamSettings
from svggt.store.recording import Recording, RunState

log = logging.getLogger(__name__)

_THINNED = "The disk became short: older frames are kept as JPEG, with a quarter of their depth."
_NOT_ADJUSTED = "Its cameras were not adjusted: lengths may be off by 10 % and more."
_MAP_SECONDS = 0.5  # between two looks at what is remembered
_STEP = 0.01  # of the adjustment: what is worth telling
_CAMERAS = 0.8  # of the adjustment's time; the rest draws points


class Run:
    """Frames, then the adjustment of all cameras; each can be ended.

    Args:
        recording: where it goes,
        scene: and where it is shown.
        board: where it says how far it is.

    Attributes:
        camera: whose pictures it takes; None if it takes files.
        notes: what was left out, repaired or thinned, a sentence each.
    """

    def __init__(self, recording: Recording, scene: Scene, board: Board) -> None:
        self.camera: CameraFeed | None = None
        self.notes: list[str] = []
        self._recording, self._scene, self._board = recording, scene, board
        self._stop, self._skip = threading.Event(), threading.Event()
        self._frames_ended = threading.Event()
        self._by_server = False
        self._stream: RecordedStream | None = None
        self._mapped = 0.0  # when what is remembered was looked at, monotonic
        self._thread: threading.Thread | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether no frame is wanted any more."""
        return self._stop.is_set()

    def launch(
        self, clip: Clip | LiveClip, stream: RecordedStream, frames: Iterator[Frame]
    ) -> None:
        """Begins.

        Args:
            clip: what is known of the frames.
            stream: takes them; it is closed in the end.
            frames: the clip's, or those that are left of it.
        """
        self.camera = clip.camera if isinstance(clip, LiveClip) else None
        message = "Working on the first frame."
        if self.camera is not None:
            message = "Waiting for the camera."
        self._board.publish(
            state="running", message=message, note="", total=clip.total, length_s=clip.length_s
        )
        self._stream = stream
        arguments = (stream, frames, clip.is_cut)
        self._thread = threading.Thread(target=self._run, args=arguments, name="run")
        self._thread.start()

    def change_memory(self, settings: StreamSettings) -> None:
        """Remembers otherwise from the next frame on.

        Raises:
            BadInput: see `RecordedStream.change_memory`.
        """
        if self._stream is None:
            raise BadInput(MEMORY_FIXED)
        self._stream.change_memory(settings)
        about = self._recording.about
        if about is not None:
            self._board.publish(memory_changes=about.memory_changes)

    def stop(self) -> None:
        """Ends it after the frame in hand, which is waited for; what is in the scene stays.

        Its cameras are then adjusted, which is not waited for; stopping once more skips that.
        """
        if self._frames_ended.is_set():
            self._skip.set()
        self._stop.set()
        if self._thread is not None:
            self._frames_ended.wait()
            if self._skip.is_set():
                self._thread.join()

    def end(self) -> None:
        """Ends all of it, by its server, and waits: what is left can be resumed."""
        self._by_server = True
        self._skip.set()
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(
        self, stream: RecordedStream, frames: Iterator[Frame], cut: Callable[[int], bool]
    ) -> None:
        try:
            self._run_to_end(stream, frames, cut)
        finally:
            self._frames_ended.set()

    def _run_to_end(
        self, stream: RecordedStream, frames: Iterator[Frame], cut: Callable[[int], bool]
    ) -> None:
        started = time.perf_counter() - self._board.progress.elapsed_s
        state: RunState = "failed"
        try:
            state, message = self._steps(stream, frames, started)
            if state == "finished" and cut(self._board.progress.frames_done):
                message += " The rest of the clip was left out (Advanced, Max frames)."
            message = " ".join([message, *self.notes])
        except BadInput as error:
            message = str(error)
        except Exception as error:  # the run's thread is the last to see it
            log.exception("run failed")
            state, message = "failed", user_message(error)
        finally:
            self._stop.set()  # where it failed, frames are still read
            stream.close()
            give_back_memory()
            if self.camera is not None:
                self.camera.end()
        elapsed = self._board.progress.elapsed_s
        try:
            self._recording.end(state, message, elapsed)
        except OSError:  # then it counts as interrupted when it is read again
            log.exception("the end of a run could not be written")
        try:
            if not self._by_server:  # it waits for nothing that nobody will see
                self._scene.settle()
        except Exception:  # what is drawn of it stays
            log.exception("the end of a scene could not be drawn")
        self._board.publish(state=state, message=message, note=self._note(), adjusted=None)

    def _steps(
        self, stream: RecordedStream, frames: Iterator[Frame], started: float
    ) -> tuple[RunState, str]:
        """Model, disk and scene, frame by frame; returns how the run ended."""
        with ThreadPoolExecutor(1, thread_name_prefix="drawing") as drawing:
            drawn = drawing.submit(lambda: None)
            for step in stream.steps(frames, self._stop.is_set, live=self.camera is not None):
                # A frame is drawn while the next one is predicted, and no later.
                drawn.result()
                number, kept = step.prediction.number, stream.num_kept
                if number < kept:
                    message = f"Rebuilding the memory: frame {number + 1} of {kept}."
                    self._board.publish(message=message)
                    self._scene.correct(step.corrections)
                    continue
                drawn = drawing.submit(self._show, step, started)
                if time.monotonic() - self._mapped > _MAP_SECONDS:
                    self._look_at_memory(stream)
                self._make_room(stream)
            drawn.result()
        if self.camera is not None:
            self.camera.end()
        stream.end_frames()
        self._look_at_memory(stream)
        stopped = self._stop.is_set()  # before its last frame
        if stopped:
            stream.suspend()
        interrupted = stopped and self._by_server  # not by its owner
        self._board.publish(elapsed_s=time.perf_counter() - started)
        self._correct(stream.finalize())
        self._adjust(stream)
        if interrupted:
            return "interrupted", self._board.progress.interrupted
        if stopped:
            return "stopped", f"Stopped after {self._board.progress.count}."
        return "finished", f"Finished: {self._board.progress.count}."

    def _adjust(self, stream: RecordedStream) -> None:
        """All cameras at once, and the scene by them, unless somebody is in a hurry."""

        def on_share(share: float) -> None:
            self._frames_ended.set()
            if self._skip.is_set():
                raise Cancelled
            told = self._board.progress.adjusted
            if told is None or share - told >= _STEP:
                message = f"Adjusting all cameras: {share:.0%}. Stop leaves it out."
                if share >= _CAMERAS:
                    message = f"Drawing points by the adjusted cameras: {share:.0%}."
                self._board.publish(adjusted=share, message=message)

        try:
            corrections = stream.adjust(lambda share: on_share(_CAMERAS * share))
            if corrections:
                self._correct(corrections)
                shares = itertools.count(_CAMERAS, (1 - _CAMERAS) / len(corrections))
                self._scene.redraw(lambda: on_share(next(shares)))
        except Cancelled:
            self.notes.append(_NOT_ADJUSTED)
        except Exception:  # a disk that is full, a damaged frame: the run is whole without
            log.exception("what follows a run's frames failed")
            self.notes.append(_NOT_ADJUSTED)

    def _make_room(self, stream: RecordedStream) -> None:
        if stream.make_room() and not self._thinned():
            self.notes.append(_THINNED)

    def _thinned(self) -> list[str]:
        return [note for note in self.notes if note == _THINNED]

    def _look_at_memory(self, stream: RecordedStream) -> None:
        self._mapped = time.monotonic()
        self._board.publish(memory=stream.memory_map())

    def _correct(self, corrections: list[Correction]) -> None:
        self._scene.correct(corrections)
        self._board.publish(loops={**self._board.progress.loops, **closed_loops(corrections)})

    def _show(self, step: Step, started: float) -> None:
        tracking = step.corrections[-1] if step.corrections else None
        self._scene.add(step.prediction, tracking, step.corrections[:-1])
        self._board.publish(
            message="",
            note=". ".join(filter(None, [self._note(), *self._thinned()])),
            latest=step.prediction,
            tracking=tracking,
            loops={**self._board.progress.loops, **closed_loops(step.corrections)},
            step_seconds=(*self._board.progress.step_seconds, step.prediction.seconds),
            elapsed_s=time.perf_counter() - started,
        )

    def _note(self) -> str:
        if self.camera is None:
            return ""
        received = self.camera.received
        return f"{received.made} pictures from the camera, {received.dropped} of them dropped"
