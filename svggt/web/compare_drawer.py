"""What stands in the drawer that compares a run with another one. No behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import gradio as gr

from svggt.compare.aligned_frames import INKS
from svggt.compare.run_config import Mode
from svggt.settings import AUTO
from svggt.view_options import Cameras
from svggt.web.settings_inputs import OF_A_CLIP, SettingsInputs

SLIDER = {
    "depth": ("Depth A", "Depth B"),
    "confidence": ("Confidence A", "Confidence B"),
    "difference": ("RGB", "Difference"),
}
"""What the slider uncovers: names of `svggt.web.pictures.of_both`."""

_INKS = {"A": INKS[0], "B": INKS[1]}


@dataclass(frozen=True)
class Other:
    """What B is made of; see `svggt.web.compare_events.CompareEvents`.

    Attributes:
        every: begin again with every so many frames; 0: once.
        frames: the first so many; 0: all that are there.
    """

    mode: gr.Dropdown
    cameras: gr.Dropdown
    settings: SettingsInputs
    every: gr.Number
    frames: gr.Number

    @property
    def all(self) -> list[Any]:
        """All inputs."""
        return [self.mode, self.cameras, *self.settings.all, self.every, self.frames]


@dataclass(frozen=True)
class Compare:
    """A comparison's controls, and what comes of it.

    Attributes:
        drawer: that all of it is in.
        other: what B is made of.
        figures: how far it is, then the tables.
        plots: the newest frame's latency, and all time so far, by frames.
        results: what is there once figures are.
        strip: all pictures of a frame.
        both: a picture of both scenes.
        report: how far it is, and then where.
    """

    drawer: gr.Accordion
    other: Other
    begin: gr.Button
    cancel: gr.Button
    figures: gr.HTML
    plots: tuple[gr.LinePlot, gr.LinePlot]
    results: gr.Column
    what: gr.Radio
    slider: gr.ImageSlider
    strip: gr.HTML
    picture: gr.Button
    both: gr.Image
    make_report: gr.Button
    cancel_report: gr.Button
    report: gr.HTML


def lay_out_compare(models: list[str], cameras: Cameras) -> Compare:
    """The drawer; the first model is the default.

    Args:
        models: names to choose from.
        cameras: which B has at first.
    """
    with gr.Accordion("Compare with offline VGGT", open=False, elem_id="compare") as drawer:
        gr.HTML(
            "<p>A is the run above. B takes the same frames another way, beside it: offline sees "
            "all at once and must begin again for every new one.</p>"
        )
        other = _lay_out_other(models, cameras)
        with gr.Row(elem_id="compare-actions"):
            begin = gr.Button("Compare", size="sm", elem_id="begin-compare")
            cancel = gr.Button("Cancel", size="sm", interactive=False, elem_id="cancel-compare")
        figures = gr.HTML(elem_id="compared")
        with gr.Column(visible=False, elem_id="compare-results") as results:
            with gr.Row():
                plots = (_plot("Newest frame, ms", "ms"), _plot("All frames so far, s", "s"))
            what = gr.Radio(
                list(SLIDER), value="depth", label="Frame of the timeline", elem_id="uncover"
            )
            slider = gr.ImageSlider(
                interactive=False, show_label=False, buttons=[], elem_id="slider", max_height=420
            )
            strip = gr.HTML(elem_id="both-strip")
            with gr.Row():
                picture = gr.Button("Picture of both views", size="sm", elem_id="both-views")
                make_report = gr.Button("Make a report", size="sm", elem_id="make-report")
                cancel_report = gr.Button(
                    "Cancel the report", size="sm", visible=False, elem_id="cancel-report"
                )
            report = gr.HTML(elem_id="report")
            both = gr.Image(
                interactive=False,
                show_label=False,
                visible=False,
                format="png",
                buttons=["download"],
                elem_id="both",
            )
    return Compare(
        drawer=drawer,
        other=other,
        begin=begin,
        cancel=cancel,
        figures=figures,
        plots=plots,
        results=results,
        what=what,
        slider=slider,
        strip=strip,
        picture=picture,
        both=both,
        make_report=make_report,
        cancel_report=cancel_report,
        report=report,
    )


def _lay_out_other(models: list[str], cameras: Cameras) -> Other:
    with gr.Row(elem_id="ways"):
        return Other(
            mode=_choice(
                list(get_args(Mode)[::-1]), "offline", "B", "batch: at once, seeing the past only"
            ),
            cameras=_choice(["refined", "head"], cameras, "Cameras of B", "of figures and view"),
            settings=SettingsInputs([("as A", AUTO), *models], " of B", OF_A_CLIP),
            every=_number("Again every", "frames, 20 times at most; 0: once"),
            frames=_number("Frames", "the first so many; 0: all"),
        )


def _choice(choices: list[str], value: str, label: str, info: str) -> gr.Dropdown:
    return gr.Dropdown(choices, value=value, label=label, info=info or None, filterable=False)


def _number(label: str, info: str) -> gr.Number:
    return gr.Number(0, label=label, info=info, minimum=0, precision=0)


def _plot(title: str, y: str) -> gr.LinePlot:
    return gr.LinePlot(
        x="frames",
        y=y,
        color="run",
        title=title,
        color_map=_INKS,
        height=200,
        y_title=" ",
        x_title="frames so far",
        color_title=" ",
        buttons=[],
    )
