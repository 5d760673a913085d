"""Every action of the page as a named endpoint, for scripts: see "Use via API" on the page.

Types are documented by the signatures, which Gradio reads. A session's owner token drives it; its
reader token watches and exports. What cannot be done is a `gradio_client.exceptions.AppError`
with one sentence.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Literal

import gradio as gr

from svggt.errors import BadInput
from svggt.exports.exporter import FORMATS, Exporter, FormatName, lacking
from svggt.media.examples import EXAMPLES
from svggt.prediction import MemoryMap
from svggt.scene.marks import distance_of
from svggt.session.progress import Progress
from svggt.session.registry import Sessions
from svggt.session.session import Session
from svggt.settings import AUTO, MemoryPolicy, Storage, StreamSettings
from svggt.view_options import Cameras, ViewOptions
from svggt.web import pictures
from svggt.web.endpoint import GONE, endpoint, owned
from svggt.web.limits import address_of
from svggt.web.run_request import RunRequest, RunStarter
from svggt.web.share_events import export_address
from svggt.web.updates import POLL_SECONDS
from svggt.web.view_events import label_marks


class Api:
    """The endpoints.

    Args:
        sessions: where runs live.
        beginner: begins them.
        exporter: makes files.
    """

    def __init__(self, sessions: Sessions, beginner: RunStarter, exporter: Exporter) -> None:
        self._sessions, self._beginner, self._exporter = sessions, beginner, exporter

    def offer(self) -> None:
        """Registers all endpoints with the blocks that are open."""
        for each in (
            self.describe, self.start, self.resume, self.change_memory, self.stop, self.clear,
            self.delete, self.progress, self.follow, self.frame, self.picture, self.look, self.seek,
            self.look_through, self.reset_view, self.measure, self.set_length, self.track,
            self.export, self.revoke,
        ):  # fmt: skip
            gr.api(endpoint(each), api_name=each.__name__, concurrency_limit=None)

    def describe(self) -> dict[str, Any]:
        """Models, examples and export formats, and how long what is kept."""
        limits = self._sessions.limits
        return {
            "models": {name: m.note for name, m in self._sessions.worker.models.items()},
            "examples": {example.name: example.title for example in EXAMPLES},
            "formats": {name: form.title for name, form in FORMATS.items()},
            "idle_seconds": limits.idle_seconds,
            "keep_seconds": self._sessions.store.keep_seconds,
        }

    def start(
        self,
        source: Literal["example", "upload", "camera"],
        request: gr.Request,
        example: str = EXAMPLES[0].name,
        files: list[dict[str, Any]] | None = None,
        token: str | None = None,
        settings: StreamSettings = StreamSettings(refine=True),
        rate: float | None = None,
        max_frames: int | None = None,
        cameras: Cameras = "refined",
        whole: bool = False,
    ) -> dict[str, Any]:
        """Begin a run, of an example, of files sent by `handle_file`, or of a camera.

        Every run is a session of its own; the session of a token given leaves memory, and stays
        at its links. Tall pictures are cut to a square unless they are wanted whole. Returns its
        tokens, and paths of this site: of the 3D view, of the page for readers, and of the page
        that takes a camera's pictures.
        """
        names = [each.name for each in EXAMPLES]
        if source == "example" and example not in names:
            raise BadInput(f"There is no example {example}. Choose one of {', '.join(names)}.")
        if settings.model == AUTO:
            settings = replace(settings, model=next(iter(self._sessions.worker.models)))
        paths = [str(file.get("path", "")) for file in files or []]
        index = names.index(example) if example in names else 0
        most = self._beginner.limits.max_frames if max_frames is None else max_frames
        wanted = RunRequest(
            source, index, paths, rate, most, whole, settings, ViewOptions(cameras=cameras)
        )
        return _opened(self._beginner.begin(token, wanted, address_of(request)))

    def resume(self, token: str) -> dict[str, Any]:
        """Take a stopped or interrupted run up again; returns what `start` does."""
        return _opened(self._beginner.resume(token))

    def change_memory(
        self,
        token: str,
        memory: MemoryPolicy = "window",
        window: int = 8,
        budget: str = "",
        storage: Storage = "computed",
    ) -> dict[str, Any]:
        """Remember otherwise from the next frame on; what is kept is carried over."""
        session = self._owned(token)
        try:
            chosen = StreamSettings(memory=memory, window=window, budget=budget, storage=storage)
        except ValueError as error:
            raise BadInput(f"{error}.") from None
        session.change_memory(chosen)
        return _plain(session.progress)

    def stop(self, token: str) -> dict[str, Any]:
        """End the run after the frame in hand; returns its progress.

        It is still "running" until its cameras are adjusted, which `follow` shows and another
        stop leaves out.
        """
        session = self._owned(token)
        session.stop()
        return _plain(session.progress)

    def clear(self, token: str) -> None:
        """Take a scene out of memory, its run ended; it stays at its links until its time."""
        session = self._owned(token)
        session.stop()  # by its owner: it is not interrupted
        self._sessions.close(session.token)

    def delete(self, token: str) -> None:
        """Delete a scene, its clip and the files sent for it, now."""
        self._beginner.delete(token)

    def progress(self, token: str) -> dict[str, Any]:
        """State, message, frames done and expected, milliseconds of every frame."""
        return _plain(self._seen(token).progress)

    async def follow(self, token: str) -> AsyncIterator[dict[str, Any]]:
        """The same with every change until the run has ended."""
        await asyncio.to_thread(self._seen, token)
        version = -1
        while True:
            session = self._sessions.get(token) or self._sessions.get(token, "reader")
            if session is None:
                raise BadInput(GONE)
            progress = session.progress
            if progress.version != version:
                version = progress.version
                yield _plain(progress)
            if progress.state != "running":
                return
            await asyncio.sleep(POLL_SECONDS)

    def frame(self, token: str, number: int) -> dict[str, Any]:
        """Both cameras of a frame (from 0), its time, and how well it was tracked."""
        recording = self._seen(token).recording
        prediction = recording.frames.load(number)
        correction = recording.cameras.read().get(number)
        refined = None
        if correction is not None:
            refined = {
                "world_from_cam": correction.world_from_cam.tolist(),
                "focal_over_width": correction.focal,
                "log_scale": correction.log_scale,
                "status": correction.status,
                "inlier_share": correction.inlier_share,
                "agreement": correction.agreement,
            }
        return {
            "time_s": prediction.time_s,
            "seconds": prediction.seconds,
            "memory_bytes": prediction.memory_bytes,
            "head": {
                "world_from_cam": prediction.world_from_cam.tolist(),
                "intrinsics": prediction.intrinsics.tolist(),
            },
            "refined": refined,
        }

    def picture(
        self, token: str, number: int, what: Literal["RGB", "depth", "confidence"] = "RGB"
    ) -> str:
        """A frame's picture (number from 0) as a data: address of a PNG."""
        shown = self._seen(token).recording.frames.load(number)
        return pictures.as_address(pictures.picture(shown, what), "PNG")

    def look(
        self,
        token: str,
        options: ViewOptions = ViewOptions(cameras="refined"),
    ) -> None:
        """Set the 3D view's flags; confirmed: by how many other views points are, 0 to 3."""
        self._owned(token).look(options.within_limits())

    def seek(self, token: str, number: int | None) -> int:
        """Show the moment of a frame (from 0), or always the newest; returns the one shown."""
        session = self._owned(token)
        if number is not None:
            session.recording.frames.load(number)
        session.seek(number)
        return session.scene.moment

    def look_through(self, token: str, number: int) -> None:
        """Put all browsers where a frame's camera is."""
        session = self._owned(token)
        session.recording.frames.load(number)
        session.scene.look_through(number)

    def reset_view(self, token: str) -> None:
        """Take all browsers to where the whole scene is in sight."""
        self._owned(token).scene.reset_view()

    def measure(self, token: str, number: int, u: int, v: int) -> dict[str, Any]:
        """Mark a pixel's point in the scene; with the last one marked it makes a distance.

        Column and row are of the picture that the network saw. The unit is the scene's own.
        """
        session = self._owned(token)
        marks = session.scene.mark(number, u, v)
        label_marks(session, "m")
        return {"marks": [list(mark) for mark in marks], "distance": distance_of(marks)}

    def set_length(self, token: str, metres: float) -> dict[str, Any]:
        """Say how far the two points marked last are apart: exports are in metres from then on.

        By the cameras that the scene shows; 0 takes it back. Returns the metres of the scene's
        own unit of length, null where nobody knows.
        """
        session = self._owned(token)
        session.set_length(metres or None)
        label_marks(session, "m")
        return {"unit_metres": session.recording.metres.get(session.scene.flags.cameras)}

    def track(self, token: str, number: int, u: int, v: int) -> dict[str, Any]:
        """Follow a pixel through the frames after its own, with weights that have a track head."""
        try:
            track = self._owned(token).track(number, (u, v))
        except ValueError as error:
            raise BadInput(str(error)) from None
        return {
            "first": track.first,
            "pixels": track.pixels.tolist(),
            "visibility": track.visibility.tolist(),
        }

    def export(
        self,
        token: str,
        request: gr.Request,
        format: FormatName = "glb",
        cameras: Cameras = "refined",
    ) -> dict[str, Any]:
        """Make a file of the scene; returns where it is fetched, as a path of this site.

        Also what it lacks, a sentence, where the disk became short.
        """
        session, by = self._seen(token), address_of(request)
        path = self._exporter.submit(session.recording, format, cameras, address=by).result()
        address = export_address(session.tokens.reader, format, cameras)
        found = {"address": address, "name": path.name, "bytes": path.stat().st_size}
        return {**found, "lacking": lacking(session.recording)}

    def revoke(self, token: str) -> dict[str, Any]:
        """Give the session another reader token; the old one opens nothing any more."""
        session = self._owned(token)
        self._sessions.revoke(session)
        return _opened(session)

    def _owned(self, token: str) -> Session:
        return owned(self._sessions, token)

    def _seen(self, token: str) -> Session:
        session = self._sessions.find(token) or self._sessions.find(token, "reader")
        if session is None:
            raise BadInput(GONE)
        return session


def _opened(session: Session) -> dict[str, Any]:
    tokens = session.tokens
    return {
        "token": tokens.owner,
        "reader_token": tokens.reader,
        "viewer": f"/viser/{tokens.view}/",
        "link": f"/?s={tokens.reader}",
        "capture": f"/capture/{tokens.capture}/",
    }


def _plain(progress: Progress) -> dict[str, Any]:
    return {
        "state": progress.state,
        "message": progress.message,
        "frames_done": progress.frames_done,
        "total": progress.total,
        "share": progress.share,
        "can_resume": progress.can_resume,
        "milliseconds": [round(1000 * seconds, 1) for seconds in progress.step_seconds],
        "elapsed_s": progress.elapsed_s,
        "tracking": None if progress.tracking is None else progress.tracking.status,
        "loops": sorted(progress.loops.items()),
        "memory": None if progress.memory is None else _remembered(progress.memory),
        "memory_changes": progress.memory_changes,
    }


def _remembered(memory: MemoryMap) -> dict[str, Any]:
    shares = zip(memory.frames.tolist(), memory.of_frames.round(3).tolist(), strict=True)
    return {"frames": list(shares), "tokens": memory.num_tokens, "bytes": memory.nbytes}
