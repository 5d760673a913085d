"""Streams on a real cluster of this machine: killed workers, drained ones, and two pages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest

from svggt.cluster.cluster import cluster
from svggt.cluster.directory import Location
from svggt.engine.recorded_stream import RecordedStream
from svggt.engine.worker import Step, Worker
from svggt.errors import BadInput, Cancelled, StreamLost
from svggt.files import ASSETS
from svggt.media.clips import open_clip
from svggt.media.frames import Frame, InputLimits
from svggt.metrics import quotients
from svggt.settings import StreamSettings
from svggt.store.recording import Recording
from tests.conftest import wait_for

pytestmark = [  # ray reads its environment when it is imported: not here
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="an extra that is not installed"),
]

SETTINGS = StreamSettings("embedded", window=4, refine=True)
FRAMES = 36
KILLED_AT = (20, 34)  # one of them after a snapshot, of 32 frames


@pytest.fixture(scope="module")
def actors():
    """Two workers."""
    with cluster("2", "embedded", "float32", 2_000_000_000) as actors:
        yield actors


def joined(actors):
    """One page's worker; Ray is imported once its environment is set."""
    from svggt.cluster.ray_worker import RayWorker

    return RayWorker(actors)


@pytest.fixture
def page(actors) -> Iterator[Worker]:
    """One page's view of them."""
    worker = joined(actors)
    yield worker
    worker.shutdown()
    wait_for(lambda: all(load.num_streams == 0 for load in worker.workers.loads().values()))


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """Of the office."""
    clip = open_clip([ASSETS / "clips/office.mp4"], 224, None, InputLimits(max_frames=FRAMES))
    return list(clip.frames(lambda: False))


@pytest.fixture(scope="module")
def uninterrupted(actors, frames, tmp_path_factory) -> Recording:
    """The same frames through one worker."""
    recording = Recording(tmp_path_factory.mktemp("whole"))
    ran(joined(actors), recording, frames)
    return recording


def ran(worker: Worker, recording: Recording, frames: list[Frame], on_step=None) -> list[Step]:
    """All frames through a stream that is recorded, to its end; it waits for its windows."""
    stream, steps = RecordedStream(worker, SETTINGS, recording, beside=True), []
    for step in stream.steps(iter(frames)):
        steps.append(step)
        if on_step is not None:
            on_step(step.prediction.number)
    stream.finalize()
    stream.adjust()
    stream.close()
    return steps


def located(page) -> Location:
    """Where the one stream of a page is."""
    (stream_id,) = page.stream_ids
    return page.locate(stream_id)


def kill(page) -> None:
    """The process of the worker that has a page's one stream."""
    os.kill(page.workers.ask(located(page).worker, "process"), signal.SIGKILL)


def test_a_killed_worker_is_not_noticed(page, frames, uninterrupted, tmp_path: Path) -> None:
    killed, epochs = list(KILLED_AT), list[int]()

    def on_step(number: int) -> None:
        epochs.append(located(page).epoch)
        if killed and number == killed[0]:
            kill(page)
            killed.pop(0)

    recording = Recording(tmp_path)
    steps = ran(page, recording, frames, on_step)
    assert max(epochs) == len(KILLED_AT)
    assert len(steps) == FRAMES + 21 + (35 - 32)  # what was computed once more
    for number in range(FRAMES):
        one, other = (each.frames.load(number) for each in (recording, uninterrupted))
        assert np.array_equal(one.depth, other.depth)
        assert np.array_equal(one.cam_from_world, other.cam_from_world)
    ours, theirs = (each.cameras.read() for each in (recording, uninterrupted))
    cameras = [np.stack([c[n].world_from_cam for n in range(FRAMES)]) for c in (ours, theirs)]
    assert max(quotients([(cameras[0], cameras[1])])) < 0.03


def test_a_drained_worker_hands_its_streams_over(page, frames, uninterrupted) -> None:
    stream_id = page.open(SETTINGS)
    first = page.locate(stream_id).worker
    for frame in frames[:10]:
        step = page.step(stream_id, frame)
        if frame.number == 4:
            page.workers.ask(first, "drain", True)
    row = page.locate(stream_id)
    assert row.worker != first and (row.epoch, row.last_frame) == (1, 9)
    expected = uninterrupted.frames.load(9).depth
    assert np.array_equal(step.prediction.depth.astype(np.float16), expected.astype(np.float16))
    assert page.workers.loads()[first].num_streams == 0
    page.workers.ask(first, "drain", False)


def test_a_stream_goes_back_where_the_others_are_full(page, frames, tmp_path: Path) -> None:
    """It waits for its worker, which is begun anew; what a page counted a loss takes nothing of."""
    recording, others = Recording(tmp_path), list[str]()

    def on_step(number: int) -> None:
        if number == 3 and not others:
            others.extend(set(page.workers.loads()) - {located(page).worker})
            page.workers.ask(*others, "drain", True)
            kill(page)
        assert page.load().num_frames > number

    before = page.load().num_frames
    steps = ran(page, recording, frames[:6], on_step)
    page.workers.ask(*others, "drain", False)
    assert len(steps) == page.load().num_frames - before == 6 + 4


