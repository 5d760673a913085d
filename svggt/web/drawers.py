"""What is closed at first: how a run is made, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from svggt.engine.checkpoints import LoadedModel
from svggt.exports.exporter import FORMATS
from svggt.media.frames import InputLimits
from svggt.web.settings_inputs import SettingsInputs


@dataclass(frozen=True)
class Advanced:
    """How a run is made.

    Attributes:
        rate: frames a second.
        max_frames: of a run.
        settings: how its stream is computed.
        change: applies the memory's settings to the run that is under way.
        changed: what came of that.
    """

    rate: gr.Number
    max_frames: gr.Number
    settings: SettingsInputs
    change: gr.Button
    changed: gr.HTML


@dataclass(frozen=True)
class Share:
    """Links, and files to take away.

    Attributes:
        drawer: that holds them.
        link: to the read-only view.
        embedding: the same as a QR code, and for pages of other sites.
        eye: where the view looks from, while a link to it is copied.
        kept: until when the scene is.
        export: how far an export is, and then its file.
    """

    drawer: gr.Accordion
    link: gr.Textbox
    embedding: gr.HTML
    copy_owner: gr.Button
    copy_view: gr.Button
    eye: gr.Textbox
    revoke: gr.Button
    kept: gr.HTML
    delete: gr.Button
    format: gr.Dropdown
    prepare: gr.Button
    cancel: gr.Button
    export: gr.HTML


def lay_out_advanced(models: list[LoadedModel], limits: InputLimits) -> Advanced:
    """The drawer of settings; the first model is the default."""
    with gr.Accordion("Advanced", open=False, elem_id="advanced"):
        with gr.Row():
            rate = gr.Number(
                0,
                label="FPS",
                info="taken from an uploaded video; 0: chosen by motion",
                minimum=0,
            )
            max_frames = gr.Number(
                limits.max_frames,
                label="Max frames",
                info="of a run",
                minimum=1,
                maximum=limits.max_frames,
                precision=0,
            )
            settings = SettingsInputs([model.name for model in models])
        change = gr.Button("Use this memory from the next frame on", size="sm", elem_id="change")
        changed = gr.HTML(elem_id="changed")
    return Advanced(rate, max_frames, settings, change, changed)


def lay_out_scenes() -> gr.Accordion:
    """The drawer of this browser's scenes, which the browser lists."""
    with gr.Accordion("My scenes", open=False, elem_id="scenes") as drawer:
        gr.HTML("<ul></ul>", elem_id="mine")
    return drawer


def lay_out_share(retention: str) -> Share:
    """The drawer of links and exports.

    Args:
        retention: what is kept how long, as HTML.
    """
    with gr.Accordion("Share & export", open=False, elem_id="share") as drawer, gr.Row():
        with gr.Column(min_width=280):
            link = gr.Textbox(
                label="Read-only link",
                info="whoever has it can watch, and replay it later",
                placeholder="Press Start first",
                interactive=False,
                buttons=["copy"],
                elem_id="link",
            )
            embedding = gr.HTML(elem_id="embedding")
            with gr.Row(elem_id="keys-row"):
                copy_owner = gr.Button("Copy my own link", size="sm", elem_id="copy-owner")
                copy_view = gr.Button("Copy a link to this view", size="sm", elem_id="copy-view")
                eye = gr.Textbox("", visible="hidden")
                revoke = gr.Button("Revoke the link", size="sm", elem_id="revoke")
            kept = gr.HTML(elem_id="kept")
            delete = gr.Button(
                "Delete this scene and its clip now", variant="stop", size="sm", elem_id="delete"
            )
            gr.HTML(retention, elem_id="retention")
        with gr.Column(min_width=280):
            choices = [(form.title, name) for name, form in FORMATS.items()]
            form = gr.Dropdown(
                choices,
                value="glb",
                label="Export as",
                info="by the cameras that are shown",
                elem_id="format",
            )
            with gr.Row():
                prepare = gr.Button("Prepare the file", size="sm")
                cancel = gr.Button("Cancel", size="sm", interactive=False)
            export = gr.HTML(elem_id="export")
    return Share(
        drawer=drawer,
        link=link,
        embedding=embedding,
        copy_owner=copy_owner,
        copy_view=copy_view,
        eye=eye,
        revoke=revoke,
        kept=kept,
        delete=delete,
        format=form,
        prepare=prepare,
        cancel=cancel,
        export=export,
    )
