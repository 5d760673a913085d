"""Steps of streams that wait for the device: what goes together is computed together."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from svggt.engine.device_queue import DeviceQueue, Measured
from svggt.engine.stream import Stream, step_together
from svggt.media.frames import Frame
from svggt.prediction import FramePrediction

log = logging.getLogger(__name__)

MOST_TOGETHER = 4
"""Streams of one pass; one that begins anew is two."""

_FORGIVING = 100  # passes, until after a full device as many go together as before


@dataclass(eq=False)
class _Step:
    """A frame that a stream is to take in, who waits for what it says, and its turn."""

    stream: Stream
    frame: Frame
    answer: Future[Measured[FramePrediction]] = field(default_factory=Future)
    turn: Future[Any] | None = None

    def goes_with(self, other: _Step) -> bool:
        same_size = self.frame.image.shape == other.frame.image.shape
        return same_size and self.stream.goes_with(other.stream)


class StepQueue:
    """Steps in the order that they were asked for, each with later ones that go with it.

    Args:
        device: whose turns they take.
        most: streams of one pass.
    """

    def __init__(self, device: DeviceQueue, most: int = MOST_TOGETHER) -> None:
        self._device, self._most = device, most
        self._room, self._passes = most, 0  # now, and since the device was full
        self._waiting: list[_Step] = []
        self._lock = threading.Lock()

    def submit(self, stream: Stream, frame: Frame) -> Future[Measured[FramePrediction]]:
        """Takes a frame in when the device's turn comes; see `Stream.step`.

        What it cost is its share of the pass that it was computed in.
        """
        step = _Step(stream, frame)
        with self._lock:  # before its turn begins it waits
            step.turn = self._device.submit(stream.model, partial(self._compute, step))
            self._waiting.append(step)
        step.turn.add_done_callback(partial(self._answer, step))
        return step.answer

    def _compute(self, step: _Step) -> list[tuple[_Step, FramePrediction | Exception]]:
        """A step and those that go with it."""
        steps = self._take(step)
        try:
            return list(zip(steps, self._said(steps), strict=True))
        except BaseException as error:
            for each in steps[1:]:  # the first one's turn says it
                each.answer.set_exception(error)
            raise

    def _take(self, step: _Step) -> list[_Step]:
        """A step and others that go with it; these wait no more, and need no turn of their own."""
        with self._lock:
            steps, lanes = [step], step.stream.num_lanes
            for each in self._waiting:
                if lanes + each.stream.num_lanes <= self._room and each.goes_with(step):
                    steps.append(each)
                    lanes += each.stream.num_lanes
            self._waiting = [each for each in self._waiting if each not in steps]
        for each in steps[1:]:
            assert each.turn is not None
            each.turn.cancel()
        return steps

    def _said(self, steps: list[_Step]) -> list[FramePrediction | Exception]:
        """What each stream says; together if that goes, else each for itself."""
        self._passes += 1
        if self._passes >= _FORGIVING:
            self._room = self._most
        if len(steps) > 1:
            streams, frames = [each.stream for each in steps], [each.frame for each in steps]
            try:
                return step_together(streams, frames)
            except torch.OutOfMemoryError:
                log.warning("the device has no room for %d streams in one pass", len(steps))
                self._room, self._passes = max(1, len(steps) // 2), 0
            except Exception as error:  # noqa: BLE001  # of one of them: each alone will say
                log.debug("a step of %d streams failed: %s", len(steps), error)
        return [_alone(each) for each in steps]

    def _answer(
        self, step: _Step, turn: Future[Measured[list[tuple[_Step, FramePrediction | Exception]]]]
    ) -> None:
        """Tells all whose steps a turn has computed."""
        if turn.cancelled():  # it was computed in another's
            return
        error = turn.exception()
        if error is not None:  # as of a device that has no room for the weights
            with self._lock:
                self._waiting = [each for each in self._waiting if each is not step]
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
