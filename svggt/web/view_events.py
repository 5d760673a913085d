"""What the controls below the 3D view do: flags, timeline, eye, measuring."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

import gradio as gr

from svggt.errors import BadInput, DamagedFrame
from svggt.prediction import PointTrack
from svggt.session.session import Session
from svggt.view_options import ViewOptions
from svggt.web import layout, panels, pictures, view_controls
from svggt.web.updates import Changes

Find = Callable[[str | None], Session | None]

PLAY_RATE = 10.0
"""Frames a second at speed 1."""


@dataclass(frozen=True)
class Playing:
    """A timeline that plays: when it began, at which frame, how fast."""

    since_s: float
    first: int
    rate: float

    def moment(self, now_s: float) -> int:
        """The frame whose turn it is."""
        return self.first + int((now_s - self.since_s) * self.rate)


def look_of(v: view_controls.ViewInputs, values: Changes) -> ViewOptions:
    """What the controls say."""
    parts = values[v.parts]
    far, sky, trajectory, frustums, floor, follow = (part in parts for part in view_controls.PARTS)
    return ViewOptions(
        draw_as=values[v.draw_as],
        show=values[v.show],
        cameras=values[v.cameras],
        confirmed=round(values[v.confirmed]),
        far=far,
        sky=sky,
        trajectory=trajectory,
        frustums=frustums,
        floor=floor,
        point_size=float(values[v.point_size]),
        follow=follow,
    ).within_limits()


class ViewEvents:
    """The view's events.

    Args:
        find: the session of a token.
        why: a sentence about the cameras shown, of a model by its name.
    """

    def __init__(self, find: Find, why: Callable[[Any, str], str]) -> None:
        self._find, self._why = find, why

    def wire(self, token: gr.State, v: view_controls.ViewInputs, model: gr.Dropdown) -> None:
        """Connects the controls of a view."""
        closer = v.closer
        seek = [token, v.moment, closer.what, closer.track]
        for part in v.look:
            look = partial(self._look, token, v, model)
            part.input(
                look,
                {token, model, *v.look},
                [v.why],
                **layout.PRIVATE,
                trigger_mode="always_last",  # surfels take a while, in which another may be chosen
            )
        v.moment.input(
            _unless_gone(self._seek),
            seek,
            [closer.picture],
            **layout.PRIVATE,
            trigger_mode="always_last",
            queue=False,
        )
        closer.what.input(
            _unless_gone(self._picture),
            [token, closer.what, closer.track],
            [closer.picture],
            **layout.PRIVATE,
        )
        playing = [v.playing, v.play, v.clock]
        v.play.click(
            self._play,
            [token, v.moment, v.speed, v.playing],
            playing,
            **layout.PRIVATE,
            trigger_mode="multiple",  # a pause may come before the page has heard that it plays
            concurrency_limit=1,  # it is told that it plays, then
        )
        v.clock.tick(
            _unless_gone(self._tick),
            [token, v.playing, closer.what, closer.track],
            [v.moment, closer.picture, *playing],
            **layout.PRIVATE,
            trigger_mode="once",
        )
        v.through.click(self._through, [token], None, **layout.PRIVATE)
        v.reset.click(self._reset, [token], None, **layout.PRIVATE)
        v.shot.click(None, js="() => svggt.picture()", **layout.PRIVATE)
        v.full.click(None, js="() => svggt.fullScreen()", **layout.PRIVATE)
        v.keys.click(None, js="() => svggt.showKeys()", **layout.PRIVATE)
        measure = [closer.track, closer.picture, closer.measured]
        closer.picture.select(
            _unless_gone(self._mark),
            [token, closer.what, closer.clicks, closer.unit],
            measure,
            **layout.PRIVATE,
        )
        closer.known.input(
            self._know_length,
            [token, closer.known, closer.unit],
            closer.measured,
            **layout.PRIVATE,
            trigger_mode="always_last",
        )
        closer.unit.input(self._measured, [token, closer.unit], closer.measured, **layout.PRIVATE)

    def _look(
        self, token: gr.State, v: view_controls.ViewInputs, model: gr.Dropdown, values: Changes
    ) -> str:
        session, options = self._find(values[token]), look_of(v, values)
        if session is not None:
            session.look(options)
        return self._why(options.cameras, values[model])

    def _seek(self, token: str | None, moment: float, what: str, track: PointTrack | None) -> Any:
        session = self._find(token)
        if session is None or not session.scene.num_frames:
            return gr.skip()
        number = min(max(int(moment) - 1, 0), session.scene.num_frames - 1)
        newest = session.running and number == session.scene.num_frames - 1
        session.seek(None if newest else number)
        return pictures.picture(session.recording.frames.load(number), what, track)

    def _picture(self, token: str | None, what: str, track: PointTrack | None) -> Any:
        session = self._find(token)
        if session is None or not session.scene.num_frames:
            return gr.skip()
        return pictures.picture(session.recording.frames.load(session.scene.moment), what, track)

    def _play(
        self, token: str | None, moment: float, speed: float, playing: Playing | None
    ) -> tuple[Any, ...]:
        """Begins at the moment shown, at the start again where it has ended; or pauses."""
        session = self._find(token)
        if session is None or playing is not None:
            return None, gr.Button("Play"), gr.Timer(active=False)
        first = int(moment) - 1
        if first >= session.scene.num_frames - 1:
            first = 0
        begun = Playing(time.monotonic(), first, PLAY_RATE * float(speed))
        return begun, gr.Button("Pause"), gr.Timer(active=True)

    def _tick(
        self, token: str | None, playing: Playing | None, what: str, track: PointTrack | None
    ) -> tuple[Any, ...]:
        session = self._find(token)
        if session is None or playing is None or not session.scene.num_frames:
            return gr.skip(), gr.skip(), None, gr.Button("Play"), gr.Timer(active=False)
        last = session.scene.num_frames - 1
        number = min(playing.moment(time.monotonic()), last)
        session.seek(number)
        if number < last:
            return number + 1, *[gr.skip()] * 4
        picture = pictures.picture(session.recording.frames.load(number), what, track)
        return number + 1, picture, None, gr.Button("Play"), gr.Timer(active=False)

    def _through(self, token: str | None) -> None:
        session = self._find(token)
        if session is not None:
            session.scene.look_through()

    def _reset(self, token: str | None) -> None:
        session = self._find(token)
        if session is not None:
            session.scene.reset_view()

    def _mark(
        self,
        token: str | None,
        what: str,
        clicks: str,
        unit: str,
        event: gr.SelectData,
    ) -> tuple[Any, ...]:
        """A click in the picture: an end of what is measured, or a point to follow."""
        session = self._find(token)
        if session is None or not session.scene.num_frames:
            return None, gr.skip(), panels.measured(0, None, None)
        moment = session.scene.moment
        width = session.recording.frames.load(moment).image.shape[1]
        u, v = (int(at * width / pictures.PICTURE_WIDTH) for at in event.index)
        if clicks == view_controls.TRACK:
            try:
                track = session.track(moment, (u, v))
            except BadInput as error:
                return None, gr.skip(), panels.failure(str(error))
            shown = pictures.picture(session.recording.frames.load(moment), what, track)
            return track, shown, panels.followed(track)
        session.scene.mark(moment, u, v)
        return None, gr.skip(), self._measured(token, unit)

    def _know_length(self, token: str | None, known: float | None, unit: str) -> str:
        """A known length between the marks says how long the scene's unit is."""
        session = self._find(token)
        if session is not None and session.scene.marks.distance:
            try:
                session.set_length(known * view_controls.UNITS[unit] if known else None)
            except BadInput as error:
                return panels.failure(str(error))
        return self._measured(token, unit)

    def _measured(self, token: str | None, unit: str) -> str:
        """How far the marks are apart, in a visitor's unit where the scene's is known."""
        session = self._find(token)
        if session is None:
            return panels.measured(0, None, None)
        length = label_marks(session, unit)
        marks = session.scene.marks
        return panels.measured(len(marks.points), marks.distance, length)


def _unless_gone(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Changes nothing where a frame went meanwhile: its scene was deleted, or its session ended.

    Where one is damaged, a sentence says so.
    """

    @wraps(handler)  # Gradio reads the signature
    def handle(*args: Any, **named: Any) -> Any:
        try:
            return handler(*args, **named)
        except DamagedFrame as error:
            raise gr.Error(str(error), print_exception=False) from None
        except (KeyError, IndexError):
            return gr.skip()

    return handle


def label_marks(session: Session, unit: str) -> tuple[float, str] | None:
    """Writes into the scene how far its marks are apart.

    Returns:
        The scene's unit in a visitor's, and that one's name; None where nobody knows.
    """
    marks, known = session.scene.marks, session.recording.metres.get(session.scene.flags.cameras)
    length = None if known is None else (known / view_controls.UNITS[unit], unit)
    if marks.distance is not None:
        marks.label(" ".join(panels.length_of(marks.distance, length)))
    return length
