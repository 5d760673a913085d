"""Sessions: one visitor's run and scene, kept apart from every other's.

A run belongs to its session, not to the request that began it: it goes on while nobody looks,
and whoever looks reads `Session.progress`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import logging
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from svggt.archive import FrameArchive
from svggt.clips import Clip
from svggt.frames import BadInput, Frame
from svggt.live import Camera, LiveClip
from svggt.progress import Progress, State
from svggt.scene import Look, Scene
from svggt.stream import ModelOverflow
from svggt.workers import LocalWorker, MemoryFull, StreamSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SessionLimits:
    """How many sessions there are, and how long they last.

    Attributes:
        max_sessions: at once.
        max_per_address: of one visitor's address at once.
        idle_seconds: until a session ends that nobody looks at and that does not run.
        max_seconds: until any session ends.
    """

    max_sessions: int = 32
    max_per_address: int = 6
    idle_seconds: float = 600.0
    max_seconds: float = 7200.0


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


class Sessions:
    """All sessions of this process, found by token.

    Tokens are looked up by their hash, so that a comparison's time says nothing of a token.

    Args:
        worker: runs their streams.
        limits: on how many there are and how long they last.
    """

    def __init__(self, worker: LocalWorker, limits: SessionLimits) -> None:
        self.worker = worker
        self._limits = limits
        self._by_token: dict[str, Session] = {}
        self._by_viewer_token: dict[str, Session] = {}
        self._by_capture_token: dict[str, Session] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._reaper = threading.Thread(target=self._reap, name="reaper", daemon=True)
        self._reaper.start()

    def __len__(self) -> int:
        return len(self._by_token)

    def open(self, address: str) -> Session:
        """A new session for a visitor.

        Raises:
            BadInput: there are too many.
        """
        with self._lock:
            current = list(self._by_token.values())
            if len(current) >= self._limits.max_sessions:
                raise BadInput("The demo is full at the moment. Try again in a few minutes.")
            if sum(s.address == address for s in current) >= self._limits.max_per_address:
                raise BadInput(
                    f"{self._limits.max_per_address} scenes are open from your address already. "
                    "Close a tab with one, or try again in ten minutes."
                )
            session = Session(self.worker, address)
            self._by_token[_hash(session.token)] = session
            self._by_viewer_token[_hash(session.viewer_token)] = session
            self._by_capture_token[_hash(session.capture_token)] = session
            return session

    def get(self, token: str | None) -> Session | None:
        """The session of an owner's token; None for unknown and expired alike."""
        session = self._by_token.get(_hash(token)) if token else None
        if session is not None:
            session.touch()
        return session

    def viser_port(self, viewer_token: str) -> int | None:
        """The loopback port of a session's viser server."""
        session = self._by_viewer_token.get(_hash(viewer_token))
        return session.scene.port if session else None

    def capturing(self, capture_token: str) -> Session | None:
        """The session that a camera's token sends pictures to."""
        return self._by_capture_token.get(_hash(capture_token))

    def close(self, token: str) -> None:
        """Ends a session; closing twice is harmless."""
        with self._lock:
            session = self._by_token.pop(_hash(token), None)
            if session is None:
                return
            del self._by_viewer_token[_hash(session.viewer_token)]
            del self._by_capture_token[_hash(session.capture_token)]
        session.close()

    def shutdown(self) -> None:
        """Ends all sessions."""
        self._ended.set()
        self._reaper.join()
        for session in list(self._by_token.values()):
            self.close(session.token)

    def expire(self, now: float) -> None:
        """Ends what is idle or too old at a monotonic time in seconds."""
        for session in list(self._by_token.values()):
            if session.running or session.scene.num_viewers:
                session.touched = now
            idle = now - session.touched > self._limits.idle_seconds
            if idle or now - session.opened > self._limits.max_seconds:
                self.close(session.token)

    def _reap(self) -> None:
        while not self._ended.wait(timeout=5.0):
            try:
                self.expire(time.monotonic())
            except Exception:  # the reaper must outlive one bad session
                log.exception("expiry failed")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _sentence(error: Exception) -> str:
    """What a visitor is told of a failure, with a remedy; never a traceback."""
    if isinstance(error, ModelOverflow):
        return f"The run ended: {error}."
    if isinstance(error, MemoryFull) or "out of memory" in str(error).lower():
        return "The device is out of memory. Choose a smaller window under Advanced, and Start."
    return "The run ended by an error of ours; what was drawn stays. Press Start to try again."
