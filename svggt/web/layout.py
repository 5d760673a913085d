"""What stands where on the page. No behaviour: that is `svggt.web.ui`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from svggt.engine.checkpoints import LoadedModel
from svggt.media.examples import EXAMPLES
from svggt.media.frames import VIDEO_SUFFIXES, InputLimits
from svggt.media.pictures import PICTURE_SUFFIXES, ZIP_SUFFIX
from svggt.session.progress import Progress
from svggt.view_options import CamerasChoice, chosen_cameras
from svggt.web import panels
from svggt.web.compare_drawer import Compare, lay_out_compare
from svggt.web.drawers import Advanced, Share, lay_out_advanced, lay_out_scenes, lay_out_share
from svggt.web.uploads import take_as_uploaded
from svggt.web.view_controls import ViewInputs, lay_out_view

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""Of the page's own events: scripts have `svggt.web.api`."""

CAMERA = (
    "<p>Press Start, then allow the camera. Move slowly; a frame is taken when the picture has "
    "moved. Your phone can be the camera too.</p>"
)


_CUT = """<figure hidden>
<canvas aria-hidden="true"></canvas><figcaption role="status"></figcaption>
</figure>
<p class="cut-off" role="alert" hidden>The upload was cut off. Choose the file again.</p>"""
"""What a tall picture loses, and that an upload failed; see gestures.js."""


@dataclass(frozen=True)
class SourceInputs:
    """Where frames come from.

    Attributes:
        kind: "example", "upload" or "camera", as the open tab says.
        example: index into `EXAMPLES`.
        pictures: the examples to choose from.
        files: an upload.
        camera: the camera's page, once a run waits for it.
        whole: tall pictures are not cut to a square.
        tabs: by kind.
    """

    kind: gr.State
    example: gr.State
    pictures: gr.Gallery
    files: gr.File
    camera: gr.HTML
    whole: gr.Checkbox
    tabs: dict[str, gr.Tab]


@dataclass(frozen=True)
class Controls:
    """Every component that an event reads or writes.

    Attributes:
        token: the owner's, while this page drives a session.
        keys: "reader owner" of the session shown, as the browser keeps them; see page.js.
        again: pressed by page.js when the page is looked at again.
    """

    token: gr.State
    keys: gr.Textbox
    again: gr.Button
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
            v.frame, v.beside, v.painted, v.why, v.moment, v.play, v.closer.picture, *v.look,
            self.source.camera, self.compare.figures, self.compare.results,
            s.link, s.embedding, s.kept, s.export,
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
    again = gr.Button(visible="hidden", elem_id="again")
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
            view = lay_out_view(model, chosen_cameras(cameras_choice, model.cameras_hold))
            compare = lay_out_compare(offered, view.cameras.value)
            advanced = lay_out_advanced(models, limits)
            share = lay_out_share(retention)
            scenes = lay_out_scenes()
            scenes.expand(None, js="() => svggt.listScenes()", **PRIVATE)
        with gr.Column(elem_id="live"):
            live = gr.HTML(panels.live(Progress()))
    return Controls(
        token=token,
        keys=keys,
        again=again,
        header=header,
        source=source,
        start=start,
        resume=resume,
        stop=stop,
        clear=clear,
        status=status,
        view=view,
        compare=compare,
        live=live,
        advanced=advanced,
        share=share,
    )


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
                file_types=[*VIDEO_SUFFIXES, *PICTURE_SUFFIXES, ZIP_SUFFIX],
                height=88,
                elem_id="files",
            )
            take_as_uploaded(files)
            gr.HTML(_CUT, elem_id="cut")
        with gr.Tab("Camera") as live:
            camera = gr.HTML(CAMERA, elem_id="camera")
    whole = gr.Checkbox(
        label="Keep tall pictures whole",
        info="narrower frames; else they are cut to a square, above and below",
        visible=False,
        elem_id="whole",
    )
    tabs = {"example": examples, "upload": upload, "camera": live}
    return SourceInputs(gr.State("example"), gr.State(0), pictures, files, camera, whole, tabs)
