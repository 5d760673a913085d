"""A run beside another one: a second view that follows the first, figures, pictures, a report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr
import pandas as pd
from PIL import Image

from svggt.compare.aligned_frames import Paint
from svggt.compare.comparison import Comparison
from svggt.compare.request import ComparisonProgress, ComparisonRequest
from svggt.compare.run_config import RunConfig
from svggt.errors import BadInput, DamagedFrame
from svggt.exports.exporter import Exporter
from svggt.media import lens
from svggt.session.registry import Sessions
from svggt.session.session import Session
from svggt.settings import AUTO
from svggt.web import layout, panels, pictures
from svggt.web.compare_drawer import SLIDER
from svggt.web.limits import address_of
from svggt.web.replay import report_address
from svggt.web.share_events import export_address, prepared
from svggt.web.updates import POLL_SECONDS, Changes

B_SUFFIX = ".beside"
"""After the view's token: the socket of the scene beside."""

_UNFOLDS_SECONDS = 0.5  # a drawer that opens takes no value before it has


def compare_as(
    session: Session,
    offered: Sequence[str],
    way: RunConfig,
    every: float | None,
    frames: float | None,
) -> Comparison:
    """Begins what the page or a script asks for.

    Args:
        session: whose run is A.
        offered: names of weights that can be had.
        way: how B is computed; the model `auto` is A's, and cameras that are looked at are refined.
        every: begin again with every so many frames; 0 or None: once.
        frames: the first so many; 0 or None: all.

    Raises:
        BadInput: a number is negative, weights are not offered, or it cannot begin.
    """
    about = session.recording.about
    if about is None:
        raise BadInput("There is nothing to compare yet. Press Start first.")
    if min(every or 0, frames or 0) < 0:
        raise BadInput("Frames and how often B begins again are 0 or more.")
    model = about.settings.model if way.settings.model == AUTO else way.settings.model
    if model not in {about.settings.model, *offered}:
        raise BadInput(f"There is no model {model}. Choose one of {', '.join(offered)}.")
    refine = way.settings.refine or way.cameras == "refined"
    across = 1.0 if about.clip is None else about.clip.across
    view = lens.known(way.settings.field_of_view, about.settings.field_of_view, across)
    settings = replace(way.settings.within_limits(), model=model, refine=refine, field_of_view=view)
    way = replace(way, settings=settings)
    return session.compare(
        ComparisonRequest(way, int(every or 0) or None, int(frames or 0) or None)
    )


