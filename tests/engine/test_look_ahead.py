"""A frame is predicted while the camera before it is refined, and nothing changes by it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.frame_source import nothing, with_next
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.engine.recorded_stream import RecordedStream
from svggt.engine.worker import Step
from svggt.errors import BadInput
from svggt.media.frames import Frame
from svggt.settings import MemoryPolicy, StreamSettings
from svggt.store.recording import About, Recording
from svggt.view_options import ViewOptions
from tests.conftest import PATIENCE, make_frames
from tests.engine.passes import passing

SETTINGS = StreamSettings("tiny", window=2)
BEGUN = About(SETTINGS, None, 50, ViewOptions(), 0.0)


def stepped(worker: LocalWorker, stream_id: str, frames: list[Frame], ahead: bool) -> list[Step]:
    """Frames one by one, each with the next one at hand or not."""
    coming = [*frames[1:], None] if ahead else [None] * len(frames)
    return [
        worker.step(stream_id, frame, lambda then=then: then)
        for frame, then in zip(frames, coming, strict=True)
    ]


def assert_same(ours: list[Step], theirs: list[Step], rounding: float = 0.0) -> None:
    for one, other in zip(ours, theirs, strict=True):
        said, expected = one.prediction, other.prediction
        assert said.number == expected.number and said.memory_bytes == expected.memory_bytes
        assert np.allclose(said.depth, expected.depth, rtol=rounding, atol=0)
        cameras = said.cam_from_world, expected.cam_from_world
        assert np.allclose(*cameras, rtol=rounding, atol=rounding)


@pytest.mark.parametrize("policy", get_args(MemoryPolicy))
def test_steps_say_what_they_say_without(worker: LocalWorker, policy: MemoryPolicy) -> None:
    """Of memories that ask where cameras are none is predicted ahead: see below."""
    settings = StreamSettings("tiny", memory=policy, window=6, refine=True)
    ours, theirs = (
        stepped(worker, worker.open(settings), make_frames(12), ahead) for ahead in (True, False)
    )
    assert_same(ours, theirs)


def test_the_next_one_is_begun_with_where_it_is_there(worker: LocalWorker) -> None:
    frames = make_frames(2)
    for settings, ahead, begun in (
        (SETTINGS, True, True),
        (SETTINGS, False, False),
        (StreamSettings("tiny", memory="coverage", refine=True), True, False),
    ):
        stream_id = worker.open(settings)
        worker.step(stream_id, frames[0], lambda ahead=ahead: frames[1] if ahead else None)
        asked = worker._streams[stream_id].ahead
        assert (asked is not None) == begun
        assert asked is None or asked.frame is frames[1]


def test_one_that_waits_on_disk_keeps_what_was_predicted_ahead(
    worker: LocalWorker, tiny: LoadedModel
) -> None:
    """Two streams that have room for one take turns."""
    frames, others = make_frames(8), make_frames(8, seed=1)
    alone = [stepped(worker, worker.open(SETTINGS), each, False) for each in (frames, others)]
    budget = int(1.5 * alone[0][-1].prediction.memory_bytes)
    tight = LocalWorker(ModelRegistry([tiny]), cache_bytes=budget)
    ids, said, parked = [tight.open(SETTINGS) for _ in range(2)], ([], []), 0
    for number in range(8):
        for stream_id, clip, told in zip(ids, (frames, others), said, strict=True):
            then = clip[number + 1] if number < 7 else None
            told.append(tight.step(stream_id, clip[number], lambda then=then: then))
            parked += any(each.parked is not None for each in tight._streams.values())
    tight.shutdown()
    assert parked > 0
    for ours, theirs in zip(said, alone, strict=True):
        assert_same(ours, theirs, rounding=1e-5)  # some of them were computed together


def test_a_frame_that_fails_ahead_says_so_in_its_own_step(worker: LocalWorker) -> None:
    frames, other = make_frames(4), make_frames(1, height=70)[0]
    stream_id = worker.open(SETTINGS)
    said = [worker.step(stream_id, frames[0], lambda: other)]
    with pytest.raises(ValueError, match="the stream's are"):
        worker.step(stream_id, other)
    said += stepped(worker, stream_id, frames[1:], True)
    assert_same(said, stepped(worker, worker.open(SETTINGS), frames, False))


def test_who_waits_for_a_gap_gets_one(worker: LocalWorker) -> None:
    """Nothing is asked for ahead while a pass beside the stream computes or waits."""
    frames, stream_id = make_frames(5), worker.open(SETTINGS)
    with passing(worker, SETTINGS, frames) as pieces:
        until = time.monotonic() + PATIENCE
        while not pieces and time.monotonic() < until:
            time.sleep(0.001)
        for frame, then in pairwise(frames[:4]):
            worker.step(stream_id, frame, lambda then=then: then)
            assert worker._streams[stream_id].ahead is None
    worker.step(stream_id, frames[3], lambda: frames[4])
    assert worker._streams[stream_id].ahead is not None


def test_what_is_remembered_is_told_as_it_was_when_asked_ahead(worker: LocalWorker) -> None:
    frames, stream_id = make_frames(4), worker.open(StreamSettings("tiny", memory="full"))
    for number, (frame, then) in enumerate(pairwise(frames)):
        worker._streams[stream_id].mapped_s = 0.0  # it is time to look
        worker.step(stream_id, frame, lambda then=then: then)
        told = worker.memory_map(stream_id)
        assert told is not None and told.frames.tolist() == list(range(number + 1))


def test_stop_takes_what_was_begun_with_and_no_more(worker: LocalWorker, tmp_path: Path) -> None:
    """The next frame has been read by then."""
    for name, stops_at, taken in (("in", 5, 6), ("after", 6, 8)):
        recording, stop = Recording(tmp_path / name), threading.Event()
        recording.begin(BEGUN)
        stream, step = RecordedStream(worker, SETTINGS, recording), worker.step

        def stopping(stream_id, frame, then, stop=stop, at=stops_at, name=name, step=step):
            if name == "in" and frame.number == at:
                stop.set()
            until = time.monotonic() + PATIENCE
            while not stop.is_set() and then is not nothing and then() is None:
                assert time.monotonic() < until  # until the next one was read
            said = step(stream_id, frame, then)
            if name == "after" and frame.number == at:
                stop.set()
            return said

        worker.step = stopping
        said = [each.prediction.number for each in stream.steps(iter(make_frames(12)), stop.is_set)]
        worker.step = step
        assert said == list(range(taken)) and len(recording.frames) == taken
        assert stream.suspend()  # nothing is ahead
        stream.close()


def test_who_gives_up_waits_for_no_frame() -> None:
    """A picture that takes for ever: a run that fails before says so at once."""
    gate = threading.Event()

    def slow() -> Iterator[Frame]:
        yield from make_frames(1)
        gate.wait()

    pairs = with_next(slow())
    next(pairs)
    pairs.close()
    gate.set()


def test_what_came_before_a_break_is_recorded(worker: LocalWorker, tmp_path: Path) -> None:
    """A picture in the middle of a clip cannot be read."""

    def broken() -> Iterator[Frame]:
        yield from make_frames(5)
        raise BadInput("It is damaged.")

    recording = Recording(tmp_path / "run")
    recording.begin(BEGUN)
    stream = RecordedStream(worker, SETTINGS, recording)
    with pytest.raises(BadInput, match="damaged"):
        list(stream.steps(broken()))
    assert len(recording.frames) == 5
    stream.close()


def test_a_slow_source_delays_no_frame_that_is_there() -> None:
    gate = threading.Event()

    def slow() -> Iterator[Frame]:
        frames = make_frames(3)
        yield from frames[:2]
        gate.wait()
        yield frames[2]

    shown = []
    for frame, then in with_next(slow()):
        shown.append(frame.number)
        if frame.number == 1:
            assert then() is None
            gate.set()
    assert shown == [0, 1, 2]


def test_of_a_camera_no_picture_is_taken_before_its_time() -> None:
    taken = []

    def camera() -> Iterator[Frame]:
        for frame in make_frames(3):
            taken.append(frame.number)
            yield frame

    for frame, then in with_next(camera(), live=True):
        assert taken[-1] == frame.number and then() is None


@pytest.mark.parametrize("end", [10, 11, 20])
def test_a_memory_is_changed_while_the_next_frame_is_predicted(
    worker: LocalWorker, tmp_path: Path, end: int
) -> None:
    """It counts from the frame that it says, also where the run was killed and is resumed."""
    frames, other = make_frames(24), StreamSettings("tiny", window=1)
    killed = Recording(tmp_path / "killed")
    killed.begin(BEGUN)
    stream = RecordedStream(worker, SETTINGS, killed)
    for step in stream.steps(iter(frames[:end])):
        if step.prediction.number == 9:
            stream.change_memory(other)
    about = killed.about
    assert about is not None
    ((changed, _),) = about.memory_changes
    assert changed in (10, 11)
    again = list(RecordedStream(worker, about.settings, killed).steps(iter(frames)))
    stream_id = worker.open(SETTINGS)
    expected = stepped(worker, stream_id, frames[:changed], False)
    worker.change_memory(stream_id, other, lambda number: None)
    expected += stepped(worker, stream_id, frames[changed:], False)
    assert_same(again, expected)
