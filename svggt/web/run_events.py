"""What starts, resumes, stops and clears a run, and what follows it.

Whoever opens the page by a session's address comes back to it: its owner with all controls, a
reader without.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import cast

import gradio as gr

from svggt.engine.recorded_stream import MEMORY_FIXED
from svggt.errors import BadInput
from svggt.media.examples import EXAMPLES
from svggt.session.progress import Progress
from svggt.session.registry import Role, Sessions
from svggt.session.session import Session
from svggt.view_options import Cameras
from svggt.web import layout, panels, view_controls
from svggt.web.capture import panel
from svggt.web.limits import address_of, origin_of
from svggt.web.run_request import RunRequest, RunStarter, WaitingLine
from svggt.web.updates import (
    POLL_SECONDS,
    Changes,
    SessionWatcher,
    emptied,
    opened,
    refused,
    uncompared,
    watched,
)
from svggt.web.view_events import look_of

log = logging.getLogger(__name__)

_BEGINNINGS = 4  # clips that are probed, or sessions read from disk, at once
_ENDED = "This scene has left memory. Reload the page to open it again, or press Start."
_CLEARED = "Cleared. The last scene stays at its own links until it expires; Share deletes a scene."
_GONE = (
    "This scene has expired, its link was revoked, or it was deleted. Press Start for a new one."
)


class RunEvents:
    """The events of a run.

    Args:
        sessions: where runs live.
        beginner: begins them.
        why: a sentence about the cameras shown, of a model by its name.
    """

    def __init__(
        self, sessions: Sessions, beginner: RunStarter, why: Callable[[Cameras, str], str]
    ) -> None:
        self._sessions, self._beginner, self._why = sessions, beginner, why
        self._line = WaitingLine(_BEGINNINGS)

    def wire(self, blocks: gr.Blocks, c: layout.Controls) -> None:
        """Connects a page's controls."""
        self._c = c
        a, v = c.advanced, c.view
        inputs = {
            c.token, c.source.kind, c.source.example, c.source.files, c.source.whole,
            a.rate, a.max_frames, *a.settings.all, *v.look,
        }  # fmt: skip
        c.start.click(self._start, inputs, c.followed, **layout.PRIVATE)
        c.resume.click(self._resume, [c.token], c.followed, **layout.PRIVATE)
        c.stop.click(self._stop, [c.token], None, **layout.PRIVATE)
        c.clear.click(self._clear, [c.token, c.source.example], c.followed, **layout.PRIVATE)
        chosen = {c.token, *a.settings.all}
        a.change.click(self._change_memory, chosen, [a.changed], **layout.PRIVATE)
        arrive, keep = "() => window.svggt.arrive()", "(keys) => window.svggt.keep(keys)"
        c.again.click(self._look_again, [c.token, c.keys], c.followed, **layout.PRIVATE)
        blocks.load(self._arrive, [c.keys], c.followed, js=arrive, **layout.PRIVATE)
        c.keys.change(None, [c.keys], None, js=keep, **layout.PRIVATE)

    async def _start(self, values: Changes, request: gr.Request) -> AsyncIterator[Changes]:
        """Begins a run and follows it. A refusal is one sentence, and nothing else changes."""
        token = values[self._c.token]
        begin = lambda: self._beginner.begin(  # noqa: E731
            token, self._asked(values), address_of(request)
        )
        async for changes in self._begun(begin, token, request):
            yield changes

    def _asked(self, values: Changes) -> RunRequest:
        """What the page's inputs say.

        Raises:
            BadInput: a setting is none of its kind.
        """
        source, advanced = self._c.source, self._c.advanced
        return RunRequest(
            kind=values[source.kind],
            example=values[source.example],
            files=values[source.files] or [],
            rate=values[advanced.rate],
            max_frames=values[advanced.max_frames],
            whole=bool(values[source.whole]),
            settings=advanced.settings.read(values, refine=True),
            look=look_of(self._c.view, values),
        )

    async def _resume(self, token: str | None, request: gr.Request) -> AsyncIterator[Changes]:
        session = self._sessions.get(token)
        if session is not None and session.running:  # another tab of its owner was first
            async for changes in self._watch(session.token, owns=True):
                yield changes
            return
        begin = lambda: self._beginner.resume(token)  # noqa: E731
        async for changes in self._begun(begin, token, request):
            yield changes

    async def _begun(
        self, begin: Callable[[], Session], token: str | None, request: gr.Request
    ) -> AsyncIterator[Changes]:
        try:
            with self._line.join() as place:
                async for waited in self._waited(place):
                    yield waited
                session = await asyncio.to_thread(begin)
        except BadInput as error:
            yield refused(self._c, str(error))
            return
        except Exception:  # the last line before a visitor
            log.exception("start failed")
            yield refused(
                self._c,
                "This could not be started: something went wrong on our side. Try Start again.",
            )
            return
        watcher = self._watcher(session, owns=True)
        changes = await asyncio.to_thread(watched, self._c, watcher, session.progress)
        if session.comparison is None:
            changes |= uncompared(self._c)
        if session.token != token:  # the view of a known session stays: it would be reloaded
            changes |= self._opened(watcher, request)
        if session.camera is not None:
            changes[self._c.source.camera] = panel(session.tokens.capture, origin_of(request))
        yield changes
        async for changes in self._watch(session.token, owns=True):
            yield changes

    async def _waited(self, place: Callable[[], int]) -> AsyncIterator[Changes]:
        """Says at once that a beginning is under way, and how many are before it."""
        told = None
        while (before := place()) or told is None:
            if before != told:
                told = before
                message = f"{before} before you." if before else "Looking at the clip."
                yield {self._c.status: panels.status(Progress(message=message))}
            if before:
                await asyncio.sleep(POLL_SECONDS)

    async def _arrive(self, keys: str, request: gr.Request) -> AsyncIterator[Changes]:
        """Shows what the page's address names, if anything."""
        reader, _, owner = (keys or "").partition(" ")
        if not reader:
            yield {self._c.status: gr.skip()}  # without a value Gradio would empty all outputs
            return
        try:
            with self._line.join() as place:
                async for _ in self._waited(place):
                    pass
                # The owner's first: it is good after the reader's was revoked.
                session = await asyncio.to_thread(self._sessions.find, owner)
                owns = session is not None
                if not owns:
                    session = await asyncio.to_thread(self._sessions.find, reader, "reader")
        except BadInput as error:
            yield self._without_scene(str(error))
            return
        if session is None:
            yield self._without_scene(_GONE) | {self._c.keys: ""}
            return
        watcher = self._watcher(session, owns)
        changes = await asyncio.to_thread(watched, self._c, watcher, session.progress)
        yield changes | self._opened(watcher, request)
        if session.running:
            token = session.tokens.owner if owns else reader
            async for changes in self._watch(token, owns):
                yield changes

    async def _look_again(
        self, token: str | None, keys: str, request: gr.Request
    ) -> AsyncIterator[Changes]:
        """The page is looked at again; another tab may have resumed its scene, or cleared it."""
        session = self._sessions.get(token)
        if session is None:
            shown = self._arrive(keys, request)
        else:
            shown = self._watch(session.token, owns=True)
        async for changes in shown:
            yield changes

    def _without_scene(self, sentence: str) -> Changes:
        """Says why a link shows nothing; the first example plays instead."""
        view = self._c.view
        first = EXAMPLES[0]
        return {
            **refused(self._c, sentence),
            view.frame: view_controls.replay_of(first),
            view.why: f"<p>{view_controls.replay_title(first)}.</p>",
        }

    async def _watch(self, token: str, owns: bool) -> AsyncIterator[Changes]:
        """Follows a run until it ends, or its session does."""
        version, role = -1, cast(Role, "owner" if owns else "reader")
        last: Session | None = None
        while (session := self._sessions.get(token, role)) is not None:
            last, progress = session, session.progress
            if progress.version != version:
                version = progress.version
                watcher = self._watcher(session, owns)
                # In a thread: it encodes pictures.
                changes = await asyncio.to_thread(watched, self._c, watcher, progress)
                if owns and session.dismissed:
                    return
                yield changes
            if progress.state != "running" and not session.leaves:
                return
            await asyncio.sleep(POLL_SECONDS)
        if owns and last is not None and last.dismissed:
            return
        if not owns:  # its owner went on to another scene: this one is on disk, and replays
            try:
                session = await asyncio.to_thread(self._sessions.find, token, role)
            except BadInput:
                session = None
            if session is not None:
                watcher = self._watcher(session, owns)
                yield await asyncio.to_thread(watched, self._c, watcher, session.progress)
                return
        yield watched(self._c, None, Progress(message=_ENDED if owns else _GONE))

    def _stop(self, token: str | None) -> None:
        session = self._sessions.get(token)
        if session is not None:
            session.stop()

    def _change_memory(self, values: Changes) -> str:
        """The run under way remembers otherwise; says from which frame on, or why not."""
        session = self._sessions.get(values[self._c.token])
        try:
            if session is None:
                raise BadInput(MEMORY_FIXED)
            session.change_memory(self._c.advanced.settings.read(values, refine=True))
        except BadInput as error:
            return panels.failure(str(error))
        number, how = session.progress.memory_changes[-1]
        return panels.notice(f"From frame {number + 1} on: {how}.")

    def _clear(self, token: str | None, example: int) -> Changes:
        """Leaves a scene, which stays at its link; the page is as it was before any."""
        kept = self._sessions.recording(token, "owner")
        self._beginner.leave(token)
        message = _CLEARED if kept is not None and kept.has_run else ""
        return emptied(self._c, EXAMPLES[example], message)

    def _watcher(self, session: Session, owns: bool) -> SessionWatcher:
        return SessionWatcher(session, owns, self._sessions.kept_until(session))

    def _opened(self, watcher: SessionWatcher, request: gr.Request) -> Changes:
        session = watcher.session
        about = session.recording.about
        model = about.settings.model if about is not None else ""
        why = self._why(session.scene.flags.cameras, model)
        return opened(self._c, watcher, origin_of(request), why)
