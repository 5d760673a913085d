"""Revoking a link, and preparing files to take away."""

from __future__ import annotations

import asyncio
import logging
import mimetypes
import os
import threading
import zipfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, Response

from svggt.errors import BadInput, Busy, Cancelled, DamagedFrame
from svggt.exports.exporter import Exporter, lacking
from svggt.media.examples import EXAMPLES
from svggt.session.registry import Sessions
from svggt.web import layout, panels, pictures
from svggt.web.limits import address_of, origin_of
from svggt.web.run_request import RunStarter
from svggt.web.updates import POLL_SECONDS, Changes, emptied, linked

log = logging.getLogger(__name__)

_NOTHING_YET = np.full((1, 1, 3), 128, np.uint8)
_REPORT_HEADERS = {  # it runs nothing, and fetches nothing from elsewhere
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'"
    ),
    "Cache-Control": "no-store",
}


class ShareEvents:
    """The events of the drawer "Share & export".

    Args:
        sessions: where runs live.
        beginner: begins and deletes them.
        exporter: makes files.
    """

    def __init__(self, sessions: Sessions, beginner: RunStarter, exporter: Exporter) -> None:
        self._sessions, self._beginner, self._exporter = sessions, beginner, exporter

    def wire(self, c: layout.Controls) -> None:
        """Connects a page's controls."""
        self._c = c
        s = c.share
        s.copy_owner.click(
            None, [c.keys], None, js="(keys) => window.svggt.copyOwner(keys)", **layout.PRIVATE
        )
        # Copied by the click itself, as browsers ask for; what is copied comes after it.
        looking = s.copy_view.click(
            self._eye,
            [c.keys],
            [s.eye],
            js="(keys) => window.svggt.copyView(keys)",
            **layout.PRIVATE,
        )
        told = "(eye) => window.svggt.lookFrom(eye)"
        looking.then(None, [s.eye], None, js=told, **layout.PRIVATE)
        s.revoke.click(
            self._revoke,
            [c.keys],
            [c.keys, s.link, s.embedding, s.export],
            js="(keys) => window.svggt.revoked(keys)",
            **layout.PRIVATE,
        )
        outputs = [s.export, s.prepare, s.cancel, c.view.film]
        asked = [c.keys, s.format, c.view.cameras]
        preparing = s.prepare.click(self._prepare, asked, outputs, **layout.PRIVATE)
        opened = c.view.film.click(
            self._open_for_film, None, [s.drawer, s.format], **layout.PRIVATE
        )
        filming = opened.then(
            self._prepare,
            asked,
            outputs,
            js="(...asked) => window.svggt.showExport(asked)",
            **layout.PRIVATE,
        )
        s.delete.click(
            self._delete,
            [c.keys, c.source.example],
            c.followed,
            js="(keys, example) => window.svggt.confirmed(keys, example)",
            **layout.PRIVATE,
        )
        s.cancel.click(
            self._cancelled, None, outputs, cancels=[preparing, filming], **layout.PRIVATE
        )

    def _open_for_film(self) -> Changes:
        return {self._c.share.drawer: gr.Accordion(open=True), self._c.share.format: "film"}

    def _cancelled(self) -> Changes:
        s = self._c.share
        return {s.export: panels.notice("Cancelled."), **self._buttons(busy=False)}

    def _buttons(self, busy: bool) -> Changes:
        c, s = self._c, self._c.share
        return {
            s.prepare: gr.Button(interactive=not busy),
            c.view.film: gr.Button(interactive=not busy),
            s.cancel: gr.Button(interactive=busy),
        }

    def _eye(self, keys: str) -> str:
        """Where the owner's browser looks from, as a link says it; see `web.replay`.

        Nothing while other cameras are shown than a replay has: those have a world of their own.
        """
        owner = keys.partition(" ")[2]
        session = self._sessions.get(owner) if owner else None
        about = None if session is None else session.recording.about
        if session is None or about is None or about.look.cameras != session.scene.flags.cameras:
            return ""
        eye = session.scene.seen_from()
        if eye is None:
            return ""
        return ",".join(f"{x:.4f}" for x in (*eye.position, *eye.target, *eye.up, eye.fov))

    def _revoke(self, keys: str, request: gr.Request) -> Changes:
        """Revokes the reader's key, if its owner meant it."""
        owner = keys.partition(" ")[2]
        try:
            session = self._sessions.find(owner) if owner else None
        except BadInput as error:
            return {self._c.share.export: panels.failure(str(error))}
        if session is None:
            return {self._c.share.export: gr.skip()}
        self._sessions.revoke(session)
        return {
            **linked(self._c, session.tokens, True, origin_of(request)),
            self._c.share.export: panels.notice("The old link opens nothing any more."),
        }

    def _delete(self, keys: str, example: int) -> Changes:
        """Deletes the scene that the page shows, if its owner meant it."""
        owner = keys.partition(" ")[2]
        if not owner:
            return {self._c.status: gr.skip()}
        try:
            self._beginner.delete(owner)
        except BadInput as error:
            return {self._c.share.kept: panels.failure(str(error))}
        return emptied(self._c, EXAMPLES[example], "Deleted: scene, clip and links are no more.")

    async def _prepare(
        self, keys: str, name: Any, cameras: Any, request: gr.Request
    ) -> AsyncIterator[Changes]:
        """Makes a file, says how far it is, and then where it is."""
        s, reader = self._c.share, keys.partition(" ")[0]
        yield self._buttons(busy=True)
        by = address_of(request)
        async for text, path in prepared(self._sessions, self._exporter, reader, name, cameras, by):
            said = text
            if path is not None:
                address = export_address(reader, name, cameras)
                recording = self._sessions.recording(reader, "reader")
                said = panels.download(
                    address,
                    path.name,
                    path.stat().st_size,
                    "" if recording is None else lacking(recording),
                )
            yield {s.export: said}
        yield self._buttons(busy=False)