def operate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command for whoever runs the cluster says."""
    from ray import get_runtime_context

    command = [sys.executable, "-m", "svggt.cluster", get_runtime_context().gcs_address, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_whoever_runs_the_cluster_drains_a_worker(page, actors) -> None:
    """From another process, by the command of docs/cluster.md."""
    name = sorted(actors)[0]
    listed = operate("--drain", name).stdout.splitlines()
    assert [line.split(":")[0] for line in listed] == sorted(actors)
    assert "takes no more" in listed[0] and "takes no more" not in listed[1]
    assert page.workers.by_load() == sorted(actors)[1:]
    assert "takes no more" not in operate("--undrain", name).stdout
    refused = operate("--drain", "nobody")
    assert refused.returncode == 1 and f"There are: {', '.join(sorted(actors))}" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_two_pages_share_the_workers(page, actors, frames) -> None:
    other = joined(actors)
    ours, theirs = page.open(SETTINGS), other.open(SETTINGS)
    assert page.locate(ours).worker != other.locate(theirs).worker  # which carried less
    for frame in frames[:3]:
        one, two = page.step(ours, frame), other.step(theirs, frame)
        assert np.allclose(one.prediction.depth, two.prediction.depth, rtol=1e-5)
    with pytest.raises(KeyError):
        other.step(ours, frames[3])
    other.shutdown()


def test_who_was_taken_for_lost_is_refused(page, frames) -> None:
    stream_id = page.open(SETTINGS)
    page.step(stream_id, frames[0])
    before = page.locate(stream_id)
    assert page.open(SETTINGS, again=stream_id) == stream_id
    assert page.locate(stream_id).epoch == 1
    for name in page.workers.loads():
        with pytest.raises(StreamLost):
            page.workers.ask(name, "step", stream_id, before.epoch, frames[1])
    page.step(stream_id, frames[0])


def test_calls_that_take_long_tell_and_are_ended(page, frames) -> None:
    """A change of memory is refused by who records it, a pass by who waits for it."""
    stream_id = page.open(SETTINGS)
    for frame in frames[:12]:
        page.step(stream_id, frame)

    def refuse(number: int) -> None:
        assert number == 12
        raise BadInput("no room")

    with pytest.raises(BadInput, match="no room"):
        page.change_memory(stream_id, replace(SETTINGS, memory="full"), refuse)
    page.change_memory(stream_id, replace(SETTINGS, memory="full"), lambda number: None)
    assert page.locate(stream_id).settings.memory == "full"
    page.step(stream_id, frames[12])
    kept = page.memory_map(stream_id)
    assert kept is not None and 12 in kept.frames
    page.finalize(stream_id)
    page.adjust(stream_id)

    def skip() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        page.predict_clip(SETTINGS, frames, False, skip)
    done = page.predict_clip(SETTINGS, frames[:3], causal=False)
    assert len(done.predictions) == 3 and page.models["embedded"].note
    assert len(page.refine_clip(SETTINGS, frames[:3], done.predictions).sightings) == 3
    page.models.check_capacity("embedded", frames[0].image.shape[:2], 3, at_once=False)


def test_nothing_of_it_is_heard_on_another_address(actors) -> None:
    """Ray's ports, of its own processes and of the workers."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    heard = [
        (process.name(), each.laddr.ip)
        for process in family
        for each in process.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    ]
    assert len(heard) > 3
    assert {ip for _, ip in heard} <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}, heard


def test_streams_of_several_threads(page, frames) -> None:
    """As sessions are: each has its own."""
    said = dict[int, Step]()

    def run(i: int) -> None:
        stream_id = page.open(SETTINGS)
        for frame in frames[:5]:
            said[i] = page.step(stream_id, frame)
        page.close(stream_id)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 4
    for step in said.values():
        assert np.allclose(step.prediction.depth, said[0].prediction.depth, rtol=1e-5)


def test_streams_of_a_page_that_rests_are_kept(page, actors, monkeypatch) -> None:
    from svggt.cluster import ray_worker

    monkeypatch.setattr(ray_worker, "_KEEP_SECONDS", 0.1)
    asked, other = threading.Event(), joined(actors)
    tell = other.workers.tell

    def heard(name: str, method: str, *arguments: object) -> None:
        tell(name, method, *arguments)
        if method == "keep" and arguments == ([(stream_id, 0)],):
            asked.set()

    monkeypatch.setattr(other.workers, "tell", heard)
    stream_id = other.open(SETTINGS)
    assert asked.wait(30)
    other.shutdown()


def test_whoever_runs_the_cluster_ends_its_workers(page, actors) -> None:
    """The last test here: before an upgrade, or for other weights."""
    page.open(SETTINGS)
    assert operate("--stop").stdout == f"ended: {', '.join(sorted(actors))}\n"
    wait_for(lambda: not page.workers.loads())
    assert not operate().stdout