class CompareEvents:
    """The events of a comparison.

    Args:
        sessions: where runs live.
        exporter: makes reports.
        find: the session of an owner's token.
    """

    def __init__(
        self, sessions: Sessions, exporter: Exporter, find: Callable[[str | None], Session | None]
    ) -> None:
        self._sessions, self._exporter, self._find = sessions, exporter, find

    def wire(self, c: layout.Controls) -> None:
        """Connects a page's controls."""
        self._c = c
        b = c.compare
        outputs = [
            c.view.beside, b.drawer, b.begin, b.cancel, b.figures, *b.plots, b.results,
            c.view.painted, c.view.paint, c.view.legend, b.slider, b.strip, b.what, b.both,
            b.report,
        ]  # fmt: skip
        frame = [c.token, c.view.moment, b.what]
        b.begin.click(self._begin, {c.token, b.what, *b.other.all}, outputs, **layout.PRIVATE)
        c.token.change(self._arrive, [c.token, b.what], outputs, **layout.PRIVATE)
        v = c.view
        v.paint.input(self._paint, [c.token, v.paint], [v.legend], **layout.PRIVATE)
        for part in (b.what.input, c.view.moment.input):
            part(
                self._frame, frame, [b.slider, b.strip, b.what], trigger_mode="always_last",
                **layout.PRIVATE,
            )  # fmt: skip
        b.picture.click(self._picture, [c.token], [b.both, b.report], **layout.PRIVATE)
        reported = [b.report, b.make_report, b.cancel_report]
        reporting = b.make_report.click(self._report, [c.keys], reported, **layout.PRIVATE)
        b.cancel_report.click(
            self._cancel_report, None, reported, cancels=[reporting], **layout.PRIVATE
        )
        b.cancel.click(self._cancel, [c.token], None, **layout.PRIVATE)

    async def _begin(self, values: Changes) -> AsyncIterator[Changes]:
        """Begins another run and follows it; the stream goes on."""
        b = self._c.compare
        try:
            session = await asyncio.to_thread(self._find, values[self._c.token])
            if session is None:
                raise BadInput("There is nothing to compare yet. Press Start first.")
            await asyncio.to_thread(self._compare, session, values)
        except BadInput as error:
            yield {b.figures: panels.failure(str(error))}
            return
        yield {self._c.view.beside: "", b.figures: "", **self._emptied()}
        async for changes in self._follow(session, values[b.what]):
            yield changes

    def _compare(self, session: Session, values: Changes) -> None:
        other, offered = self._c.compare.other, self._sessions.worker.models.offered
        cameras = values[other.cameras]
        settings = other.settings.read(values, refine=cameras == "refined")
        way = RunConfig(values[other.mode], settings, cameras)
        compare_as(session, offered, way, values[other.every], values[other.frames])

    async def _arrive(self, token: str | None, what: str) -> AsyncIterator[Changes]:
        """Shows the comparison of a session that was opened, if there is one."""
        b, session = self._c.compare, self._sessions.get(token)
        if session is None or session.comparison is None:
            yield {self._c.view.beside: "", b.figures: "", **self._emptied()}
            return
        paint = session.comparison.paint
        yield {
            b.drawer: gr.Accordion(open=True),
            self._c.view.paint: paint,
            self._c.view.legend: panels.legend(paint),
        }
        await asyncio.sleep(_UNFOLDS_SECONDS)
        async for changes in self._follow(session, what):
            yield changes

    async def _follow(self, session: Session, what: str) -> AsyncIterator[Changes]:
        """What is known of a session's comparison, until it has ended or another one began."""
        b, comparison, version, shown = self._c.compare, session.comparison, -1, 0
        while comparison is not None and session.comparison is comparison:
            progress = comparison.progress
            if progress.version != version:
                version = progress.version
                frames = 0 if progress.outcome is None else progress.outcome.frames
                changes = self._watched(session, progress)
                if frames and not shown:
                    changes[self._c.view.beside] = panels.viewer(
                        f"/viser/{session.tokens.view}{B_SUFFIX}/", "3D scene of B"
                    )
                if frames != shown:
                    moment = session.scene.moment
                    changes |= await asyncio.to_thread(self._pictures, comparison, moment, what)
                    shown = frames
                yield changes
            if progress.state != "running":
                return
            await asyncio.sleep(POLL_SECONDS)
        if session.comparison is None:  # the run was begun anew, or cleared
            yield {b.figures: "", **self._emptied()}

    def _watched(self, session: Session, progress: ComparisonProgress) -> Changes:
        b, running = self._c.compare, progress.state == "running"
        latency, total = b.plots
        table = _latencies(session, progress)
        return {
            b.figures: panels.compared(progress),
            b.begin: gr.Button(interactive=not running),
            b.cancel: gr.Button(interactive=running),
            latency: table,
            total: table,
            b.results: gr.Column(visible=bool(progress.latencies)),
            self._c.view.painted: gr.Row(visible=progress.outcome is not None),
        }

    def _emptied(self) -> Changes:
        """As before any comparison."""
        b = self._c.compare
        return {
            b.begin: gr.Button(interactive=True),
            b.cancel: gr.Button(interactive=False),
            b.results: gr.Column(visible=False),
            self._c.view.painted: gr.Row(visible=False),
            self._c.view.paint: "side by side",
            self._c.view.legend: panels.legend("side by side"),
            b.both: gr.Image(None, visible=False),
            b.report: "",
        }

    def _cancel(self, token: str | None) -> None:
        comparison = self._comparison(token)
        if comparison is not None:
            comparison.cancel()

    def _cancel_report(self) -> Changes:
        return {self._c.compare.report: panels.notice("Cancelled."), **self._reporting(busy=False)}

    def _reporting(self, busy: bool) -> Changes:
        b = self._c.compare
        return {
            b.make_report: gr.Button(interactive=not busy),
            b.cancel_report: gr.Button(visible=busy),
        }

    def _paint(self, token: str | None, paint: Paint) -> str:
        comparison = self._comparison(token)
        if comparison is not None:
            comparison.paint_as(paint)
        return panels.legend(paint)

    def _frame(self, token: str | None, moment: float, what: str) -> Any:
        comparison = self._comparison(token)
        found = {} if comparison is None else self._pictures(comparison, int(moment) - 1, what)
        return found or {self._c.compare.strip: gr.skip()}

    def _pictures(self, comparison: Comparison, moment: int, what: str) -> Changes:
        """Slider and strip of a frame, or of the last one that was compared."""
        last = comparison.scene.num_frames - 1
        shown = max(0, min(moment, last))
        try:
            both = pictures.of_both(*comparison.pair(shown))
        except (KeyError, DamagedFrame):
            return {}
        b = self._c.compare
        under, over = (
            pictures.enlarged(Image.fromarray(both[name]))
            for name in SLIDER.get(what, SLIDER["depth"])
        )
        title = f"Frame {shown + 1}" + (", the last that was compared" if moment > last else "")
        return {
            b.slider: (under, over),
            b.strip: panels.strip(both, f"of frame {shown + 1}"),
            b.what: gr.Radio(label=title),
        }

    def _picture(self, token: str | None) -> Changes:
        b, comparison = self._c.compare, self._comparison(token)
        if comparison is None:
            return {b.report: ""}
        try:
            return {b.both: gr.Image(comparison.picture(), visible=True)}
        except BadInput as error:
            return {b.report: panels.failure(str(error))}

    async def _report(self, keys: str, request: gr.Request) -> AsyncIterator[Changes]:
        b, reader = self._c.compare, keys.partition(" ")[0]
        yield self._reporting(busy=True)
        async for said, path in prepared(
            self._sessions, self._exporter, reader, "comparison", "head", address_of(request)
        ):
            text = said
            if path is not None:
                address = export_address(reader, "comparison", "head")
                size = path.stat().st_size
                text = panels.report(report_address(reader), path.name, address, size)
            yield {b.report: text}
        yield self._reporting(busy=False)

    def _comparison(self, token: str | None) -> Comparison | None:
        session = self._find(token)
        return None if session is None else session.comparison


def _latencies(session: Session, progress: ComparisonProgress) -> pd.DataFrame:
    """Of both so far, a row a point of the plots."""
    rows, total = [], 0.0
    for number, seconds in enumerate(session.progress.step_seconds, start=1):
        total += seconds
        rows.append(("A", number, 1000 * seconds, total))
    rows += [("B", each.frames, 1000 * each.seconds, each.total_s) for each in progress.latencies]
    if len(progress.latencies) == 1:  # a point alone is no line: it stands on the axis
        rows.append(("B", progress.latencies[0].frames, 0.0, 0.0))
    return pd.DataFrame(rows, columns=["run", "frames", "ms", "s"])
