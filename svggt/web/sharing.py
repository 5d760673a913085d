"""Revoking a link, and preparing files to take away."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

from svggt.exports import Exporter
from svggt.frames import BadInput
from svggt.sessions import Sessions
from svggt.web import layout, panels
from svggt.web.limits import origin_of
from svggt.web.updates import Changes, linked

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2


class Cancelled(Exception):
    """Nobody waits for an export any more."""


class ShareEvents:
    """The events of the drawer "Share and take away".

    Args:
        sessions: where runs live.
        exporter: makes files.
    """

    def __init__(self, sessions: Sessions, exporter: Exporter) -> None:
        self._sessions, self._exporter = sessions, exporter

    def wire(self, c: layout.Controls) -> None:
        """Connects a page's controls."""
        self._c = c
        s = c.share
        s.copy_owner.click(
            None, [c.keys], None, js="(keys) => window.svggt.copy(keys)", **layout.PRIVATE
        )
        s.revoke.click(self._revoke, [c.token], [c.keys, s.link, s.export], **layout.PRIVATE)
        outputs = [s.export, s.prepare, s.cancel]
        preparing = s.prepare.click(
            self._prepare, [c.keys, s.format, c.view.cameras], outputs, **layout.PRIVATE
        )
        s.cancel.click(self._cancelled, None, outputs, cancels=[preparing], **layout.PRIVATE)

    def _cancelled(self) -> Changes:
        s = self._c.share
        return {s.export: panels.notice("Cancelled."), **self._idle()}

    def _idle(self) -> Changes:
        s = self._c.share
        return {s.prepare: gr.Button(interactive=True), s.cancel: gr.Button(interactive=False)}

    def _revoke(self, token: str | None, request: gr.Request) -> Changes:
        session = self._sessions.find(token)
        if session is None:
            return {self._c.share.link: ""}
        self._sessions.revoke(session)
        return {
            **linked(self._c, session.tokens, True, origin_of(request)),
            self._c.share.export: panels.notice("The old link opens nothing any more."),
        }

    async def _prepare(self, keys: str, name: Any, cameras: Any) -> AsyncIterator[Changes]:
        """Makes a file, says how far it is, and then where it is."""
        reader, done, cancelled = keys.partition(" ")[0], [0], threading.Event()

        def on_frame(number: int) -> None:
            done[0] = number + 1
            if cancelled.is_set():
                raise Cancelled

        s = self._c.share
        yield {s.prepare: gr.Button(interactive=False), s.cancel: gr.Button(interactive=True)}
        try:
            recording = self._sessions.recording(reader, "reader")
            if recording is None:
                raise BadInput("This scene is not here any more. Press Start for a new one.")
            future = self._exporter.submit(recording, name, cameras, on_frame)
            while not future.done():
                waits = "Preparing" if done[0] else "Waiting for other exports"
                yield {s.export: panels.notice(f"{waits}: frame {done[0]}.")}
                await asyncio.sleep(_LOOK_SECONDS)
            path = future.result()
            address = export_address(reader, name, cameras)
            said = panels.download(address, path.name, path.stat().st_size)
        except BadInput as error:
            said = panels.failure(str(error))
        except Exception:  # the last line before a visitor
            log.exception("export failed")
            said = panels.failure("This file could not be made: an error of ours. Try another.")
        finally:
            cancelled.set()
        yield {s.export: said, **self._idle()}


def export_address(reader_token: str, name: str, cameras: str) -> str:
    """Where an export is fetched, as a path of this site."""
    return f"/export/{reader_token}/{name}/{cameras}"


def export_routes(sessions: Sessions, exporter: Exporter) -> APIRouter:
    """`/export/{token}/{format}/{cameras}`: a file, made unless it is there."""
    router = APIRouter()

    @router.get("/export/{token}/{name}/{cameras}")
    async def export(token: str, name: Any, cameras: Any) -> FileResponse:
        path = await _made(sessions, exporter, token, name, cameras)
        return FileResponse(path, filename=path.name, media_type="application/octet-stream")

    return router


async def shared_replay(sessions: Sessions, exporter: Exporter, token: str) -> Path:
    """The replay that a reader's token opens.

    Raises:
        HTTPException: 404 for unknown, expired and revoked.
    """
    return await _made(sessions, exporter, token, "viser", None)


async def _made(
    sessions: Sessions, exporter: Exporter, token: str, name: Any, cameras: Any
) -> Path:
    """An export, waited for without a thread; by the run's own cameras if none are named."""
    recording = sessions.recording(token, "reader")
    about = None if recording is None else recording.about
    if recording is None or about is None:
        raise HTTPException(404)
    try:
        wanted = cameras or about.look.cameras
        return await asyncio.wrap_future(exporter.submit(recording, name, wanted))
    except BadInput as error:
        raise HTTPException(404, str(error)) from None
