"""What stands in and under the 3D view: its flags, the timeline, the frame as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import gradio as gr

from svggt.compare.aligned_frames import Paint
from svggt.engine.checkpoints import LoadedModel
from svggt.media.examples import EXAMPLES, Example
from svggt.view_options import CONFIRMED, MOST_CONFIRMED, Cameras, DrawAs
from svggt.web import panels
from svggt.web.replay import replay_address

FOLLOW = "follow the camera"
PARTS = ("far points", "sky", "trajectory", "frustums", "grid", FOLLOW)
FIRST_PARTS = tuple(part for part in PARTS if part not in ("sky", FOLLOW))
MEASURE, TRACK = "measure", "track"
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "ft": 0.3048, "in": 0.0254}
"""Metres of each."""
PLAY_SECONDS = 0.1  # between two steps of the timeline


@dataclass(frozen=True)
class CloserInputs:
    """The frame shown as a picture, to measure in.

    Attributes:
        what: RGB, depth or confidence.
        clicks: what a click in it does; hidden where the weights have no track head.
        track: a point that is followed.
        known: a length of the scene that a visitor knows.
        unit: of that.
    """

    what: gr.Radio
    picture: gr.Image
    clicks: gr.Radio
    track: gr.State
    known: gr.Number
    unit: gr.Dropdown
    measured: gr.HTML


@dataclass(frozen=True)
class ViewInputs:
    """What drives the 3D view: its flags, its moment, its eye.

    Attributes:
        beside: the view of another run, beside `frame`; empty at first.
        painted: how it is drawn; there once it is.
        legend: what its colours mean.
        moment: number of the frame shown, from 1.
        clock: ticks while the timeline plays.
        playing: where it began, or None.
        closer: the frame shown as a picture.
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
    draw_as: gr.Radio
    confirmed: gr.Slider
    point_size: gr.Slider
    parts: gr.CheckboxGroup
    through: gr.Button
    reset: gr.Button
    film: gr.Button
    shot: gr.Button
    full: gr.Button
    keys: gr.Button
    why: gr.HTML
    closer: CloserInputs

    @property
    def look(self) -> list[gr.Radio | gr.Slider | gr.CheckboxGroup]:
        """What `ViewOptions` is made of; see `svggt.web.view_events.look_of`."""
        return [
            self.show, self.cameras, self.draw_as, self.confirmed, self.point_size, self.parts,
        ]  # fmt: skip


def replay_title(example: Example) -> str:
    """What is seen before a run, and which model made it."""
    return f"Recorded replay of “{example.title}”, made with the embedded weights"


def replay_of(example: Example, waits: bool = False) -> str:
    """The 3D view with an example's recording; see `panels.viewer`."""
    return panels.viewer(replay_address(example.name), replay_title(example), waits)


def lay_out_view(model: LoadedModel, cameras: Cameras) -> ViewInputs:
    """The view, with what drives it; the first example's replay plays in it.

    Args:
        model: that runs begin with.
        cameras: shown at first.
    """
    first = EXAMPLES[0]
    with gr.Column(elem_id="eye"):
        with gr.Row(elem_id="views"):
            frame, beside = gr.HTML(replay_of(first, waits=True)), gr.HTML(elem_id="beside")
            gr.HTML(panels.swipe(), elem_id="swipe")
        with gr.Row(elem_id="choices"):
            show = gr.Radio(["all frames", "one frame"], value="all frames", label="Points of")
            camera = gr.Radio(["refined", "head"], value=cameras, label="Cameras")
            reset = gr.Button("Overview", elem_id="reset", size="sm", min_width=0)
            through = gr.Button("Look through", elem_id="through", size="sm", min_width=0)
            film = gr.Button("Film", elem_id="film", size="sm", min_width=0)
            shot = gr.Button("Picture", elem_id="shot", size="sm", min_width=0)
            full = gr.Button("Full screen", elem_id="full", size="sm", min_width=0)
            keys = gr.Button("Help", elem_id="keys-button", size="sm", min_width=0)
            draw_as, confirmed, size, parts = _lay_out_flags()
        why = gr.HTML(f"<p>{replay_title(first)}.</p>", elem_id="why")
        gr.HTML(panels.help_of_keys(), elem_id="help")
        play, moment, speed = _lay_out_timeline()
    painted, paint, legend = _lay_out_paint()
    return ViewInputs(
        frame=frame,
        beside=beside,
        painted=painted,
        paint=paint,
        legend=legend,
        play=play,
        moment=moment,
        speed=speed,
        clock=gr.Timer(PLAY_SECONDS, active=False),
        playing=gr.State(None),
        show=show,
        cameras=camera,
        draw_as=draw_as,
        confirmed=confirmed,
        point_size=size,
        parts=parts,
        through=through,
        reset=reset,
        film=film,
        shot=shot,
        full=full,
        keys=keys,
        why=why,
        closer=_lay_out_closer(model),
    )


def _lay_out_flags() -> tuple[gr.Radio, gr.Slider, gr.Slider, gr.CheckboxGroup]:
    """How points are drawn, by how many views confirmed, their size, and what else is shown."""
    with gr.Accordion("View", open=False, elem_id="flags"):
        draw_as = gr.Radio(
            list(get_args(DrawAs)),
            value="points",
            label="Drawn as",
            info="Surfels are smooth: of all frames, once none comes; they want a GPU.",
        )
        confirmed = gr.Slider(
            0,
            MOST_CONFIRMED,
            value=CONFIRMED,
            step=1,
            label="Points confirmed by n other views",
            buttons=[],
        )
        size = gr.Slider(0.5, 3.0, value=1.0, step=0.25, label="Size of points", buttons=[])
        parts = gr.CheckboxGroup(list(PARTS), value=list(FIRST_PARTS), label="Also shown")
    return draw_as, confirmed, size, parts


def _lay_out_timeline() -> tuple[gr.Button, gr.Slider, gr.Dropdown]:
    """Play, the moment shown, and how fast it plays."""
    with gr.Row(elem_id="timeline"):
        play = gr.Button("Play", interactive=False, elem_id="play", min_width=0)
        moment = gr.Slider(
            1, 2, value=1, step=1, label="Frame", interactive=False, elem_id="moment",
            buttons=[],
        )  # fmt: skip
        speed = gr.Dropdown(
            [("½ ×", 0.5), ("1 ×", 1.0), ("2 ×", 2.0), ("4 ×", 4.0)],
            value=1.0,
            label="Speed",
            min_width=84,
            filterable=False,
            elem_id="speed",
        )
    return play, moment, speed


def _lay_out_paint() -> tuple[gr.Row, gr.Radio, gr.HTML]:
    """How a comparison is drawn, hidden at first, and what its colours mean."""
    with gr.Row(visible=False, elem_id="paint-row") as painted:
        paint = gr.Radio(
            list(get_args(Paint)),
            value="side by side",
            label="How A and B are shown",
            show_label=False,
            elem_id="paint",
        )
        legend = gr.HTML(panels.legend("side by side"), elem_id="legend")
    return painted, paint, legend


def _lay_out_closer(model: LoadedModel) -> CloserInputs:
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
                None, label="Known length", info="of what you clicked last; exports are metric then"
            )
            unit = gr.Dropdown(list(UNITS), value="m", label="Unit", filterable=False)
    return CloserInputs(
        what=what,
        picture=picture,
        clicks=clicks,
        track=gr.State(None),
        known=known,
        unit=unit,
        measured=measured,
    )
