"""How a run begins: what a visitor asked for, checked, in a known session or a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from svggt.engine.checkpoints import LoadedModel
from svggt.errors import BadInput
from svggt.media import lens
from svggt.media.camera_stream import CameraFeed, LiveClip
from svggt.media.clips import Clip, open_clip
from svggt.media.examples import EXAMPLES
from svggt.media.frames import InputLimits
from svggt.session.registry import Sessions
from svggt.session.session import Session
from svggt.settings import StreamSettings
from svggt.view_options import ViewOptions
from svggt.web.uploads import UploadFolder


@dataclass(frozen=True)
class RunRequest:
    """A run as it is asked for. Numbers may be out of range, and files anybody's.

    Attributes:
        kind: where frames come from.
        example: index into `EXAMPLES`.
        files: names of uploads.
        rate: frames a second of an uploaded video; None or 0 chooses them by motion.
        max_frames: at most.
        whole: tall pictures are not cut to a square.
        settings: how the stream is computed.
        look: how the scene looks at first.
    """

    kind: Literal["example", "upload", "camera"]
    example: int
    files: Sequence[str]
    rate: float | None
    max_frames: float | None
    whole: bool
    settings: StreamSettings
    look: ViewOptions


class RunStarter:
    """Begins runs.

    Args:
        sessions: where they live.
        limits: what a visitor may send.
        uploads: where uploaded files lie.
    """

    def __init__(self, sessions: Sessions, limits: InputLimits, uploads: UploadFolder) -> None:
        self._sessions, self.limits, self._uploads = sessions, limits, uploads

    def begin(self, token: str | None, wanted: RunRequest, address: str) -> Session:
        """Starts a run in a session of its own, which does not outlive a failure.

        Every scene has its own keys: whoever was sent the last one's link goes on seeing the
        last one, which leaves memory and stays on disk until it expires.

        Args:
            token: owner's of the scene that the visitor has open; None for none.
            wanted: the run.
            address: the visitor's.

        Raises:
            BadInput: it cannot be; nothing has changed.
        """
        self._uploads.tidy()
        clip = self._clip(wanted)
        view = lens.known(wanted.settings.field_of_view, clip.field_of_view, clip.across)
        settings = replace(wanted.settings.within_limits(), field_of_view=view)
        last = self._sessions.get(token)
        if last is not None and last.running:
            raise BadInput("A run is under way. Stop it first, then start the next one.")
        session = self._sessions.open(address, instead_of=last)
        try:
            session.start(clip, settings, wanted.look)
        except BaseException:
            self._sessions.remove(session.token)
            raise
        if last is not None:
            self._sessions.close(last.token)
        return session

    def leave(self, token: str | None) -> None:
        """Takes a scene out of memory whose owner is done with it; unknown ones are no matter."""
        session = self._sessions.get(token)
        if session is not None:
            session.dismissed = True
            session.stop()  # by its owner: it is not interrupted
            self._sessions.close(session.token)

    def delete(self, token: str | None) -> None:
        """Ends a session and deletes its scene, its clip and the files that were sent for it.

        Raises:
            BadInput: there is none.
        """
        recording = self._sessions.recording(token, "owner")
        if recording is None:
            raise BadInput("There is nothing to delete: this scene has expired or was deleted.")
        about = recording.about
        self.leave(token)
        self._sessions.remove(token or "")
        if about is not None:
            self._uploads.discard(about.sent, about.began)

    def resume(self, token: str | None) -> Session:
        """Resumes the run of a session; see `Session.resume`.

        Raises:
            BadInput: it cannot be.
        """
        session = self._sessions.find(token)
        about = None if session is None else session.recording.about
        if session is None or about is None:
            raise BadInput("This scene has expired or was deleted. Press Start for a new one.")
        camera = None
        if about.clip is None:
            width = session.recording.frames.load(0).image.shape[1]
            camera = LiveClip(
                CameraFeed(), width, replace(self.limits, max_frames=about.max_frames)
            )
        session.resume(camera)
        return session

    def model(self, name: str) -> LoadedModel:
        """A loaded model.

        Raises:
            BadInput: it is not loaded.
        """
        model = self._sessions.worker.models.get(name)
        if model is None:
            raise BadInput(f"The model {name} is not loaded. Choose another under Advanced.")
        return model

    def _clip(self, wanted: RunRequest) -> Clip | LiveClip:
        width = self.model(wanted.settings.model).input_width
        most = whole_number(wanted.max_frames, 1, self.limits.max_frames)
        limits = replace(self.limits, max_frames=most)
        if wanted.kind == "camera":
            return LiveClip(CameraFeed(), width, limits, whole=wanted.whole)
        if wanted.kind == "example":
            chosen = EXAMPLES[wanted.example]
            ours = replace(limits, max_bytes=chosen.clip.stat().st_size)  # the limit is on uploads
            clip = open_clip([chosen.clip], width, chosen.frames_per_second, ours)
            return replace(clip, example=chosen.name, truth=chosen.truth)
        uploads = [self._uploads.check(file) for file in wanted.files]
        return open_clip(uploads, width, wanted.rate or None, limits, wanted.whole)


def whole_number(value: float | None, low: int, high: int) -> int:
    """A number field's value, kept within its range."""
    return min(high, max(low, int(value or low)))


class WaitingLine:
    """A line in one event loop.

    Args:
        at_once: who stands first may begin, so many together.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._line: list[object] = []

    @contextmanager
    def join(self) -> Iterator[Callable[[], int]]:
        """A place in the line until the block ends.

        Yields:
            How many must begin or leave before one may; 0: one may now.
        """
        place = object()
        self._line.append(place)
        try:
            yield lambda: max(0, self._line.index(place) + 1 - self._at_once)
        finally:
            self._line.remove(place)
