"""A session that comes back: its recording drawn, and how its run ended."""

from __future__ import annotations

import dataclasses

from svggt.errors import BadInput
from svggt.scene.scene import Scene
from svggt.session.progress import Progress
from svggt.store.recording import Recording


def restore(recording: Recording, scene: Scene) -> Progress:
    """Draws what a recording holds into an empty scene.

    Returns:
        How its run ended; one without an end was interrupted.

    Raises:
        BadInput: the recording is of another version.
    """
    if not recording.has_run:
        return Progress()
    about, corrections = recording.about, recording.cameras.read()
    if about is None:
        raise BadInput("This scene was kept by another version of this server.")
    scene.look(about.look)
    scene.reset(about.max_frames)
    seconds, latest = [], None
    for prediction in recording.frames.predictions():
        scene.add(prediction, corrections.get(prediction.number))
        seconds.append(prediction.seconds)
        latest = prediction
    scene.settle()
    progress = Progress(
        version=1,
        state=about.state,
        message=about.message,
        total=about.clip.total if about.clip else None,
        latest=latest,
        tracking=None if latest is None else corrections.get(latest.number),
        step_seconds=tuple(seconds),
        elapsed_s=about.elapsed_s,
    )
    return _interrupted(progress) if about.state == "running" else progress


def _interrupted(progress: Progress) -> Progress:
    """Its process was killed: its thread is no more."""
    return dataclasses.replace(progress, state="interrupted", message=progress.interrupted)
