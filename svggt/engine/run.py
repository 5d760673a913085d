"""Frames through a stream into a recording: what a session does, and the command line too."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from svggt.engine.worker import Step, Worker
from svggt.media.camera_stream import LiveClip
from svggt.media.clips import Clip
from svggt.media.frames import Frame
from svggt.refine.correction import Correction
from svggt.store.recording import Recording


def with_kept_frames(
    recording: Recording, clip: Clip | LiveClip, cancelled: Callable[[], bool]
) -> Iterator[Frame]:
    """The frames of a recording, and then those of its clip that come after them."""
    kept = len(recording.frames)
    yield from recording.kept_frames()
    rest = clip.frames(cancelled)
    yield from rest if isinstance(clip, LiveClip) else itertools.islice(rest, kept, None)


def take(
    worker: Worker, stream_id: str, frames: Iterator[Frame], recording: Recording
) -> Iterator[Step]:
    """Runs frames through a stream and records what comes of them, one step at a time.

    Frames that the recording holds already rebuild the stream's memory: what the model says of
    them is there, but their cameras are refined anew, in one world with those that follow.

    Args:
        worker: has the stream.
        stream_id: of it; open, and without a frame so far.
        frames: from number 0 on.
        recording: of the run.

    Yields:
        A step a frame; of rebuilt ones without corrections, which come with the last of them.
    """
    kept = len(recording.frames)
    anew: list[Correction] = []
    for frame in frames:
        step = worker.step(stream_id, frame)
        if frame.number >= kept:
            recording.add(frame, step.prediction, step.corrections)
            yield step
            continue
        anew += step.corrections
        is_last = frame.number == kept - 1
        if is_last:
            recording.cameras.append(anew)
        yield Step(step.prediction, anew if is_last else [])


def settle(worker: Worker, stream_id: str, recording: Recording) -> list[Correction]:
    """Records the corrections that come after the last frame."""
    corrections = worker.settle(stream_id)
    recording.cameras.append(corrections)
    return corrections
