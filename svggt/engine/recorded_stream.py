"""A stream whose frames and cameras go to disk: a session's run, a comparison's, the command's."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

from svggt.engine.worker import Step, Worker
from svggt.media.camera_stream import LiveClip
from svggt.media.clips import Clip
from svggt.media.frames import Frame
from svggt.refine.correction import Correction
from svggt.settings import StreamSettings
from svggt.store.recording import Recording


class RecordedStream:
    """Frames through a new stream into a recording. A run is resumed here, and nowhere else.

    What a recording holds already rebuilds the stream's memory: its frames go through the model
    again, and their cameras are refined anew, in one world with those that follow.

    Args:
        worker: gets the stream.
        settings: how it is computed.
        recording: the run's; what it holds now is rebuilt first.
        beside: it is a comparison's, and gives way to others; see `Worker.open`.

    Attributes:
        num_kept: frames that the recording held at the beginning.

    Raises:
        KeyError: no such model is loaded.
    """

    def __init__(
        self, worker: Worker, settings: StreamSettings, recording: Recording, beside: bool = False
    ) -> None:
        self.num_kept = len(recording.frames)
        self._worker, self._recording = worker, recording
        self._num_done = 0
        self._anew: list[Correction] = []  # corrections of frames that were kept
        self._stream_id = worker.open(settings, beside)

    def frames_of(self, clip: Clip | LiveClip, cancelled: Callable[[], bool]) -> Iterator[Frame]:
        """The frames kept, then those of the clip that come after them.

        Args:
            clip: where frames come from; a camera's are numbered after those that were kept.
            cancelled: asked while a frame is waited for.
        """
        kept, skipped = self._recording.frames, self.num_kept
        if isinstance(clip, LiveClip) and skipped:
            clip, skipped = replace(clip, after=kept.frame(skipped - 1)), 0
        yield from map(kept.frame, range(self.num_kept))
        yield from itertools.islice(clip.frames(cancelled), skipped, None)

    def steps(self, frames: Iterator[Frame]) -> Iterator[Step]:
        """Takes in frames and records what comes of them.

        Args:
            frames: number 0 at first; those that the recording holds, before new ones.

        Yields:
            A step a frame; of kept ones without corrections, which come with the last of them.
        """
        for frame in frames:
            step = self._worker.step(self._stream_id, frame)
            self._num_done = frame.number + 1
            if frame.number >= self.num_kept:
                self._recording.add(frame, step.prediction, step.corrections)
                yield step
            else:
                yield Step(step.prediction, self._rebuilt(step.corrections))

    def finalize(self) -> list[Correction]:
        """Records the corrections that come after the last frame.

        None where a run ended before its memory was rebuilt: they would tell of a part of what
        the recording holds.
        """
        if self._num_done < self.num_kept:
            return []
        corrections = self._worker.finalize(self._stream_id)
        self._recording.cameras.append(corrections)
        return corrections

    def close(self) -> None:
        """Ends the stream and frees its memory; closing twice is harmless."""
        self._worker.close(self._stream_id)

    def _rebuilt(self, corrections: list[Correction]) -> list[Correction]:
        """Collects corrections of kept frames: they replace those on disk all together."""
        self._anew += corrections
        if self._num_done < self.num_kept:
            return []
        self._recording.cameras.append(self._anew)
        return self._anew
