"""A session that comes back: its recording drawn, and how its run ended."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator

from svggt.errors import BadInput, DamagedFrame
from svggt.prediction import FramePrediction
from svggt.scene.scene import Scene
from svggt.session.progress import Progress, closed_loops
from svggt.store.frame_archive import FrameArchive
from svggt.store.recording import About, Recording

log = logging.getLogger(__name__)


def restore(recording: Recording, scene: Scene) -> Progress:
    """Draws what a recording holds into an empty scene.

    Returns:
        How its run ended; one without an end was interrupted.

    Raises:
        BadInput: the recording is damaged as a whole, or of another version.
    """
    if not recording.has_run:
        return Progress()
    about, (corrections, damaged) = recording.about, recording.cameras.examine()
    if about is None:
        raise BadInput(
            "What this scene was made by cannot be read: it is damaged on disk, or another version "
            "of this server kept it. Press Start for a new one."
        )
    scene.look(about.look)
    scene.reset(about.max_frames)
    seconds, latest = [], None
    for prediction in _whole(recording.frames):
        scene.add(prediction, corrections.get(prediction.number))
        seconds.append(prediction.seconds)
        latest = prediction
    scene.around.measure_in(recording.metres)
    scene.settle()
    progress = Progress(
        version=1,
        state=about.state,
        message=about.message,
        total=about.clip.total if about.clip else None,
        latest=latest,
        tracking=None if latest is None else corrections.get(latest.number),
        loops=closed_loops(corrections.values()),
        memory_changes=about.memory_changes,
        step_seconds=tuple(seconds),
        elapsed_s=about.elapsed_s,
    )
    if about.state == "running":
        progress = _interrupted(progress)
    cameras = _lost_cameras(progress, about, len(corrections), damaged)
    return _with_losses(progress, about, recording.frames, cameras)


def _interrupted(progress: Progress) -> Progress:
    """Its process was killed: its thread is no more."""
    return dataclasses.replace(progress, state="interrupted", message=progress.interrupted)


def _whole(frames: FrameArchive) -> Iterator[FramePrediction]:
    """Frames up to the first that is damaged, which is set aside."""
    for number in range(len(frames)):
        try:
            yield frames.load(number)
        except DamagedFrame:
            log.exception("a frame in %s is set aside", frames.folder)
            frames.set_aside(number)
            return


def _with_losses(progress: Progress, about: About, frames: FrameArchive, cameras: str) -> Progress:
    """Says what was lost on disk; frames are computed again where their clip is there.

    Args:
        progress: what could be read.
        about: what the run was made by.
        frames: some of which may lie on disk and cannot be reached.
        cameras: a sentence about refined cameras; empty where none was lost.
    """
    lost, thinned = frames.num_lost(), frames.num_thinned
    lost = max(lost, about.frames - progress.frames_done)
    sentences = [f"Damaged on disk: {progress.count} could be read, {lost} could not."]
    if lost <= 0:
        sentences = [progress.message]
    if lost <= 0 and not cameras:
        return progress
    can_resume = lost > 0 and about.clip is not None and progress.frames_done > 0 and not thinned
    if can_resume:
        sentences.append("Press Resume to compute the rest again.")
    state = "interrupted" if can_resume else progress.state
    message = " ".join([*sentences, cameras]).strip()
    return dataclasses.replace(progress, state=state, message=message)


def _lost_cameras(progress: Progress, about: About, refined: int, damaged: int) -> str:
    """A sentence about refined cameras that cannot be read; empty where all can."""
    lacking = 0
    if about.settings.refine and about.state in ("finished", "stopped"):  # each frame had one
        lacking = progress.frames_done - refined
    if lacking > 0:
        return f"{lacking} frames have no refined camera; the head's stand in."
    if damaged:
        return "Some refined cameras could not be read; older ones stand in."
    return ""
