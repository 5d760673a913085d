"""What the page shows of a session: values of its components, by component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from svggt.errors import DamagedFrame
from svggt.media.examples import Example
from svggt.session.progress import Progress
from svggt.session.session import Session
from svggt.store.store import Tokens
from svggt.view_options import ViewOptions
from svggt.web import layout, panels, pictures, view_controls
from svggt.web.layout import Controls
from svggt.web.replay import embedded_address, report_address, shared_address

Changes = dict[Any, Any]

POLL_SECONDS = 0.15
"""Between two looks at what goes on in another thread, of whoever shows it."""

_PICTURES = 6  # of remembered frames


@dataclass(frozen=True)
class SessionWatcher:
    """Who looks at a session.

    Attributes:
        session: that is looked at.
        owns: whether its controls are there too.
        kept_until: seconds since 1970.
    """

    session: Session
    owns: bool
    kept_until: float


def refused(c: Controls, sentence: str) -> Changes:
    """Only the status changes."""
    return {c.status: panels.failure(sentence)}


def opened(c: Controls, watcher: SessionWatcher, origin: str, why: str) -> Changes:
    """The view of a session that was not shown before, its keys and its links.

    Args:
        c: the page's components.
        watcher: who looks at what.
        origin: scheme://host that this page was opened by.
        why: what the cameras shown are.
    """
    tokens, owns = watcher.session.tokens, watcher.owns
    return {
        c.token: tokens.owner if owns else None,
        **linked(c, tokens, owns, origin),
        c.view.frame: _view(watcher),
        c.view.why: why if owns else _looks_on(watcher) + why,
        c.share.export: "",
        **controls_of(c.view, watcher.session.scene.flags),
    }


def linked(c: Controls, tokens: Tokens, owns: bool, origin: str) -> Changes:
    """What the browser keeps of a session's keys, and the link to share."""
    link, embedded = f"{origin}/?s={tokens.reader}", origin + embedded_address(tokens.reader)
    return {
        c.keys: f"{tokens.reader} {tokens.owner if owns else ''}",
        c.share.link: link,
        c.share.embedding: panels.embedding(link, embedded),
    }


def uncompared(c: Controls) -> Changes:
    """As before any comparison: the run that one was of is no more."""
    return {
        c.view.beside: "",
        c.view.painted: gr.Row(visible=False),
        c.compare.figures: "",
        c.compare.results: gr.Column(visible=False),
    }


def emptied(c: Controls, example: Example, message: str) -> Changes:
    """The page as it was before any scene; its example's recording plays.

    Args:
        c: the page's components.
        example: that is chosen.
        message: what became of the last scene, for people.
    """
    flags = controls_of(c.view, ViewOptions())
    del flags[c.view.cameras]  # they are chosen by the weights
    return {
        **flags,
        **watched(c, None, Progress(message=message) if message else Progress()),
        **uncompared(c),
        c.token: None,
        c.keys: "",
        c.share.link: "",
        c.share.embedding: "",
        c.share.kept: "",
        c.share.export: "",
        c.view.frame: view_controls.replay_of(example),
        c.view.why: f"<p>{view_controls.replay_title(example)}.</p>",
        c.view.closer.picture: None,
        c.source.camera: layout.CAMERA,
    }


def watched(c: Controls, watcher: SessionWatcher | None, progress: Progress) -> Changes:
    """Status, figures, buttons and timeline of a run; None: of no session."""
    running, empty = progress.state == "running", progress.state == "empty"
    changes: Changes = {
        c.status: panels.status(progress),
        c.live: panels.live(progress, _remembered(watcher, progress)),
        # What makes sense now can be pressed.
        c.start: gr.Button(interactive=not running),
        c.resume: gr.Button(visible=progress.can_resume and watcher is not None),
        c.stop: gr.Button(interactive=running),
        c.clear: gr.Button(interactive=not empty),
        **_timeline(c, watcher, progress),
    }
    if watcher is not None and not running:
        changes[c.share.kept] = panels.kept_until(watcher.kept_until)
        if not watcher.owns:  # the run has ended: a replay of one's own
            changes[c.view.frame] = _view(watcher)
    return changes


def _remembered(
    watcher: SessionWatcher | None, progress: Progress
) -> dict[str, pictures.Picture | None]:
    """Pictures of some of the frames that are remembered, the first one among them.

    The newest is whole whatever is kept, and lies above.
    """
    memory = progress.memory
    if watcher is None or memory is None or len(memory.frames) < 2:
        return {}
    older = np.arange(len(memory.frames) - 1)
    chosen = older[np.unique(np.linspace(0, len(older) - 1, _PICTURES).round().astype(int))]
    shown: dict[str, pictures.Picture | None] = {}
    for index in chosen.tolist():
        number = int(memory.frames[index])
        try:
            image = watcher.session.thumbnail(number)
        except (KeyError, DamagedFrame):
            continue
        shown[f"Frame {number + 1}"] = pictures.remembered(image, memory.patches(index))
    return shown


def controls_of(v: view_controls.ViewInputs, look: ViewOptions) -> Changes:
    """Values of the view's flags; see `view_events.look_of`."""
    flags = (
        look.far, look.sky, look.trajectory, look.frustums, look.floor, look.follow,
    )  # fmt: skip
    parts = [part for part, on in zip(view_controls.PARTS, flags, strict=True) if on]
    return {
        v.show: look.show,
        v.cameras: look.cameras,
        v.draw_as: look.draw_as,
        v.confirmed: look.confirmed,
        v.point_size: look.point_size,
        v.parts: parts,
    }


def _looks_on(watcher: SessionWatcher) -> str:
    session, report = watcher.session, ""
    if session.comparison is not None and session.comparison.progress.outcome is not None:
        address = report_address(session.tokens.reader)
        report = f' <a href="{address}" target="_blank" rel="noopener">Report of a comparison</a>.'
    return f"<p>Read-only: the owner controls this run.{report}</p>"


def _view(watcher: SessionWatcher) -> str:
    """The 3D view: the owner's own, a reader's that is live, or a reader's replay."""
    tokens = watcher.session.tokens
    if watcher.owns:
        return panels.viewer(f"/viser/{tokens.view}/", "3D scene of your clip")
    if watcher.session.running:
        return panels.viewer(f"/viser/{tokens.reader}/", "3D scene, as it grows")
    return panels.viewer(shared_address(tokens.reader), "Replay of the 3D scene")


def _timeline(c: Controls, watcher: SessionWatcher | None, progress: Progress) -> Changes:
    """Slider, play button and picture of a run's moment."""
    done, running = progress.frames_done, progress.state == "running"
    moment = 1 + watcher.session.scene.moment if watcher is not None and done else 1
    changes: Changes = {
        c.view.moment: gr.Slider(maximum=max(done, 2), value=max(moment, 1), interactive=done > 1),
        c.view.play: gr.Button("Play", interactive=done > 1 and not running),
    }
    if progress.latest is not None and not running:
        changes[c.view.closer.picture] = pictures.picture(progress.latest, "RGB")
    return changes
