"""What stands where on the page. No behaviour: that is `svggt.web.ui`."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from svggt.checkpoints import LoadedModel
from svggt.clips import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from svggt.frames import InputLimits
from svggt.scene import Cameras, CamerasChoice
from svggt.sessions import Progress
from svggt.web import panels
from svggt.web.gallery import EXAMPLES, REPLAYED
from svggt.web.replay import replay_address
from svggt.web.uploads import take_as_uploaded

MAX_WINDOW = 64


@dataclass(frozen=True)
class Source:
    """Where frames come from.

    Attributes:
        kind: "example" or "upload", as the open tab says.
        example: index into `EXAMPLES`.
        pictures: the examples to choose from.
        files: an upload.
        tabs: by kind.
    """

    kind: gr.State
    example: gr.State
    pictures: gr.Gallery
    files: gr.File
    tabs: dict[str, gr.Tab]


@dataclass(frozen=True)
class Advanced:
    """The closed drawer: how a run is made."""

    rate: gr.Number
    max_frames: gr.Number
    memory: gr.Radio
    window: gr.Number
    published: gr.Checkbox
    model: gr.Dropdown


@dataclass(frozen=True)
class Controls:
    """Every component that an event reads or writes."""

    token: gr.State
    header: gr.HTML
    source: Source
    start: gr.Button
    stop: gr.Button
    clear: gr.Button
    status: gr.HTML
    viewer: gr.HTML
    show: gr.Radio
    cameras: gr.Radio
    why: gr.HTML
    live: gr.HTML
    advanced: Advanced


def lay_out(
    models: list[LoadedModel], limits: InputLimits, cameras_choice: CamerasChoice
) -> Controls:
    """Lays the page out inside an open `gr.Blocks`; the first model is the default."""
    model = models[0]
    token = gr.State(None)
    header = gr.HTML(header_of(model), elem_id="header")
    with gr.Row(elem_id="stage"):
        with gr.Column(elem_id="source"):
            source = _lay_out_source(limits)
            with gr.Row(elem_id="actions"):
                start = gr.Button("Start", variant="primary", elem_id="start")
                stop = gr.Button("Stop", interactive=False, elem_id="stop")
                clear = gr.Button("Clear", interactive=False, elem_id="clear")
            status = gr.HTML(panels.status(Progress()), elem_id="status")
        with gr.Column(elem_id="view"):
            title = f"Recorded replay of “{REPLAYED.title}”, made with the embedded weights"
            viewer = gr.HTML(panels.viewer(replay_address(REPLAYED.name), title))
            with gr.Row(elem_id="choices"):
                show = gr.Radio(
                    ["all frames", "newest frame"], value="all frames", label="Points of"
                )
                cameras = gr.Radio(
                    ["refined", "head"], value=first_cameras(model, cameras_choice), label="Cameras"
                )
            why = gr.HTML(f"<p>{title}.</p>", elem_id="why")
        with gr.Column(elem_id="live"):
            live = gr.HTML(panels.live(Progress()))
    advanced = _lay_out_advanced(models, limits)
    return Controls(
        token,
        header,
        source,
        start,
        stop,
        clear,
        status,
        viewer,
        show,
        cameras,
        why,
        live,
        advanced,
    )


def header_of(model: LoadedModel) -> str:
    """The page's first line."""
    return panels.header(model.name, model.device.name, model.note)


def first_cameras(model: LoadedModel, choice: CamerasChoice) -> Cameras:
    """By which cameras a scene is shown at first; `auto`: those that frames line up by."""
    if choice != "auto":
        return choice
    return "head" if model.cameras_hold else "refined"


def lay_out_load(name: str, sentence: str) -> tuple[gr.HTML, gr.Button, gr.Timer]:
    """A notice of weights on their way, a button to switch to them, and a clock."""
    notice = gr.HTML(panels.notice(sentence), elem_id="notice")
    switch = gr.Button(f"Switch to {name}", visible=False, elem_id="switch")
    return notice, switch, gr.Timer(1.0)


def _lay_out_source(limits: InputLimits) -> Source:
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
    tabs = {"example": examples, "upload": upload}
    return Source(gr.State("example"), gr.State(0), pictures, files, tabs)


def _lay_out_advanced(models: list[LoadedModel], limits: InputLimits) -> Advanced:
    with gr.Accordion("Advanced", open=False, elem_id="advanced"), gr.Row():
        return Advanced(
            rate=gr.Number(
                None,
                label="Frames a second",
                info="of an uploaded video; empty: chosen by motion",
                placeholder="by motion",
            ),
            max_frames=gr.Number(
                limits.max_frames,
                label="Frames at most",
                info="of a run",
                minimum=1,
                maximum=limits.max_frames,
                precision=0,
            ),
            memory=gr.Radio(
                ["window", "full"],
                value="window",
                label="Memory",
                info="the first frame and the last ones, or all",
            ),
            window=gr.Number(
                8,
                label="Window",
                info="frames besides the first",
                minimum=1,
                maximum=MAX_WINDOW,
                precision=0,
            ),
            published=gr.Checkbox(
                False, label="Published camera memory", info="as in the published tables"
            ),
            model=gr.Dropdown(
                [m.name for m in models], value=models[0].name, label="Model", info="weights"
            ),
        )
