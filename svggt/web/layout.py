"""What stands where on the page. No behaviour: that is `svggt.web.ui`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import gradio as gr

from svggt.compare.aligned_frames import Paint
from svggt.engine.checkpoints import LoadedModel
from svggt.media.clips import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from svggt.media.examples import EXAMPLES, Example
from svggt.media.frames import InputLimits
from svggt.session.progress import Progress
from svggt.view_options import Cameras, CamerasChoice, chosen_cameras
from svggt.web import panels
from svggt.web.compare_drawer import Compare, lay_out_compare
from svggt.web.drawers import Advanced, Share, lay_out_advanced, lay_out_share
from svggt.web.replay import replay_address
from svggt.web.uploads import take_as_uploaded

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""Of the page's own events: scripts have `svggt.web.api`."""

FOLLOW = "follow the camera"
PARTS = ("far points", "trajectory", "frustums", FOLLOW)
CAMERA = (
    "<p>Press Start, then allow the camera. Move slowly; a frame is taken when the picture has "
    "moved. Your phone can be the camera too.</p>"
)
MEASURE, TRACK = "measure", "track"
PLAY_SECONDS = 0.1  # between two steps of the timeline


@dataclass(frozen=True)
class SourceInputs:
    """Where frames come from.

    Attributes:
        kind: "example", "upload" or "camera", as the open tab says.
        example: index into `EXAMPLES`.
        pictures: the examples to choose from.
        files: an upload.
        camera: the camera's page, once a run waits for it.
        tabs: by kind.
    """

    kind: gr.State
    example: gr.State
    pictures: gr.Gallery
    files: gr.File
    camera: gr.HTML
    tabs: dict[str, gr.Tab]


@dataclass(frozen=True)
class ViewInputs:
    """What drives the 3D view: its flags, its moment, its eye.

    Attributes:
        beside: the view of another run, beside `frame`; empty at first.
        painted: how it is drawn; there once it is.
        legend: of its colours.
        moment: number of the frame shown, from 1.
        clock: ticks while the timeline plays.
        playing: where it began, or None.
        closer: the frame shown as a picture, to measure in.
        clicks: what a click in it does; hidden where the weights have no track head.
        track: a point that is followed.
        ruler: length of the scene's unit, and the unit's name; None until one length is known.
    """

    frame: gr.HTML
    beside: gr.HTML
    painted: gr.Row
    paint: gr.Radio
    legend: gr.HTML
    play: gr.Button
    moment: gr.Slider
    speed: gr.Dropdown
    clock: gr.Timer
    playing: gr.State
    show: gr.Radio
    cameras: gr.Radio
    confidence: gr.Slider
    point_size: gr.Slider
    parts: gr.CheckboxGroup
    through: gr.Button
    reset: gr.Button
    why: gr.HTML
    what: gr.Radio
    closer: gr.Image
    clicks: gr.Radio
    track: gr.State
    known: gr.Number
    unit: gr.Textbox
    ruler: gr.State
    measured: gr.HTML

    @property
    def look(self) -> list[gr.Radio | gr.Slider | gr.CheckboxGroup]:
        """What `ViewOptions` is made of; see `svggt.web.view_events.look_of`."""
        return [self.show, self.cameras, self.confidence, self.point_size, self.parts]


@dataclass(frozen=True)
class Controls:
    """Every component that an event reads or writes.

    Attributes:
        token: the owner's, while this page drives a session.
        keys: "reader owner" of the session shown, as the browser keeps them; see page.js.
    """

    token: gr.State
    keys: gr.Textbox
    header: gr.HTML
    source: SourceInputs
    start: gr.Button
    resume: gr.Button
    stop: gr.Button
    clear: gr.Button
    status: gr.HTML
    view: ViewInputs
    compare: Compare
    live: gr.HTML
    advanced: Advanced
    share: Share

    @property
    def followed(self) -> list[Any]:
        """What changes while a run is watched; see `svggt.web.updates`."""
        v, s = self.view, self.share
        return [
            self.token, self.keys, self.status, self.live,
            self.start, self.resume, self.stop, self.clear,
            v.frame, v.beside, v.painted, v.why, v.moment, v.play, v.closer, *v.look,
            self.source.camera, self.compare.figures, self.compare.results,
            s.link, s.kept, s.export,
        ]  # fmt: skip


def lay_out(
    models: list[LoadedModel],
    offered: list[str],
    limits: InputLimits,
    cameras_choice: CamerasChoice,
    retention: str,
) -> Controls:
    """Lays the page out inside an open `gr.Blocks`; the first model is the default.

    Args:
        models: to choose from.
        offered: names of what can be compared with, loaded or not.
        limits: what a visitor may send.
        cameras_choice: that a scene is shown by at first.
        retention: what is kept how long, as HTML.
    """
    model = models[0]
    token = gr.State(None)
    keys = gr.Textbox("", visible="hidden", elem_id="keys")
    header = gr.HTML(header_of(model), elem_id="header")
    with gr.Row(elem_id="stage"):
        with gr.Column(elem_id="source"):
            source = _lay_out_source(limits)
            with gr.Row(elem_id="actions"):
                start = gr.Button("Start", variant="primary", elem_id="start")
                resume = gr.Button("Resume", visible=False, elem_id="resume")
                stop = gr.Button("Stop", interactive=False, elem_id="stop")
                clear = gr.Button("Clear", interactive=False, elem_id="clear")
            status = gr.HTML(panels.status(Progress()), elem_id="status")
        with gr.Column(elem_id="view"):
            view = _lay_out_view(model, chosen_cameras(cameras_choice, model.cameras_hold))
            compare = lay_out_compare(offered, view.cameras.value)
        with gr.Column(elem_id="live"):
            live = gr.HTML(panels.live(Progress()))
    advanced = lay_out_advanced(models, limits)
    share = lay_out_share(retention)
    return Controls(
        token,
        keys,
        header,
        source,
        start,
        resume,
        stop,
        clear,
        status,
        view,
        compare,
        live,
        advanced,
        share,
    )


