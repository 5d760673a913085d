"""The page: what its events do.

State in the browser is a token; everything else is looked up in `Sessions`. Messages for people
are sentences; no traceback reaches them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from svggt.checkpoints import LoadedModel
from svggt.clips import Clip, open_clip
from svggt.frames import BadInput, InputLimits
from svggt.live import Camera, LiveClip
from svggt.loading import BackgroundLoad
from svggt.progress import Progress
from svggt.scene import Cameras, CamerasChoice, Look
from svggt.session import Session
from svggt.sessions import Sessions
from svggt.web import layout, panels
from svggt.web.capture import panel
from svggt.web.gallery import EXAMPLES
from svggt.web.limits import network_of
from svggt.web.updates import BEFORE_WATCHED, refused, watched
from svggt.web.uploads import UploadFolder
from svggt.web.view import ViewEvents, look_of
from svggt.workers import StreamSettings

log = logging.getLogger(__name__)

STYLE = Path(__file__).with_name("style.css").read_text("utf-8")
THEME = gr.themes.Default(
    primary_hue="orange",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],  # no font is fetched from anywhere
    font_mono=["ui-monospace", "monospace"],
)

_WATCH_SECONDS = 0.15  # between two looks at a run
_BEGINNINGS = 4  # clips that are probed at once
_MAX_EVENTS = 200
_PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


class Page:
    """One page for all visitors.

    Args:
        sessions: where runs live.
        limits: what a visitor may send.
        uploads: where uploaded files lie.
        load: weights that are still on their way; None if there are none.
        cameras: that scenes are shown by at first.
    """

    def __init__(
        self,
        sessions: Sessions,
        limits: InputLimits,
        uploads: UploadFolder,
        load: BackgroundLoad | None,
        cameras: CamerasChoice,
    ) -> None:
        self._sessions = sessions
        self._limits = limits
        self._uploads = uploads
        self._load = load
        self._first_cameras: CamerasChoice = cameras
        self._tabs: dict[str, str] = {}  # Gradio's name of a browser tab -> owner token
        self._left: deque[str] = deque(maxlen=1000)  # tabs that were closed
        self._beginnings = asyncio.Semaphore(_BEGINNINGS)

    def build(self) -> gr.Blocks:
        """The page's blocks, wired."""
        with gr.Blocks(
            title="svggt: streaming 4D geometry",
            analytics_enabled=False,
            fill_width=True,
        ) as blocks:
            controls = layout.lay_out(
                list(self._models.values()), self._limits, self._first_cameras
            )
            self._wire_source(controls)
            self._wire_run(controls)
            view = ViewEvents(self._sessions.get, self._why)
            view.wire(controls.token, controls.view, controls.advanced.model)
            self._wire_settings(controls)
            blocks.load(self._refresh_models, None, [controls.advanced.model], **_PRIVATE)
            blocks.unload(self._unload)
        # A run's visitor is served by one event from Start to end: as many as there are sessions.
        blocks.max_threads = _MAX_EVENTS
        blocks.queue(max_size=200, default_concurrency_limit=None)
        # Gradio checks paths that a browser names only once it thinks that it was launched,
        # which mounting does not tell it.
        blocks.has_launched = blocks.is_running = True
        return blocks

    @property
    def _models(self) -> dict[str, LoadedModel]:
        return self._sessions.worker.models

    def _wire_source(self, c: layout.Controls) -> None:
        source, view = c.source, c.view
        for kind, tab in source.tabs.items():
            tab.select(lambda kind=kind: kind, None, source.kind, **_PRIVATE)
        outputs = [source.example, view.frame, view.why]
        source.pictures.select(self._choose_example, [c.token], outputs, **_PRIVATE)

    def _choose_example(self, token: str | None, event: gr.SelectData) -> tuple[Any, ...]:
        """Where there is no scene yet, the example's recording plays."""
        index = int(event.index)
        if self._sessions.get(token) is not None:
            return index, gr.skip(), gr.skip()
        example = EXAMPLES[index]
        title = f"<p>{layout.replay_title(example)}.</p>"
        return index, layout.replay_of(example), title

    def _wire_run(self, c: layout.Controls) -> None:
        a, v = c.advanced, c.view
        outputs = [c.status, c.live, c.start, c.stop, c.clear, v.moment, v.play, v.closer]
        c.start.click(
            self._start,
            [
                c.token, c.source.kind, c.source.example, c.source.files,
                a.rate, a.max_frames, a.memory, a.window, a.published, a.points, a.model, *v.look,
            ],
            [c.token, v.frame, v.why, c.source.camera, *outputs],
            **_PRIVATE,
        )  # fmt: skip
        c.stop.click(self._stop, [c.token], None, **_PRIVATE)
        c.clear.click(self._clear, [c.token], outputs, **_PRIVATE)

    def _wire_settings(self, c: layout.Controls) -> None:
        model = c.advanced.model
        outputs = [c.header, c.view.cameras, c.view.clicks]
        model.change(self._choose_model, [model], outputs, **_PRIVATE)
        if self._load is not None:
            self._wire_load(self._load, model)

    def _wire_load(self, load: BackgroundLoad, model: gr.Dropdown) -> None:
        """Says how far weights are that are on their way, and offers to switch to them."""
        notice, switch, timer = layout.lay_out_load(load.name, load.sentence)

        def look() -> tuple[Any, ...]:
            ready, loading = load.state == "ready", load.state == "loading"
            text = panels.notice(load.sentence)
            return text, gr.Button(visible=ready), gr.Timer(active=loading)

        def use() -> tuple[Any, ...]:
            choices = list(self._models)
            return gr.Dropdown(choices=choices, value=load.name), gr.Button(visible=False), ""

        timer.tick(look, None, [notice, switch, timer], **_PRIVATE)
        switch.click(use, None, [model, switch, notice], **_PRIVATE)

    async def _start(
        self,
        token: str | None,
        kind: str,
        example: int,
        files: list[str] | None,
        rate: float | None,
        max_frames: float,
        memory: str,
        window: float,
        published: bool,
        points: str,
        model_name: str,
        show: str,
        cameras: Cameras,
        confidence: float,
        point_size: float,
        parts: list[str],
        request: gr.Request,
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Begins a run and follows it. A refusal is one sentence, and nothing else changes."""
        limits = replace(self._limits, max_frames=_whole(max_frames, 1, self._limits.max_frames))
        settings = StreamSettings(
            model=model_name,
            memory="full" if memory == "full" else "window",
            window=_whole(window, 1, layout.MAX_WINDOW),
            published_camera_memory=published,
            points=points == "point head",
            refine=True,
        )

        def clip(width: int) -> Clip | LiveClip:
            if kind == "camera":
                return LiveClip(Camera(), width, limits)
            if kind == "example":
                chosen = EXAMPLES[example]
                return open_clip([chosen.clip], width, chosen.frames_per_second, limits)
            uploads = [self._uploads.check(file) for file in files or []]
            return open_clip(uploads, width, rate, limits)

        try:
            look = look_of(show, cameras, confidence, point_size, parts)
            async with self._beginnings:
                known = self._sessions.get(token)
                session = await asyncio.to_thread(self._begin, known, clip, settings, look, request)
        except BadInput as error:
            yield refused(str(error))
            return
        except Exception:  # the last line before a visitor
            log.exception("start failed")
            yield refused("This could not be started: an error of ours. Press Start once more.")
            return
        # The view of a known session stays: a new address would reload it.
        view = gr.skip() if session is known else _view(session)
        why = self._why(cameras, model_name)
        camera = gr.skip() if session.camera is None else _camera(session, request)
        yield session.token, view, why, camera, *watched(session, session.progress)
        async for changes in self._watch(session.token):
            yield *[gr.skip()] * BEFORE_WATCHED, *changes

    def _begin(
        self,
        known: Session | None,
        clip: Callable[[int], Clip | LiveClip],
        settings: StreamSettings,
        look: Look,
        request: gr.Request,
    ) -> Session:
        """Starts a run in a known session or a new one; a new one does not outlive a failure."""
        self._uploads.has_room()  # removes what is old, pictures of frames looked at too
        opened = clip(self._model(settings.model).input_width)
        if known is not None:
            known.start(opened, settings, look)
            known.own(self._uploads.among(opened.paths))
            return known
        tab = request.session_hash or ""
        session = self._sessions.open(network_of(request.client.host if request.client else ""))
        try:
            session.start(opened, settings, look)
            session.own(self._uploads.among(opened.paths))
            self._tabs[tab] = session.token
            if tab in self._left:  # the tab was closed meanwhile
                raise BadInput("The page was closed.")
        except BaseException:
            self._sessions.close(session.token)
            raise
        return session

    async def _watch(self, token: str) -> AsyncIterator[tuple[Any, ...]]:
        """Follows a run until it ends, or its session does."""
        version = -1
        while (session := self._sessions.get(token)) is not None:
            progress = session.progress
            if progress.version != version:
                version = progress.version
                yield await asyncio.to_thread(watched, session, progress)  # encodes pictures
            if progress.state != "running":
                return
            await asyncio.sleep(_WATCH_SECONDS)
        ended = "This scene has ended: it was idle or too old. Press Start for a new one."
        yield watched(None, Progress(message=ended))

    def _stop(self, token: str | None) -> None:
        session = self._sessions.get(token)
        if session is not None:
            session.stop()

    def _clear(self, token: str | None) -> tuple[Any, ...]:
        session = self._sessions.get(token)
        if session is None:
            return watched(None, Progress())
        session.clear()
        return watched(session, session.progress)

    def _why(self, cameras: Cameras, model_name: str) -> str:
        """What the cameras shown are, and why frames may not line up."""
        if cameras == "refined":
            return "<p>Cameras refined by tracking on the model’s depth.</p>"
        if self._model(model_name).cameras_hold:
            return "<p>Cameras as the model’s camera head says.</p>"
        return (
            "<p>Cameras as the model’s camera head says: these weights’ hardly follow yet (see "
            "the model card), so frames do not line up.</p>"
        )

    def _choose_model(self, name: str) -> tuple[Any, ...]:
        model = self._model(name)
        cameras = layout.first_cameras(model, self._first_cameras)
        clicks = gr.Radio(value=layout.MEASURE, visible=model.tracks_points)
        return layout.header_of(model), cameras, clicks

    def _refresh_models(self) -> gr.Dropdown:
        return gr.Dropdown(choices=list(self._models))

    def _unload(self, request: gr.Request) -> None:
        """A closed tab ends its session."""
        tab = request.session_hash or ""
        self._left.append(tab)
        token = self._tabs.pop(tab, None)
        if token is not None:
            self._sessions.close(token)

    def _model(self, name: str) -> LoadedModel:
        model = self._models.get(name)
        if model is None:
            raise BadInput(f"The model {name} is not loaded. Choose another under Advanced.")
        return model


def _view(session: Session) -> str:
    return panels.viewer(f"/viser/{session.viewer_token}/", "3D scene of your clip")


def _camera(session: Session, request: gr.Request) -> str:
    """The camera's page. A browser says by itself what address it opened this one by."""
    return panel(session.capture_token, request.headers.get("origin", ""))


def _whole(value: float | None, low: int, high: int) -> int:
    """A number field's value, kept within its range."""
    return min(high, max(low, int(value or low)))