async def prepared(
    sessions: Sessions, exporter: Exporter, reader_token: str, name: Any, cameras: Any, address: str
) -> AsyncIterator[tuple[str, Path | None]]:
    """Makes an export; ends it where nobody waits any more.

    Args:
        sessions: where runs live.
        exporter: makes it.
        reader_token: of the session.
        name: of `FORMATS`.
        cameras: which.
        address: of who asks.

    Yields:
        What there is to say, as HTML, and at last the file, if all went well.
    """
    done, cancelled = [0], threading.Event()

    def on_frame(number: int) -> None:
        done[0] = number + 1
        if cancelled.is_set():
            raise Cancelled

    try:
        if not reader_token:
            raise BadInput("There is nothing to export yet. Press Start first.")
        recording = sessions.recording(reader_token, "reader")
        if recording is None:
            raise BadInput("This scene has expired, its link was revoked, or it was deleted.")
        future = exporter.submit(recording, name, cameras, on_frame, address)
        while not future.done():
            waits = "Preparing" if done[0] else "Waiting for other exports"
            yield panels.notice(f"{waits}: frame {done[0]}."), None
            await asyncio.sleep(POLL_SECONDS)
        yield "", future.result()
    except BadInput as error:
        yield panels.failure(str(error)), None
    except Exception:  # the last line before a visitor
        log.exception("export failed")
        yield (
            panels.failure(
                "This file could not be made: something went wrong on our side. Try another."
            ),
            None,
        )
    finally:
        cancelled.set()


def export_address(reader_token: str, name: str, cameras: str) -> str:
    """Where an export is fetched, as a path of this site."""
    return f"/export/{reader_token}/{name}/{cameras}"


