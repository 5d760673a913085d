"""Streams that step together say what they say alone, in their order, and fail each for itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import get_args

import numpy as np
import pytest
import torch

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.device_queue import DeviceQueue
from svggt.engine.step_queue import MOST_TOGETHER, StepQueue
from svggt.engine.stream import Stream, step_together
from svggt.errors import ModelOverflow
from svggt.model.policies import bounded, full, policy_of, window
from svggt.settings import Budget, MemoryPolicy, StreamSettings
from tests.conftest import make_frames
from tests.engine.test_stream import assert_equal

FRAMES = make_frames(8)
OTHERS = make_frames(8, seed=1)


def stepped(stream: Stream, count: int) -> Stream:
    """After some frames."""
    for frame in FRAMES[:count]:
        stream.step(frame)
    return stream


@pytest.mark.parametrize("policy", get_args(MemoryPolicy))
def test_together_they_say_what_they_say_alone(tiny: LoadedModel, policy: MemoryPolicy) -> None:
    """Also with a stream that remembers otherwise, and at other frames."""
    made = policy_of(StreamSettings("tiny", memory=policy, window=2))

    def streams() -> list[Stream]:
        kinds = [stepped(Stream(tiny, made), 3), Stream(tiny, made), Stream(tiny, full("int8"))]
        return [each for each in kinds if each.goes_with(kinds[0]) or each is kinds[0]]

    joint, alone = streams(), streams()
    for number in range(5):
        shown = [FRAMES[3 + number], OTHERS[number], FRAMES[number]][: len(joint)]
        said = step_together(joint, shown)
        for ours, stream, frame in zip(said, alone, shown, strict=True):
            theirs = stream.step(frame)
            assert not isinstance(ours, Exception)
            assert ours.number == theirs.number
            assert np.allclose(ours.depth, theirs.depth, rtol=1e-5)
            assert np.allclose(ours.cam_from_world, theirs.cam_from_world, atol=1e-5)
            assert np.allclose(ours.intrinsics, theirs.intrinsics, rtol=1e-4)  # a tangent near 0
            assert ours.memory_bytes == theirs.memory_bytes
    assert [stream.num_frames for stream in joint] == [stream.num_frames for stream in alone]


def test_those_that_differ_do_not_go_together(tiny: LoadedModel) -> None:
    stream = Stream(tiny, window(2))
    assert not stream.goes_with(stream)
    assert not stream.goes_with(Stream(tiny, window(2), points=True))
    assert not stream.goes_with(Stream(tiny, bounded("residual", Budget(3, "frames"))))
    assert stream.goes_with(Stream(tiny, full()))


def test_who_cannot_take_its_frame_in_loses_nobody_elses(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One fails when all have been predicted: the others have their frame, once."""
    streams, undisturbed = ([Stream(tiny, window(2)) for _ in range(3)] for _ in range(2))

    def refuse(*_: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    with monkeypatch.context() as broken:
        broken.setattr(streams[1], "_commit", refuse)
        said = step_together(streams, [FRAMES[0]] * 3)
    assert isinstance(said[1], torch.OutOfMemoryError)
    assert [stream.num_frames for stream in streams] == [1, 0, 1]
    for i in (0, 2):
        undisturbed[i].step(FRAMES[0])
        assert_equal(streams[i].step(FRAMES[1]), undisturbed[i].step(FRAMES[1]))


def test_all_or_none(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [stepped(Stream(tiny, window(2)), count) for count in (2, 4)]
    undisturbed = [stepped(Stream(tiny, window(2)), count) for count in (2, 4)]
    frames = [FRAMES[2], FRAMES[4]]

    def refuse(*_: object) -> None:
        raise ModelOverflow("too much")

    with monkeypatch.context() as broken, pytest.raises(ModelOverflow):
        broken.setattr(streams[1], "_prepare", refuse)
        step_together(streams, frames)
    for ours, stream, frame in zip(
        step_together(streams, frames), undisturbed, frames, strict=True
    ):
        assert not isinstance(ours, Exception)
        assert_equal(ours, stream.step(frame))


class Held:
    """A device that computes nothing before it is let go."""

    def __init__(self, model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.device, self.sizes = DeviceQueue(), list[int]()
        self.queue, self._gate = StepQueue(self.device), threading.Event()
        self.device.submit(model, self._gate.wait)
        step = model.network.step

        def counted(images, *rest, **named):
            self.sizes.append(len(images))
            return step(images, *rest, **named)

        self.patch = monkeypatch
        monkeypatch.setattr(model.network, "step", counted)

    def let_go(self) -> None:
        self._gate.set()


@pytest.fixture
def held(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    made = Held(tiny, monkeypatch)
    yield made
    made.let_go()
    made.device.shutdown()


def test_what_waits_is_computed_together_with_the_first_that_it_goes_with(
    held: Held, tiny: LoadedModel
) -> None:
    """Five of one size and one of another: four, then that other one, then the fifth."""
    large = make_frames(1, height=84)[0]
    shown = [FRAMES[0], OTHERS[0], large, FRAMES[1], FRAMES[2], FRAMES[3]]
    expected = [Stream(tiny, window(2)).step(frame) for frame in shown]
    held.sizes.clear()
    streams = [Stream(tiny, window(2)) for _ in shown]
    answered = list[int]()
    answers = [held.queue.submit(*step) for step in zip(streams, shown, strict=True)]
    for i, answer in enumerate(answers):
        answer.add_done_callback(lambda _, i=i: answered.append(i))
    held.let_go()
    for answer, theirs in zip(answers, expected, strict=True):
        assert_equal(answer.result(timeout=60).result, theirs)
    assert held.sizes == [MOST_TOGETHER, 1, 1]
    assert answered == [0, 1, 3, 4, 2, 5]
    costs = [answer.result().seconds for answer in answers]
    assert len(set(np.array(costs)[[0, 1, 3, 4]])) == 1  # equal shares of one pass


def test_one_that_fails_fails_alone(held: Held, tiny: LoadedModel) -> None:
    """Its frame has another size than its stream; the others are taken in."""
    streams = [Stream(tiny, window(2)) for _ in range(3)]
    streams[1].step(make_frames(1, height=84)[0])
    answers = [held.queue.submit(*step) for step in zip(streams, [FRAMES[0]] * 3, strict=True)]
    held.let_go()
    with pytest.raises(ValueError, match="the stream's are"):
        answers[1].result(timeout=60)
    for answer in (answers[0], answers[2]):
        assert_equal(answer.result(timeout=60).result, Stream(tiny, window(2)).step(FRAMES[0]))
    assert [stream.num_frames for stream in streams] == [1, 1, 1]


def test_a_device_too_small_for_many_takes_fewer(held: Held, tiny: LoadedModel) -> None:
    """Nothing is lost, and from then on fewer go together."""
    counted = tiny.network.step

    def at_most_two(images, *rest, **named):
        if len(images) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return counted(images, *rest, **named)

    held.patch.setattr(tiny.network, "step", at_most_two)
    streams = [Stream(tiny, window(2)) for _ in range(4)]
    for frame in FRAMES[:2]:
        answers = [held.queue.submit(stream, frame) for stream in streams]
        held.let_go()
        said = [answer.result(timeout=60).result.number for answer in answers]
        assert said == [frame.number] * 4
    assert [stream.num_frames for stream in streams] == [2, 2, 2, 2]
    assert held.sizes[:4] == [1, 1, 1, 1] and 2 in held.sizes[4:] and max(held.sizes) <= 2


def test_weights_that_do_not_fit_are_told_to_who_waits(
    held: Held, tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_device(model: LoadedModel) -> None:
        raise RuntimeError("no room for the weights")

    monkeypatch.setattr(held.device.weights, "use", full_device)
    answer = held.queue.submit(Stream(tiny, window(2)), FRAMES[0])
    held.let_go()
    with pytest.raises(RuntimeError, match="no room"):
        answer.result(timeout=60)
    monkeypatch.undo()
    later = held.queue.submit(Stream(tiny, window(2)), FRAMES[0])
    assert later.result(timeout=60).result.number == 0
