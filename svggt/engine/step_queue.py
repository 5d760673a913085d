"""Steps of streams that wait for the device: what goes together is computed together."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

import torch

from svggt.engine.device_queue import DeviceQueue, Measured
from svggt.engine.stream import Stream, step_together
from svggt.media.frames import Frame
from svggt.prediction import FramePrediction

log = logging.getLogger(__name__)

MOST_TOGETHER = 4
"""Streams of one pass: a frame waits for at most so many others' work."""


@dataclass(frozen=True, eq=False)
class _Step:
    """A frame that a stream is to take in, and who waits for what it says."""

    stream: Stream
    frame: Frame
    answer: Future[Measured[FramePrediction]] = field(default_factory=Future)

    def goes_with(self, other: _Step) -> bool:
        same_size = self.frame.image.shape == other.frame.image.shape
        return same_size and self.stream.goes_with(other.stream)


class StepQueue:
    """Steps in the order that they were asked for, each with others that wait and go with it.

    Args:
        device: whose turns they take.
        most: streams of one pass.
    """

    def __init__(self, device: DeviceQueue, most: int = MOST_TOGETHER) -> None:
        self._device, self._most = device, most
        self._waiting: list[_Step] = []
        self._lock = threading.Lock()

    def submit(self, stream: Stream, frame: Frame) -> Future[Measured[FramePrediction]]:
        """Takes a frame in when the device's turn comes; see `Stream.step`.

        What it cost is its share of the pass that it was computed in.
        """
        step = _Step(stream, frame)
        with self._lock:
            self._waiting.append(step)
        # A turn for each, of which some find nothing to do: others' turns did it.
        turn = self._device.submit(stream.model, partial(self._compute, step))
        turn.add_done_callback(partial(self._answer, step))
        return step.answer

    def _compute(self, step: _Step) -> list[tuple[_Step, FramePrediction | Exception]]:
        """A step and those that go with it; none if it was done with another."""
        steps = self._take(step)
        if len(steps) > 1:
            streams, frames = [each.stream for each in steps], [each.frame for each in steps]
            try:
                return list(zip(steps, step_together(streams, frames), strict=True))
            except torch.OutOfMemoryError:
                self._most = len(steps) // 2  # from now on
            except Exception as error:  # noqa: BLE001  # of one of them: each alone will say
                log.debug("a step of %d streams failed: %s", len(steps), error)
        return [(each, _alone(each)) for each in steps]

    def _take(self, step: _Step) -> list[_Step]:
        """A step that waits, and others that go with it; they wait no more."""
        with self._lock:
            if step not in self._waiting:
                return []
            others = [each for each in self._waiting if each.goes_with(step)]
            steps = [step, *others][: self._most]
            self._waiting = [each for each in self._waiting if each not in steps]
        return steps

    def _answer(
        self, step: _Step, turn: Future[Measured[list[tuple[_Step, FramePrediction | Exception]]]]
    ) -> None:
        """Tells all whose steps a turn has computed."""
        error = turn.exception()
        if error is not None:  # the device has no room for the weights
            with self._lock:
                waits = step in self._waiting
                self._waiting = [each for each in self._waiting if each is not step]
            if waits:
                step.answer.set_exception(error)
            return
        done = turn.result()
        for each, said in done.result:
            if isinstance(said, Exception):
                each.answer.set_exception(said)
            else:
                share = done.seconds / len(done.result)
                each.answer.set_result(Measured(said, share, done.peak_bytes))


def _alone(step: _Step) -> FramePrediction | Exception:
    """What a stream says by itself, or why not."""
    try:
        return step.stream.step(step.frame)
    except Exception as error:  # noqa: BLE001  # whoever waits for it raises it
        return error
