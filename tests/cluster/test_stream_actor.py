"""What a worker of a cluster refuses, and what it tells of calls under way; without Ray."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from svggt.cluster import stream_actor
from svggt.cluster.cluster import check_alike
from svggt.cluster.long_calls import LongCalls
from svggt.cluster.stream_actor import Build, StreamActor, code_hash
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.errors import Busy, Cancelled, ClusterRefused, StreamLost
from svggt.settings import StreamSettings
from tests.conftest import make_frames, wait_for

SETTINGS = StreamSettings("tiny", window=2)
FRAMES = make_frames(6)


@pytest.fixture
def actor(worker: LocalWorker) -> StreamActor:
    return StreamActor(worker, 8_000_000_000)


@pytest.fixture
def elsewhere(tiny: LoadedModel) -> Iterator[StreamActor]:
    worker = LocalWorker(ModelRegistry([tiny]))
    yield StreamActor(worker, 8_000_000_000)
    worker.shutdown()


def test_a_stream_goes_on_elsewhere_bit_for_bit(actor: StreamActor, elsewhere: StreamActor) -> None:
    actor.open("a", 0, SETTINGS, False, None)
    for frame in FRAMES[:3]:
        actor.step("a", 0, frame)
    elsewhere.open("a", 1, SETTINGS, False, actor.snapshot("a", 0))
    for frame in FRAMES[3:]:
        (one, _), (other, _) = actor.step("a", 0, frame), elsewhere.step("a", 1, frame)
        assert np.array_equal(one.prediction.depth, other.prediction.depth)


def test_what_is_unknown_or_past_is_refused(actor: StreamActor) -> None:
    """And no empty stream is begun in its place."""
    with pytest.raises(StreamLost, match="not here"):
        actor.step("a", 0, FRAMES[0])
    actor.open("a", 1, SETTINGS, False, None)
    actor.step("a", 1, FRAMES[0])
    for epoch in (0, 2):
        with pytest.raises(StreamLost, match="not here"):
            actor.step("a", epoch, FRAMES[1])
    for epoch in (0, 1):
        with pytest.raises(StreamLost, match="past"):
            actor.open("a", epoch, SETTINGS, False, None)
    actor.close("a", 0)  # by who was taken for lost
    actor.step("a", 1, FRAMES[1])
    actor.open("a", 2, SETTINGS, False, None)
    assert actor.load().num_streams == 1
    with pytest.raises(StreamLost):
        actor.step("a", 1, FRAMES[2])
    actor.close("a", 2)
    actor.close("a", 2)
    assert actor.load().num_streams == 0


def test_one_that_is_full_or_drained_takes_no_more(worker: LocalWorker) -> None:
    actor = StreamActor(worker, most_bytes=1)
    actor.open("a", 0, SETTINGS, False, None)
    assert actor.step("a", 0, FRAMES[0])[1] is False
    assert not actor.load().takes_more
    with pytest.raises(Busy, match="no further stream"):
        actor.open("b", 0, SETTINGS, False, None)
    actor.close("a", 0)
    actor.open("b", 0, SETTINGS, False, None)
    actor.drain()
    assert actor.step("b", 0, FRAMES[0])[1] is True  # it has to move
    with pytest.raises(Busy):
        actor.open("c", 0, SETTINGS, False, None)
    actor.drain(False)
    assert actor.step("b", 0, FRAMES[1])[1] is False


def test_streams_of_a_page_that_is_gone_are_forgotten(
    actor: StreamActor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that is there asks to keep its own, however long they rest."""
    now = time.monotonic()
    for stream_id in ("theirs", "past", "ours"):
        actor.open(stream_id, 1, SETTINGS, False, None)
    monkeypatch.setattr(stream_actor.time, "monotonic", lambda: now + 299)
    assert actor.load().num_streams == 3
    actor.keep([("ours", 1), ("past", 0), ("another's", 1)])
    monkeypatch.setattr(stream_actor.time, "monotonic", lambda: now + 400)
    assert actor.load().num_streams == 1
    for stream_id in ("theirs", "past"):
        with pytest.raises(StreamLost):
            actor.step(stream_id, 1, FRAMES[0])
    actor.step("ours", 1, FRAMES[0])


ALIKE = Build(code_hash(), "auto", "auto", "5eed", "bfloat16")


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (replace(ALIKE, code="older"), "another version of svggt"),
        (replace(ALIKE, model="embedded"), "--model embedded, this page with --model auto"),
        (replace(ALIKE, precision="float32"), "say float32 here too"),
        (replace(ALIKE, weights="0dd"), "name --model and --precision"),
        (replace(ALIKE, dtype="float32"), "two 5eed float32"),
    ],
)
def test_workers_that_differ_are_refused(other: Build, sentence: str) -> None:
    check_alike({"one": ALIKE, "two": ALIKE}, "auto", "auto")
    with pytest.raises(ClusterRefused, match=sentence):
        check_alike({"one": ALIKE, "two": other}, "auto", "auto")


@pytest.mark.parametrize("agreed", [True, False])
def test_a_memory_changes_once_its_number_is_agreed_to(actor: StreamActor, agreed: bool) -> None:
    actor.open("a", 0, SETTINGS, False, None)
    for frame in FRAMES[:3]:
        actor.step("a", 0, frame)
    other = replace(SETTINGS, memory="full")
    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(actor.change_memory, "a", 0, other, "job")
        wait_for(lambda: actor.told("job") == 3)
        actor.answer("job", agreed)
        assert (changing.exception() is None) == agreed
    for frame in FRAMES[3:]:
        actor.step("a", 0, frame)
    kept = actor.memory_map("a", 0)
    assert kept is not None and (len(np.unique(kept.frames)) == 6) == agreed
    assert actor.told("job") is None
    actor.answer("job", True)  # which came too late


def test_a_job_is_ended_from_elsewhere() -> None:
    jobs, ended = LongCalls(), threading.Event()

    def compute() -> None:
        with jobs.running("job") as job, pytest.raises(Cancelled):
            while True:
                job.tell(0.5)
        ended.set()

    thread = threading.Thread(target=compute)
    thread.start()
    wait_for(lambda: (job := jobs.get("job")) is not None and job.told == 0.5)
    job = jobs.get("job")
    assert job is not None
    job.end()
    thread.join()
    assert ended.is_set() and jobs.get("job") is None


def test_an_outline_is_a_model_without_its_weights(tiny: LoadedModel) -> None:
    content = pickle.dumps(tiny.outline())
    outline = pickle.loads(content)
    assert len(content) < 200_000 < tiny.num_bytes
    assert (outline.name, outline.sha256, outline.note) == (tiny.name, tiny.sha256, tiny.note)
    assert outline.network.config == tiny.network.config
