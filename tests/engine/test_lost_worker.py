"""A run whose worker is lost goes on on another one, as if nothing had happened."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from svggt.compare.run_config import RunConfig, execute
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.engine.recorded_stream import RecordedStream
from svggt.engine.worker import Step
from svggt.errors import Busy, StreamLost
from svggt.media.frames import Frame
from svggt.prediction import MemoryMap
from svggt.refine.correction import Correction
from svggt.session.registry import Sessions
from svggt.session.session import Session
from svggt.settings import SessionLimits, StreamSettings
from svggt.store.recording import Recording
from svggt.store.store import Store
from tests.conftest import each_frame, make_frames, wait_for
from tests.session.runs import Made, ended, wait

FRAMES = 40
SETTINGS = StreamSettings("tiny", window=2)
REFINED = replace(SETTINGS, refine=True)


class LosingWorker(LocalWorker):
    """Loses a stream, with all that it remembers, when a frame comes of these numbers."""

    loses_streams = True

    def __init__(self, model: LoadedModel, lost_at: list[int]) -> None:
        super().__init__(ModelRegistry([model]))
        self.lost_at, self.num_opened, self.lost = lost_at, 0, set[str]()
        self.on_loss: Callable[[], None] = lambda: None

    def open(self, *args, **kwargs) -> str:
        self.num_opened += 1
        return super().open(*args, **kwargs)

    def step(
        self, stream_id: str, frame: Frame, then: Callable[[], Frame | None] = lambda: None
    ) -> Step:
        if frame.number in self.lost_at:
            self.lost_at.remove(frame.number)
            self._lose(stream_id)
        return super().step(stream_id, frame, then)

    def finalize(self, stream_id: str) -> list[Correction]:
        if FRAMES in self.lost_at:
            self.lost_at.remove(FRAMES)
            self._lose(stream_id)
        return super().finalize(stream_id)

    def memory_map(self, stream_id: str) -> MemoryMap | None:
        return None if stream_id in self.lost else super().memory_map(stream_id)

    def _lose(self, stream_id: str) -> None:
        self.close(stream_id)
        self.lost.add(stream_id)
        self.on_loss()
        raise StreamLost("it was killed")


@pytest.fixture
def opened(
    tiny: LoadedModel, tmp_path: Path
) -> Iterator[Callable[..., tuple[Session, LosingWorker]]]:
    """A session on a worker that loses streams, and on its own store."""
    ends = []

    def make(*lost_at: int) -> tuple[Session, LosingWorker]:
        worker = LosingWorker(tiny, list(lost_at))
        sessions = Sessions(worker, SessionLimits(), Store(tmp_path / f"{len(ends)}"))
        ends.append((sessions, worker))
        return sessions.open("a"), worker

    yield make
    for sessions, worker in ends:
        sessions.shutdown()
        worker.shutdown()


def finished(session: Session, settings: StreamSettings = SETTINGS) -> set[str]:
    """Runs it to its end; all that it said."""
    said = set[str]()
    session.start(Made(FRAMES), settings)
    wait(session, lambda p: said.add(p.message) or ended(p))
    assert session.progress.state == "finished", session.progress.message
    assert session.progress.frames_done == session.scene.num_frames == FRAMES
    return said


def stop(session: Session) -> None:
    """Asks a run to end; its frame in hand is not waited for."""
    threading.Thread(target=session.stop).start()
    wait_for(lambda: session._run is not None and session._run.is_stopped)


def assert_same(one: Session, other: Session) -> None:
    """What the network said, bit for bit."""
    for number in range(FRAMES):
        ours, theirs = (s.recording.frames.load(number) for s in (one, other))
        assert np.array_equal(ours.cam_from_world, theirs.cam_from_world)
        assert np.array_equal(ours.depth, theirs.depth)


@pytest.mark.parametrize(
    ("lost_at", "opened_times"),
    [((0,), 2), ((5,), 2), ((36,), 2), ((12, 5, 33), 4), ((FRAMES,), 2)],
    ids=["the first frame", "early", "after a snapshot", "while it is rebuilt", "at the end"],
)
def test_it_goes_on_as_if_nothing_had_happened(opened, lost_at, opened_times: int) -> None:
    lost, worker = opened(*lost_at)
    said = finished(lost)
    assert worker.num_opened == opened_times
    whole, _ = opened()
    finished(whole)
    assert_same(lost, whole)
    assert any("Rebuilding" in each for each in said) == (0 < lost_at[0] < FRAMES)


def test_every_frame_has_its_refined_camera_in_one_world(opened) -> None:
    lost, _ = opened(20)
    finished(lost, REFINED)
    cameras = lost.recording.cameras.read()
    assert sorted(cameras) == list(range(FRAMES))
    assert {each.segment for each in cameras.values()} == {cameras[0].segment}


def test_a_comparison_counts_every_frame_once(opened, tmp_path: Path) -> None:
    _, worker = opened(5, 33)
    frames, recording = make_frames(FRAMES), Recording(tmp_path / "beside")
    config = RunConfig("streaming", SETTINGS, "head")
    rounds = [frames[:8], frames]
    *_, latencies = execute(worker, config, rounds, recording, lambda: None)
    assert [each.frames for each in latencies] == list(range(1, FRAMES + 1))
    assert len(recording.frames) == FRAMES and recording.newest_snapshot() is None


def test_one_that_is_lost_at_every_try_ends_with_a_sentence(opened) -> None:
    """A frame that ends its worker would end all of them."""
    session, worker = opened(*[5] * 9)
    session.start(Made(FRAMES), SETTINGS)
    wait(session, ended)
    assert "lost again and again" in session.progress.message
    assert worker.num_opened == 4 and session.progress.can_resume


def test_it_is_stopped_while_it_is_rebuilt(opened) -> None:
    session, worker = opened(30)
    worker.on_loss = lambda: stop(session)
    session.start(Made(FRAMES), SETTINGS)
    wait(session, ended)
    assert session.progress.state == "stopped" and len(session.recording.frames) == 30


def test_it_is_stopped_while_it_waits_for_a_place(opened, monkeypatch) -> None:
    """Of two minutes at most, which nobody waits who pressed Stop."""
    session, worker = opened(12)
    full = threading.Event()

    def refuse(*args, **kwargs) -> str:
        full.set()
        raise Busy("All workers are full.")

    worker.on_loss = lambda: monkeypatch.setattr(worker, "open", refuse)
    session.start(Made(FRAMES), SETTINGS)
    wait_for(full.is_set)
    begun = time.monotonic()
    session.stop()
    assert time.monotonic() - begun < 30
    assert session.progress.state == "stopped" and session.progress.can_resume


def test_a_place_is_waited_for(opened, monkeypatch) -> None:
    session, worker = opened(12)
    refusals, make = iter("ab"), worker.open

    def open_later(*args, **kwargs) -> str:
        if next(refusals, None):
            raise Busy("All workers are full.")
        return make(*args, **kwargs)

    worker.on_loss = lambda: monkeypatch.setattr(worker, "open", open_later)
    finished(session)


def test_one_that_is_lost_as_it_is_stopped_is_stopped(opened) -> None:
    """And not failed, though nothing is left to end it from."""
    session, worker = opened(FRAMES)
    worker.on_loss = session.recording.clear_snapshots
    gate = threading.Event()
    session.start(Made(FRAMES, wait_at=20, gate=gate), SETTINGS)
    wait(session, lambda p: p.frames_done == 20)
    stop(session)
    gate.set()
    wait(session, ended)
    assert session.progress.state == "stopped" and worker.num_opened == 2


def test_without_its_snapshot_it_is_rebuilt_from_its_frames(opened) -> None:
    lost, worker = opened(36)
    worker.on_loss = lost.recording.clear_snapshots
    finished(lost)
    whole, _ = opened()
    finished(whole)
    assert_same(lost, whole)


def test_what_takes_long_to_keep_is_kept_rarely(opened, tmp_path: Path) -> None:
    """A memory of gigabytes would else be sent for more of the time than it is used."""
    _, worker = opened()
    kept, snapshot = list[Path](), worker.snapshot

    def slowly(stream_id: str, path: Path) -> None:
        kept.append(path)
        time.sleep(1)
        snapshot(stream_id, path)

    worker.snapshot = slowly
    stream = RecordedStream(worker, SETTINGS, Recording(tmp_path / "slow"))
    for step in stream.steps(each_frame(100)):
        assert len(kept) == (step.prediction.number >= 31)
    stream.close()


def test_a_memory_that_was_changed_before_is_changed_again(opened) -> None:
    """Where the change came after the snapshot that it goes on from."""
    results = []
    for lost_at in ((38,), ()):
        session, worker = opened(*lost_at)
        step = worker.step

        def changing(stream_id, frame, then, session=session, step=step):
            if frame.number == 35 and session.recording.about.memory_changes == ():
                session.change_memory(replace(SETTINGS, window=1))
            return step(stream_id, frame, then)

        worker.step = changing
        finished(session)
        results.append(session)
    assert_same(*results)
    first, other = (each.recording.about for each in results)
    assert first is not None and other is not None
    assert first.memory_changes == other.memory_changes != ()
