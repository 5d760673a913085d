"""One visitor's run and scene.

A run belongs to its session, not to the request that began it: it goes on while nobody looks,
and whoever looks reads `Session.progress`.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from svggt.archive import FrameArchive
from svggt.clips import Clip
from svggt.frames import BadInput, Frame
from svggt.live import Camera, LiveClip
from svggt.prediction import PointTrack
from svggt.progress import Progress, State
from svggt.scene import Look, Scene
from svggt.stream import ModelOverflow
from svggt.workers import LocalWorker, MemoryFull, StreamSettings

log = logging.getLogger(__name__)

TRACKED_FRAMES = 32
"""That a clicked point is followed through: they are in the device's memory at once."""


class Session:
    """One visitor's stream, scene and files.

    Attributes:
        token: the owner's; whoever has it drives the session.
        viewer_token: opens the scene's socket and nothing else.
        capture_token: lets a camera send pictures and nothing else.
        address: of the visitor who opened it.
        scene: its viser server.
        archive: the run's frames on disk.
        camera: whose pictures the run takes; None if it takes files.
    """

    def __init__(self, worker: LocalWorker, address: str) -> None:
        self.token = secrets.token_urlsafe(24)
        self.viewer_token = secrets.token_urlsafe(24)
        self.capture_token = secrets.token_urlsafe(24)
        self.address = address
        self.archive = FrameArchive(Path(tempfile.mkdtemp(prefix="svggt-session-")))
        self.scene = Scene(self.archive)
        self.camera: Camera | None = None
        self.opened = self.touched = time.monotonic()
        self._worker = worker
        self._model = ""
        self._progress = Progress()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._uploads: set[Path] = set()
        self._closed = False
        self._lock = threading.Lock()  # starts, stops and clears come from several requests

    @property
    def progress(self) -> Progress:
        """What is known now; a frozen value, safe to keep."""
        return self._progress

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._progress.state == "running"

    def touch(self) -> None:
        """Notes that somebody looks."""
        self.touched = time.monotonic()

    def own(self, uploads: Iterable[Path]) -> None:
        """Takes uploaded files over: they are removed with the session."""
        self._uploads.update(uploads)

    def start(
        self, clip: Clip | LiveClip, settings: StreamSettings, look: Look | None = None
    ) -> None:
        """Begins a run in a thread of its own. Where this fails, all that was there stays.

        The first frame is decoded before anything is cleared, but for a camera's, which is
        waited for.

        Args:
            clip: where frames come from.
            settings: of the stream.
            look: how the scene looks at first; as before if left out.

        Raises:
            BadInput: a run is under way, or the clip cannot be used.
        """
        with self._lock:
            if self._closed:
                raise BadInput("This scene has ended. Press Start once more for a new one.")
            if self.running:
                raise BadInput("A run is under way. Stop it first, then start the next one.")
            self._stop.clear()
            frames = clip.frames(cancelled=self._stop.is_set)
            message = "Waiting for the camera."
            self.camera = None
            if isinstance(clip, LiveClip):
                self.camera = clip.camera
            else:
                first, message = next(frames, None), "Working on the first frame."
                if first is None:
                    raise BadInput("The clip holds no frame. Choose another one.")
                frames = itertools.chain([first], frames)
            self.scene.reset(clip.total or clip.limits.max_frames)
            self.archive.clear()
            if look is not None:
                self.scene.look(look)
            stream_id = self._worker.open(settings)
            self._model = settings.model
            self._publish(
                state="running",
                message=message,
                note="",
                total=clip.total,
                latest=None,
                tracking=None,
                step_seconds=(),
                elapsed_s=0.0,
            )
            arguments = (stream_id, frames, clip.is_cut)
            self._thread = threading.Thread(target=self._run, args=arguments, name="run")
            self._thread.start()

    def track(self, number: int, pixel: tuple[int, int]) -> PointTrack:
        """Follows a pixel of a frame through those after it, `TRACKED_FRAMES` at most.

        Raises:
            KeyError: the frame is not there any more.
            ValueError: the run's weights have no track head.
        """
        last = min(self.scene.num_frames, number + TRACKED_FRAMES)
        shown = [self.archive.load(each) for each in range(number, last)]
        return self._worker.track(self._model, shown, pixel)

    def stop(self) -> None:
        """Ends the run after the frame in hand; what is in the scene stays."""
        with self._lock:
            self._end_run()

    def clear(self) -> None:
        """Ends the run and empties the scene."""
        with self._lock:
            self._end_run()
            self.scene.reset(max_frames=1)
            self.archive.clear()
            self._progress = Progress(version=self._progress.version + 1)

    def close(self) -> None:
        """Ends everything: run, stream, scene, uploaded files."""
        with self._lock:
            self._closed = True
            self._end_run()
        self.scene.close()
        self.archive.close()
        for path in self._uploads:
            path.unlink(missing_ok=True)

    def _end_run(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, stream_id: str, frames: Iterator[Frame], cut: Callable[[int], bool]) -> None:
        started = time.perf_counter()
        state: State = "failed"
        try:
            state, message = self._steps(stream_id, frames, started)
            if state == "finished" and cut(self._progress.frames_done):
                message += " The rest of the clip was left out (Advanced, Frames at most)."
            self.scene.settle()
        except BadInput as error:
            message = str(error)
        except Exception as error:  # the run's thread is the last to see it
            log.exception("run failed")
            state, message = "failed", _sentence(error)
        finally:
            self._worker.close(stream_id)
            if self.camera is not None:
                self.camera.end()
        self._publish(state=state, message=message, elapsed_s=time.perf_counter() - started)

    def _steps(self, stream_id: str, frames: Iterator[Frame], started: float) -> tuple[State, str]:
        """Model and scene, frame by frame; returns how the run ended."""
        for frame in frames:
            if self._stop.is_set():
                break
            step = self._worker.step(stream_id, frame)
            prediction = step.prediction
            tracking = step.corrections[-1] if step.corrections else None
            self.archive.add(prediction)
            self.scene.add(prediction, tracking)
            self.scene.correct(step.corrections)
            self._publish(
                message="Working.",
                note=self._note(),
                latest=prediction,
                tracking=tracking,
                step_seconds=(*self._progress.step_seconds, prediction.seconds),
                elapsed_s=time.perf_counter() - started,
            )
        self.scene.correct(self._worker.settle(stream_id))
        if self._stop.is_set():
            return "stopped", f"Stopped after {self._count()}."
        return "finished", f"Finished: {self._count()}."

    def _note(self) -> str:
        if self.camera is None:
            return ""
        received = self.camera.received
        return f"{received.arrived} pictures from the camera, {received.dropped} dropped"

    def _count(self) -> str:
        done = self._progress.frames_done
        return f"{done} frame" if done == 1 else f"{done} frames"

    def _publish(self, **changes: object) -> None:
        version = self._progress.version + 1
        self._progress = dataclasses.replace(self._progress, version=version, **changes)


def _sentence(error: Exception) -> str:
    """What a visitor is told of a failure, with a remedy; never a traceback."""
    if isinstance(error, ModelOverflow):
        return f"The run ended: {error}."
    if isinstance(error, MemoryFull) or "out of memory" in str(error).lower():
        return "The device is out of memory. Choose a smaller window under Advanced, and Start."
    return "The run ended by an error of ours; what was drawn stays. Press Start to try again."