def export_routes(sessions: Sessions, exporter: Exporter) -> APIRouter:
    """`/export/{token}/{format}/{cameras}`: a file, made unless it is there.

    `/thumbnail/{token}` is the first frame, small; one grey pixel before there is one.
    """
    router = APIRouter()

    @router.get("/export/{token}/{name}/{cameras}")
    async def export(token: str, name: Any, cameras: Any, request: Request) -> FileResponse:
        path = await _made(sessions, exporter, token, name, cameras, address_of(request))
        return FileResponse(path, filename=path.name, media_type="application/octet-stream")

    @router.get("/thumbnail/{token}")
    async def thumbnail(token: str) -> Response:
        recording = sessions.recording(token, "reader")
        if recording is None:
            raise HTTPException(404)
        shown = _NOTHING_YET
        with suppress(KeyError, DamagedFrame):
            shown = (await asyncio.to_thread(recording.frames.load, 0)).image
        content = await asyncio.to_thread(pictures.small, shown)
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    return router


def report_routes(sessions: Sessions, exporter: Exporter) -> APIRouter:
    """`/report/{token}/`: a comparison's report, and the files beside it."""
    router = APIRouter()

    @router.get("/report/{token}/{name:path}")
    async def report(token: str, name: str) -> Response:
        path = await _made(sessions, exporter, token, "comparison", "head")
        wanted = name or "report.html"
        content = await asyncio.to_thread(_read_zipped, path, wanted)
        kind, _ = mimetypes.guess_type(wanted)
        return Response(content, media_type=kind, headers=_REPORT_HEADERS)

    return router


def _read_zipped(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        if name not in archive.namelist():
            raise HTTPException(404)
        return archive.read(name)


async def shared_replay(sessions: Sessions, exporter: Exporter, token: str) -> Path:
    """The replay that a reader's token opens.

    Raises:
        HTTPException: 404 for unknown, expired and revoked.
    """
    return await _made(sessions, exporter, token, "viser", None)


async def _made(
    sessions: Sessions,
    exporter: Exporter,
    token: str,
    name: Any,
    cameras: Any,
    address: str = "",
) -> Path:
    """An export, waited for without a thread; by the run's own cameras if none are named."""
    recording = sessions.recording(token, "reader")
    about = None if recording is None else recording.about
    if recording is None or about is None:
        raise HTTPException(404)
    try:
        wanted = cameras or about.look.cameras
        return await asyncio.wrap_future(exporter.submit(recording, name, wanted, address=address))
    except Busy as error:
        raise HTTPException(503, str(error), {"Retry-After": "60"}) from None
    except BadInput as error:
        raise HTTPException(404, str(error)) from None


_PRIVACY = (
    "What you send is decoded and computed on this server and goes to nobody else. Whoever has a "
    "scene’s link sees the scene, and can export its pictures, up to 2 000 pixels wide. It is "
    "deleted at these times, or at once by “Delete this scene and its clip now”; logs hold no "
    "links and no pictures."
)
_EPHEMERAL = (
    "This Space’s disk is ephemeral: a restart or a sleep loses every scene. Take away what you "
    "want to keep."
)
_LASTING = (
    "After a restart of the server finished scenes are here again, and others can be resumed."
)


def retention_of(sessions: Sessions) -> str:
    """The table as HTML, with what this server's disk is like."""
    limits = sessions.limits
    rows = {
        "A scene in memory that nobody looks at": _duration(limits.idle_seconds),
        "A scene in memory, at most": _duration(limits.max_seconds),
        "A scene on disk, with its clip, after its run": _duration(sessions.store.keep_seconds),
        "An upload itself, until somebody uses the page after": _duration(3600),
    }
    return panels.retention(rows, _PRIVACY, _EPHEMERAL if "SPACE_ID" in os.environ else _LASTING)


def _duration(seconds: float) -> str:
    """In the largest unit that it has at least two of."""
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length or (unit == "hours" and seconds >= 3600):
            return f"{seconds / length:.3g} {unit}".replace("1 hours", "1 hour")
    return f"{seconds:.3g} seconds"
