"""One visitor's run and scene.

A run belongs to its session, not to the request that began it: it goes on while nobody looks,
and whoever looks reads `Session.progress`. All of it is on disk too (`Recording`), so that a
session can leave memory and come back.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator

from svggt.compare.comparison import Comparison
from svggt.compare.request import ComparisonRequest
from svggt.compare.slot import ComparisonSlot
from svggt.engine.recorded_stream import RecordedStream
from svggt.engine.worker import Step, Worker
from svggt.errors import BadInput, user_message, writing
from svggt.media.camera_stream import CameraFeed, LiveClip
from svggt.media.clips import Clip
from svggt.media.frames import Frame
from svggt.prediction import PointTrack
from svggt.scene.scene import Scene
from svggt.session.progress import Progress, closed_loops
from svggt.session.restore import restore
from svggt.settings import StreamSettings
from svggt.store.recording import About, Recording, RunState
from svggt.store.store import Tokens
from svggt.view_options import ViewOptions

log = logging.getLogger(__name__)

TRACKED_FRAMES = 32
"""That a clicked point is followed through: they are in the device's memory at once."""

_FRAMES_A_LOOK = 16  # between two looks whether the disk has room


class Session:
    """One visitor's stream, scene and files.

    Args:
        worker: runs its streams.
        address: the visitor's who began it; empty for one that came back from disk.
        tokens: that open it.
        recording: the run on disk; what it holds is shown.

    Attributes:
        scene: its viser server.
        camera: whose pictures the run takes; None if it takes files.
        dismissed: its owner has left it, and wants to hear of it no more.
    """

    def __init__(
        self,
        worker: Worker,
        address: str,
        tokens: Tokens,
        recording: Recording,
    ) -> None:
        self.address, self.tokens, self.recording = address, tokens, recording
        self.scene = Scene(recording.frames)
        self.camera: CameraFeed | None = None
        self.dismissed = False
        self.opened = self.touched = time.monotonic()
        self._worker = worker
        self._stop = threading.Event()
        self._notes: list[str] = []  # of the decoder, about the run under way
        self._thread: threading.Thread | None = None
        self._closed = False
        self._lock = threading.Lock()  # starts, stops and clears come from several requests
        try:
            self._progress = restore(recording, self.scene)
            self._beside = ComparisonSlot(worker, recording, self.scene)
        except BaseException:
            self.scene.close()
            raise

    @property
    def token(self) -> str:
        """The owner's; whoever has it drives the session."""
        return self.tokens.owner

    @property
    def progress(self) -> Progress:
        """What is known now; a frozen value, safe to keep."""
        return self._progress

    @property
    def leaves(self) -> bool:
        """Whether it leaves memory, or has left."""
        return self._closed

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._progress.state == "running"

    @property
    def comparison(self) -> Comparison | None:
        """With another run over the same frames; None if nobody asked."""
        return self._beside.comparison

    @property
    def in_use(self) -> bool:
        """Whether somebody looks, or something is computed, or just begins or ends."""
        is_busy = self._lock.locked() or self.running or self._beside.running
        return is_busy or self.scene.num_viewers > 0

    def touch(self) -> None:
        """Notes that somebody looks."""
        self.touched = time.monotonic()

    def start(
        self, clip: Clip | LiveClip, settings: StreamSettings, look: ViewOptions | None = None
    ) -> None:
        """Begins the session's run in a thread of its own; another run is another session's.

        The first frame is decoded before anything is written, but for a camera's, which is
        waited for.

        Args:
            clip: where frames come from.
            settings: how it is computed.
            look: how the scene looks at first.

        Raises:
            BadInput: the disk is full, or the clip cannot be used.
        """
        with self._lock:
            self._make_ready()
            assert not self.recording.has_run  # its keys are a scene's: no other's
            frames = clip.frames(self._stop.is_set, self._notes.append)
            if not isinstance(clip, LiveClip):
                first = next(frames, None)
                if first is None:
                    raise BadInput("The clip holds no frame. Choose another one.")
                frames = itertools.chain([first], frames)
            self.recording.check_room()
            max_frames = clip.total or clip.limits.max_frames
            about = About(
                settings=settings,
                clip=clip if isinstance(clip, Clip) else None,
                max_frames=max_frames,
                look=look or self.scene.flags,
                began=time.time(),
                sent=clip.paths if isinstance(clip, Clip) else (),
            )
            stream = RecordedStream(self._worker, settings, self.recording)
            try:
                with writing():
                    self.recording.begin(about)
            except BaseException:
                stream.close()
                raise
            self.scene.reset(max_frames)
            self.scene.look(about.look)
            self._progress = Progress(version=self._progress.version)
            self._launch(clip, stream, frames)

    def resume(self, camera: LiveClip | None = None) -> None:
        """Resumes an ended or interrupted run, after its last frame.

        Its stream goes on where it was stopped; without a snapshot (it was killed) its memory is
        rebuilt from the frames kept, which takes their model time again.

        Args:
            camera: where frames come from now, if they came from a camera.

        Raises:
            BadInput: there is nothing to resume, or its weights are not loaded.
        """
        with self._lock:
            self._make_ready()
            about = self.recording.about
            clip = None if about is None else about.clip or camera
            if about is None or clip is None or not self._progress.can_resume:
                raise BadInput("There is no run to resume. Press Start for a new one.")
            if about.settings.model not in self._worker.models:
                raise BadInput(
                    f"The run was made with {about.settings.model}, which is not loaded now. "
                    "Start the server with it, or press Start for a new run."
                )
            with writing():
                self.recording.resume()
            stream = RecordedStream(self._worker, about.settings, self.recording)
            frames = stream.frames_of(clip, self._stop.is_set, self._notes.append)
            self._launch(clip, stream, frames)

    def look(self, look: ViewOptions) -> None:
        """Sets what is shown, beside the stream too."""
        self.scene.look(look)
        self._beside.look(look)

    def seek(self, number: int | None) -> None:
        """Shows the moment of a frame, beside the stream too; None: always the newest."""
        self.scene.seek(number)
        self._beside.seek(number)

    def compare(self, asked: ComparisonRequest) -> Comparison:
        """Begins another run beside this one; see `ComparisonSlot.begin`."""
        with self._lock:
            if self._closed:
                raise BadInput("This scene has left memory. Reload the page to open it again.")
            return self._beside.begin(asked)

    def track(self, number: int, pixel: tuple[int, int]) -> PointTrack:
        """Follows a pixel of a frame through those after it, `TRACKED_FRAMES` at most.

        Raises:
            KeyError: the frame is not there any more.
            ValueError: the run's weights have no track head.
        """
        about = self.recording.about
        if about is None:
            raise KeyError(number)
        last = min(self.scene.num_frames, number + TRACKED_FRAMES)
        shown = [self.recording.frames.load(each) for each in range(number, last)]
        return self._worker.track(about.settings.model, shown, pixel)

    def stop(self) -> None:
        """Ends the run after the frame in hand; what is in the scene stays."""
        with self._lock:
            self._end_run()

    def close(self) -> None:
        """Leaves memory: ends run, stream and scene. What is on disk stays."""
        with self._lock:
            self._closed = True
            self._end_run()
            self._beside.end()
        self.scene.close()

    def _make_ready(self) -> None:
        """Checks that a run may begin; from here on only a new Stop counts."""
        if self._closed:
            raise BadInput("This scene has left memory. Press Start once more.")
        if self.running:
            raise BadInput("A run is under way. Stop it first, then start the next one.")
        self._stop.clear()
        self._notes.clear()

    def _launch(
        self, clip: Clip | LiveClip, stream: RecordedStream, frames: Iterator[Frame]
    ) -> None:
        self.camera = clip.camera if isinstance(clip, LiveClip) else None
        message = "Working on the first frame."
        if self.camera is not None:
            message = "Waiting for the camera."
        self._publish(
            state="running", message=message, note="", total=clip.total, length_s=clip.length_s
        )
        arguments = (stream, frames, clip.is_cut)
        self._thread = threading.Thread(target=self._run, args=arguments, name="run")
        self._thread.start()

    def _end_run(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(
        self, stream: RecordedStream, frames: Iterator[Frame], cut: Callable[[int], bool]
    ) -> None:
        started = time.perf_counter() - self._progress.elapsed_s
        state: RunState = "failed"
        try:
            state, message = self._steps(stream, frames, started)
            if state == "finished" and cut(self._progress.frames_done):
                message += " The rest of the clip was left out (Advanced, Max frames)."
            message = " ".join([message, *self._notes])
            self.scene.settle()
        except BadInput as error:
            message = str(error)
        except Exception as error:  # the run's thread is the last to see it
            log.exception("run failed")
            state, message = "failed", user_message(error)
        finally:
            stream.close()
            if self.camera is not None:
                self.camera.end()
        elapsed = time.perf_counter() - started
        try:
            self.recording.end(state, message, elapsed)
        except OSError:  # then it counts as interrupted when it is read again
            log.exception("the end of a run could not be written")
        self._publish(state=state, message=message, elapsed_s=elapsed)

    def _steps(
        self, stream: RecordedStream, frames: Iterator[Frame], started: float
    ) -> tuple[RunState, str]:
        """Model, disk and scene, frame by frame; returns how the run ended."""
        going = itertools.takewhile(lambda _: not self._stop.is_set(), frames)
        for step in stream.steps(going):
            number, kept = step.prediction.number, stream.num_kept
            if number < kept:
                self._publish(message=f"Rebuilding the memory: frame {number + 1} of {kept}.")
                self.scene.correct(step.corrections)
                continue
            self._show(step, started)
            if number % _FRAMES_A_LOOK == 0:
                self.recording.check_room()
        stopped = self._stop.is_set()  # before its last frame
        if stopped:
            stream.suspend()
        last = stream.finalize()
        self.scene.correct(last)
        self._publish(loops={**self._progress.loops, **closed_loops(last)})
        if stopped and self._closed:  # by its server, not by its owner
            return "interrupted", self._progress.interrupted
        if stopped:
            return "stopped", f"Stopped after {self._progress.count}."
        return "finished", f"Finished: {self._progress.count}."

    def _show(self, step: Step, started: float) -> None:
        tracking = step.corrections[-1] if step.corrections else None
        self.scene.add(step.prediction, tracking, step.corrections[:-1])
        self._publish(
            message="",
            note=self._note(),
            latest=step.prediction,
            tracking=tracking,
            loops={**self._progress.loops, **closed_loops(step.corrections)},
            step_seconds=(*self._progress.step_seconds, step.prediction.seconds),
            elapsed_s=time.perf_counter() - started,
        )

    def _note(self) -> str:
        if self.camera is None:
            return ""
        received = self.camera.received
        return f"{received.arrived} pictures from the camera, {received.dropped} dropped"

    def _publish(self, **changes: object) -> None:
        version = self._progress.version + 1
        self._progress = dataclasses.replace(self._progress, version=version, **changes)
