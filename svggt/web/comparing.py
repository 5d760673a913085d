"""Offline VGGT beside the stream: a second view that follows the first, and figures of both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import gradio as gr

from svggt.beside import BesideProgress
from svggt.frames import BadInput
from svggt.session import Session
from svggt.web import layout, panels
from svggt.web.updates import Changes

BESIDE = ".offline"
"""After the view's token: the socket of the scene beside."""

_WATCH_SECONDS = 0.3


class CompareEvents:
    """The events of a comparison.

    Args:
        find: the session of an owner's token.
    """

    def __init__(self, find: Callable[[str | None], Session | None]) -> None:
        self._find = find

    def wire(self, c: layout.Controls) -> None:
        """Connects a page's controls."""
        self._c = c
        outputs = [c.view.offline, c.beside.figures, c.beside.compare, c.beside.cancel]
        c.beside.compare.click(self._compare, [c.token], outputs, **layout.PRIVATE)
        c.beside.cancel.click(self._cancel, [c.token], None, **layout.PRIVATE)

    async def _compare(self, token: str | None) -> AsyncIterator[Changes]:
        """Begins an offline run and follows it; the stream goes on."""
        b = self._c.beside
        session = await asyncio.to_thread(self._find, token)
        try:
            if session is None:
                raise BadInput("There is nothing to compare yet. Press Start first.")
            beside = await asyncio.to_thread(session.compare)
        except BadInput as error:
            yield {b.figures: panels.failure(str(error))}
            return
        busy = {b.compare: gr.Button(interactive=False), b.cancel: gr.Button(interactive=True)}
        yield {self._c.view.offline: "", b.figures: panels.compared(beside.progress), **busy}
        while beside.progress.state == "running":
            await asyncio.sleep(_WATCH_SECONDS)
        if session.beside is not beside:  # another run began, or the scene was cleared
            return
        yield {
            self._c.view.offline: self._view(session, beside.progress),
            b.figures: panels.compared(beside.progress),
            b.compare: gr.Button(interactive=True),
            b.cancel: gr.Button(interactive=False),
        }

    def _cancel(self, token: str | None) -> None:
        session = self._find(token)
        if session is not None and session.beside is not None:
            session.beside.cancel()

    def _view(self, session: Session, progress: BesideProgress) -> str:
        if progress.state != "finished":
            return ""
        return panels.viewer(f"/viser/{session.tokens.view}{BESIDE}/", "Offline VGGT's 3D scene")
