"""What a run's progress changes on the page: the outputs of its events, in their order."""

from __future__ import annotations

from typing import Any

import gradio as gr

from svggt.progress import Progress
from svggt.session import Session
from svggt.web import panels

BEFORE_WATCHED = 4
"""Outputs of Start that come before those which follow a run."""


def refused(sentence: str) -> tuple[Any, ...]:
    """Of Start's outputs only the status changes."""
    return (*[gr.skip()] * BEFORE_WATCHED, panels.failure(sentence), *[gr.skip()] * 7)


def watched(session: Session | None, progress: Progress) -> tuple[Any, ...]:
    """Status, figures, buttons and timeline of a run; None: of no session."""
    return (
        panels.status(progress),
        panels.live(progress),
        *_buttons(progress),
        *_timeline(session, progress),
    )


def _timeline(session: Session | None, progress: Progress) -> tuple[Any, ...]:
    """Slider, play button and picture of a run's moment."""
    done, running = progress.frames_done, progress.state == "running"
    moment = 1 + session.scene.moment if session is not None and done else 1
    slider = gr.Slider(maximum=max(done, 2), value=max(moment, 1), interactive=done > 1)
    play = gr.Button("Play", interactive=done > 1 and not running)
    if progress.latest is None or running:
        return slider, play, gr.skip()
    return slider, play, panels.picture(progress.latest, "RGB")


def _buttons(progress: Progress) -> tuple[gr.Button, gr.Button, gr.Button]:
    """Start, Stop, Clear: what makes sense now can be pressed."""
    running, empty = progress.state == "running", progress.state == "empty"
    return (
        gr.Button(interactive=not running),
        gr.Button(interactive=running),
        gr.Button(interactive=not empty),
    )
