"""One visitor's run and scene.

A run belongs to its session, not to the request that began it: it goes on while nobody looks,
and whoever looks reads `Session.progress`. All of it is on disk too (`Recording`), so that a
session can leave memory and come back.
"""

from __future__ import annotations

import itertools
import threading
import time

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svggt.compare.comparison import Comparison
from svggt.compare.request import ComparisonRequest
from svggt.compare.slot import ComparisonSlot
from svggt.engine.recorded_stream import MEMORY_FIXED, RecordedStream
from svggt.engine.worker import Worker
from svggt.errors import BadInput, writing
from svggt.media.camera_stream import CameraFeed, LiveClip
from svggt.media.clips import Clip
from svggt.prediction import PointTrack
from svggt.scene.scene import Scene
from svggt.session.progress import Board, Progress
from svggt.session.restore import restore
from svggt.session.run import Run
from svggt.settings import StreamSettings
from svggt.store.recording import About, Recording
from svggt.store.store import Tokens
from svggt.view_options import ViewOptions

TRACKED_FRAMES = 32
"""That a clicked point is followed through: they are in the device's memory at once."""

_THUMBNAIL_WIDTH, _THUMBNAILS = 128, 64


class Session:
    """One visitor's stream, scene and files.

    Args:
        worker: runs its streams.
        address: the visitor's who began it; empty for one that came back from disk.
        tokens: that open it.
        recording: the run on disk; what it holds is shown.

    Attributes:
        scene: its viser server.
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
        self.dismissed = False
        self.opened = self.touched = time.monotonic()
        self._worker = worker
        self._run: Run | None = None
        self._closed = False
        self._thumbnails: dict[int, NDArray[np.uint8]] = {}
        self._lock = threading.Lock()  # starts, stops and clears come from several requests
        try:
            self._board = Board(restore(recording, self.scene))
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
        return self._board.progress

    @property
    def camera(self) -> CameraFeed | None:
        """Whose pictures the run takes; None if it takes files."""
        return None if self._run is None else self._run.camera

    @property
    def leaves(self) -> bool:
        """Whether it leaves memory, or has left."""
        return self._closed

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self.progress.state == "running"

    @property
    def comparison(self) -> Comparison | None:
        """With another run over the same frames; None if nobody asked."""
        return self._beside.comparison

    @property
    def in_use(self) -> bool:
        """Whether somebody looks, or something is computed, or just begins or ends."""
        is_busy = self._lock.locked() or self.running or self._beside.running
        return is_busy or self.scene.eye.num_browsers > 0

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
            run = Run(self.recording, self.scene, self._board)
            frames = clip.frames(lambda: run.is_stopped, run.notes.append)
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
            self._board.clear()
            self._run = run
            run.launch(clip, stream, frames)

    def resume(self, camera: LiveClip | None = None) -> None:
        """Resumes an ended or interrupted run, after its last frame.

        Its stream goes on where it was stopped; without a snapshot (it was killed) its memory is
        rebuilt from the frames kept, which takes their model time again.

        Args:
            camera: where frames come from now, if they came from a camera.

        Raises:
            BadInput: there is nothing to resume, it cannot be, or its weights are not loaded.
        """
        with self._lock:
            self._make_ready()
            about = self.recording.about
            clip = None if about is None else about.clip or camera
            if about is None or clip is None or not self.progress.can_resume:
                raise BadInput("There is no run to resume. Press Start for a new one.")
            if about.settings.model not in self._worker.models:
                raise BadInput(
                    f"The run was made with {about.settings.model}, which is not loaded now. "
                    "Start the server with it, or press Start for a new run."
                )
            stream = RecordedStream(self._worker, about.settings, self.recording)
            try:
                with writing():
                    self.recording.resume()
            except BaseException:
                stream.close()
                raise
            self._run = run = Run(self.recording, self.scene, self._board)
            run.launch(
                clip, stream, stream.frames_of(clip, lambda: run.is_stopped, run.notes.append)
            )

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

    def set_length(self, metres: float | None) -> None:
        """Says how far the scene's marks are apart, by the cameras shown; None: nobody knows.

        Raises:
            BadInput: nothing is measured, it is no length, or the disk takes nothing.
        """
        distance = self.scene.marks.distance
        if not distance:
            raise BadInput("Nothing is measured. Mark two points of the picture first.")
        cameras = self.scene.marks.cameras
        self.recording.set_metres(cameras, None if metres is None else metres / distance)
        self.scene.around.measure_in(self.recording.metres)
        self._beside.measure()

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

    def thumbnail(self, number: int) -> NDArray[np.uint8]:
        """A frame's picture, small; the last ones that were asked for are in memory.

        Raises:
            KeyError: the frame is not there any more.
            DamagedFrame: it cannot be read.
        """
        if number not in self._thumbnails:
            image = Image.fromarray(self.recording.frames.load(number).image)
            image.thumbnail((_THUMBNAIL_WIDTH, _THUMBNAIL_WIDTH))
            while len(self._thumbnails) >= _THUMBNAILS:
                self._thumbnails.pop(next(iter(self._thumbnails)))
            self._thumbnails[number] = np.asarray(image)
        return self._thumbnails[number]

    def change_memory(self, settings: StreamSettings) -> None:
        """The run remembers otherwise from its next frame on; see `Run.change_memory`."""
        run = self._run
        if run is None or not self.running:
            raise BadInput(MEMORY_FIXED)
        run.change_memory(settings.within_limits())

    def stop(self) -> None:
        """Ends the run after the frame in hand, or what follows its frames; see `Run.stop`."""
        with self._lock:
            if self._run is not None:
                self._run.stop()

    def close(self) -> None:
        """Leaves memory: ends run, stream and scene. What is on disk stays."""
        with self._lock:
            self._closed = True
            if self._run is not None:
                self._run.end()
            self._beside.end()
        self.scene.close()

    def _make_ready(self) -> None:
        """Checks that a run may begin."""
        if self._closed:
            raise BadInput("This scene has left memory. Press Start once more.")
        if self.running:
            raise BadInput("A run is under way. Stop it first, then start the next one.")
