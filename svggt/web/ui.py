"""The page: what its events do.

State in the browser is a token; everything else is looked up in `Sessions`. Messages for people
are sentences; no traceback reaches them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from svggt.engine.background_load import BackgroundLoad
from svggt.engine.checkpoints import LoadedModel
from svggt.errors import BadInput
from svggt.exports.exporter import Exporter
from svggt.media.examples import EXAMPLES
from svggt.media.frames import InputLimits
from svggt.session.registry import Sessions
from svggt.session.session import Session
from svggt.view_options import Cameras, CamerasChoice, chosen_cameras
from svggt.web import layout, panels, view_controls
from svggt.web.api import Api
from svggt.web.calls import StrictBlocks
from svggt.web.compare_api import CompareApi
from svggt.web.compare_events import CompareEvents
from svggt.web.run_events import RunEvents
from svggt.web.run_request import RunStarter
from svggt.web.share_events import ShareEvents, retention_of
from svggt.web.view_events import ViewEvents

STYLE = Path(__file__).with_name("style.css").read_text("utf-8")
SCRIPT = "".join(
    Path(__file__).with_name(name).read_text("utf-8") for name in ("page.js", "gestures.js")
)
THEME = gr.themes.Default(
    primary_hue="orange",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],  # no font is fetched from anywhere
    font_mono=["ui-monospace", "monospace"],
).set(  # Gradio's own are too pale to be read (WCAG 2.1, 1.4.3)
    body_text_color_subdued="*neutral_500",
    block_info_text_color="*neutral_500",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_hover_dark="*primary_800",
    button_cancel_background_fill="#b91c1c",
    button_cancel_background_fill_hover="#991b1b",
)

_MAX_EVENTS = 200


class Page:
    """One page for all visitors.

    Args:
        sessions: where runs live.
        limits: what a visitor may send.
        beginner: begins runs.
        exporter: makes files to take away.
        load: weights that are still on their way; None if there are none.
        cameras: that scenes are shown by at first.
    """

    def __init__(
        self,
        sessions: Sessions,
        limits: InputLimits,
        beginner: RunStarter,
        exporter: Exporter,
        load: BackgroundLoad | None,
        cameras: CamerasChoice,
    ) -> None:
        self._sessions, self._limits = sessions, limits
        self._beginner, self._exporter = beginner, exporter
        self._load = load
        self._first_cameras: CamerasChoice = cameras

    def build(self) -> gr.Blocks:
        """The page's blocks, wired."""
        with StrictBlocks(
            title="svggt: streaming 4D geometry",
            analytics_enabled=False,
            fill_width=True,
        ) as blocks:
            controls = layout.lay_out(
                list(self._models.values()),
                self._sessions.worker.models.offered,
                self._limits,
                self._first_cameras,
                retention_of(self._sessions),
            )
            self._wire_source(controls)
            RunEvents(self._sessions, self._beginner, self._why).wire(blocks, controls)
            view = ViewEvents(self._find, self._why)
            view.wire(controls.token, controls.view, controls.advanced.settings.model)
            CompareEvents(self._sessions, self._exporter, self._find).wire(controls)
            ShareEvents(self._sessions, self._beginner, self._exporter).wire(controls)
            Api(self._sessions, self._beginner, self._exporter).offer()
            CompareApi(self._sessions).offer()
            self._wire_settings(controls)
            model = controls.advanced.settings.model
            blocks.load(self._refresh_models, None, [model], **layout.PRIVATE)
        # A run's visitor is served by one event from Start to end: as many as there are sessions.
        blocks.max_threads = _MAX_EVENTS
        blocks.queue(max_size=200, default_concurrency_limit=None)
        # Gradio checks paths that a browser names only once it thinks that it was launched,
        # which mounting does not tell it.
        blocks.has_launched = blocks.is_running = True
        return blocks

    def _find(self, token: str | None) -> Session | None:
        """The session of an owner, if there is room for it in memory."""
        try:
            return self._sessions.find(token)
        except BadInput:
            return None

    @property
    def _models(self) -> Mapping[str, LoadedModel]:
        return self._sessions.worker.models

    def _wire_source(self, c: layout.Controls) -> None:
        source, view = c.source, c.view
        for kind, tab in source.tabs.items():
            choose = partial(_source, kind)
            tab.select(choose, None, [source.kind, source.whole], **layout.PRIVATE)
        outputs = [source.example, view.frame, view.why]
        source.pictures.select(self._choose_example, [c.token], outputs, **layout.PRIVATE)

    def _choose_example(self, token: str | None, event: gr.SelectData) -> tuple[Any, ...]:
        """Where there is no scene yet, the example's recording plays."""
        index = int(event.index)
        if self._sessions.get(token) is not None:
            return index, gr.skip(), gr.skip()
        example = EXAMPLES[index]
        title = f"<p>{view_controls.replay_title(example)}.</p>"
        return index, view_controls.replay_of(example), title

    def _wire_settings(self, c: layout.Controls) -> None:
        model = c.advanced.settings.model
        outputs = [c.header, c.view.cameras, c.view.closer.clicks]
        model.change(self._choose_model, [model], outputs, **layout.PRIVATE)
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

        timer.tick(look, None, [notice, switch, timer], **layout.PRIVATE)
        switch.click(use, None, [model, switch, notice], **layout.PRIVATE)

    def _why(self, cameras: Cameras, model_name: str) -> str:
        """What the cameras shown are, and why frames may not line up."""
        if cameras == "refined":
            return "<p>Cameras refined by tracking on the model’s depth.</p>"
        model = self._models.get(model_name)
        if model is None or model.cameras_hold:
            return "<p>Cameras as the model’s camera head says.</p>"
        return (
            "<p>Cameras as the model’s camera head says: these weights’ hardly follow yet (see "
            "the model card), so frames do not line up.</p>"
        )

    def _choose_model(self, name: str) -> tuple[Any, ...]:
        model = self._beginner.model(name)
        cameras = chosen_cameras(self._first_cameras, model.cameras_hold)
        clicks = gr.Radio(value=view_controls.MEASURE, visible=model.tracks_points)
        return layout.header_of(model), cameras, clicks

    def _refresh_models(self) -> gr.Dropdown:
        return gr.Dropdown(choices=list(self._models))


def _source(kind: str) -> tuple[str, gr.Checkbox]:
    """Frames come from there; tall pictures can be kept whole but for an example's."""
    return kind, gr.Checkbox(visible=kind != "example")