def replay_title(example: Example) -> str:
    """What is seen before a run, and which model made it."""
    return f"Recorded replay of “{example.title}”, made with the embedded weights"


def replay_of(example: Example) -> str:
    """The 3D view with an example's recording."""
    return panels.viewer(replay_address(example.name), replay_title(example))


def header_of(model: LoadedModel) -> str:
    """The page's first line."""
    return panels.header(model.name, model.device.name, model.note)


def lay_out_load(name: str, sentence: str) -> tuple[gr.HTML, gr.Button, gr.Timer]:
    """A notice of weights on their way, a button to switch to them, and a clock."""
    notice = gr.HTML(panels.notice(sentence), elem_id="notice")
    switch = gr.Button(f"Switch to {name}", visible=False, elem_id="switch")
    return notice, switch, gr.Timer(1.0)


def _lay_out_source(limits: InputLimits) -> SourceInputs:
    with gr.Tabs(elem_id="tabs"):
        with gr.Tab("Examples") as examples:
            pictures = gr.Gallery(
                [(str(e.picture), e.title) for e in EXAMPLES],
                columns=len(EXAMPLES),
                selected_index=0,
                allow_preview=False,
                interactive=False,
                show_label=False,
                buttons=[],
                object_fit="cover",
                elem_id="examples",
            )
        with gr.Tab("Upload") as upload:
            files = gr.File(
                label=(
                    f"Video or pictures · ≤ {limits.max_bytes / 1e6:.0f} MB · "
                    f"≤ {limits.max_frames} frames"
                ),
                file_count="multiple",
                file_types=[*VIDEO_SUFFIXES, *PICTURE_SUFFIXES],
                height=88,
                elem_id="files",
            )
            take_as_uploaded(files)
        with gr.Tab("Camera") as live:
            camera = gr.HTML(CAMERA, elem_id="camera")
    tabs = {"example": examples, "upload": upload, "camera": live}
    return SourceInputs(gr.State("example"), gr.State(0), pictures, files, camera, tabs)


def _lay_out_view(model: LoadedModel, cameras: Cameras) -> ViewInputs:
    first = EXAMPLES[0]
    with gr.Row(elem_id="views"):
        frame, beside = gr.HTML(replay_of(first)), gr.HTML(elem_id="beside")
    with gr.Row(visible=False, elem_id="paint-row") as painted:
        paint = gr.Radio(
            list(get_args(Paint)), value="side by side", show_label=False, elem_id="paint"
        )
        legend = gr.HTML(panels.legend("side by side"), elem_id="legend")
    with gr.Row(elem_id="timeline"):
        play = gr.Button("Play", interactive=False, elem_id="play", min_width=64)
        moment = gr.Slider(
            1, 2, value=1, step=1, label="Frame", interactive=False, elem_id="moment", buttons=[]
        )
        speed = gr.Dropdown(
            [("½ ×", 0.5), ("1 ×", 1.0), ("2 ×", 2.0), ("4 ×", 4.0)],
            value=1.0,
            label="Speed",
            min_width=84,
            filterable=False,
            elem_id="speed",
        )
    with gr.Row(elem_id="choices"):
        show = gr.Radio(["all frames", "one frame"], value="all frames", label="Points of")
        camera = gr.Radio(["refined", "head"], value=cameras, label="Cameras")
        through = gr.Button("Look through", elem_id="through", size="sm", min_width=110)
        reset = gr.Button("Reset view", elem_id="reset", size="sm", min_width=110)
    why = gr.HTML(f"<p>{replay_title(first)}.</p>", elem_id="why")
    with gr.Accordion("View", open=False, elem_id="flags"), gr.Row():
        confidence = gr.Slider(25, 75, value=50, step=25, label="Most confident %", buttons=[])
        size = gr.Slider(0.5, 3.0, value=1.0, step=0.25, label="Point size", buttons=[])
        parts = gr.CheckboxGroup(
            list(PARTS), value=[p for p in PARTS if p != FOLLOW], label="Also shown"
        )
    closer = _lay_out_closer(model)
    clock, playing = gr.Timer(PLAY_SECONDS, active=False), gr.State(None)
    return ViewInputs(
        frame, beside, painted, paint, legend, play, moment, speed, clock, playing,
        show, camera, confidence, size, parts, through, reset, why, *closer,
    )  # fmt: skip


def _lay_out_closer(model: LoadedModel) -> tuple[Any, ...]:
    """The frame shown, as a picture; two clicks in it measure."""
    with gr.Accordion("Look closer and measure", open=False, elem_id="closer"), gr.Row():
        with gr.Column(scale=2):
            what = gr.Radio(
                ["RGB", "depth", "confidence"],
                value="RGB",
                label="Picture of the frame",
                elem_id="what",
            )
            picture = gr.Image(
                type="pil",
                interactive=False,
                show_label=False,
                buttons=[],
                elem_id="picture",
            )
        with gr.Column(scale=1, min_width=200):
            clicks = gr.Radio(
                [MEASURE, TRACK],
                value=MEASURE,
                label="Click",
                visible=model.tracks_points,
                elem_id="clicks",
            )
            measured = gr.HTML(panels.measured(0, None, None), elem_id="measured")
            known = gr.Number(
                None, label="Known length", info="of what you clicked last; sets the scale"
            )
            unit = gr.Textbox("m", label="Unit", max_length=8)
    return (
        what, picture, clicks, gr.State(None), known, unit, gr.State(None), measured,
    )  # fmt: skip
