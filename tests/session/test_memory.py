"""A run remembers otherwise from a frame on, and says what it remembers."""

from __future__ import annotations

import errno
import platform
import resource
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.freed_memory import give_back_memory
from svggt.engine.local_worker import LocalWorker
from svggt.engine.recorded_stream import RecordedStream
from svggt.engine.stream import Stream
from svggt.errors import BadInput
from svggt.model.policies import bounded
from svggt.prediction import FramePrediction
from svggt.session.registry import Sessions
from svggt.session.session import Session
from svggt.settings import Budget, StreamSettings
from svggt.store.recording import About, Recording
from svggt.view_options import ViewOptions
from tests.conftest import make_frames
from tests.session.runs import SETTINGS, Made, ended, run, wait

KEYFRAMES = StreamSettings(memory="keyframes", budget="3 frames", storage="int8")


def changed_at(session: Session, number: int, to: StreamSettings, frames: int = 9) -> None:
    """Runs a session and changes its memory before a frame."""
    gate = threading.Event()
    run(session, Made(frames, wait_at=number, gate=gate))
    wait(session, lambda p: p.frames_done == number)
    session.change_memory(to)
    gate.set()
    wait(session, ended)


def test_memory_changes_at_the_next_frame_and_carries_over(sessions: Sessions) -> None:
    session = sessions.open("a")
    changed_at(session, 4, KEYFRAMES)
    progress = session.progress
    assert progress.state == "finished" and progress.frames_done == 9, progress.message
    assert progress.memory_changes == ((4, "keyframes, 3 frames, int8"),)
    assert progress.memory is not None
    frames = progress.memory.frames.tolist()
    assert frames[0] == 0 and frames[-1] == 8 and progress.memory.of_frames.max() == 1.0
    assert progress.memory.num_tokens <= 3 * progress.memory.shares.shape[1] * 4  # layers


def test_what_a_window_keeps_is_told(sessions: Sessions) -> None:
    session = sessions.open("a")
    run(session, Made(7))
    wait(session, ended)
    memory = session.progress.memory
    assert memory is not None and memory.frames.tolist() == [0, 5, 6]  # the anchor, and two
    assert (memory.shares == 1).all() and memory.patches(0).shape == memory.grid
    assert 0 < memory.nbytes <= session.progress.latest.memory_bytes  # pyright: ignore


def test_a_run_comes_back_with_its_changed_memory(sessions: Sessions) -> None:
    session = sessions.open("a")
    changed_at(session, 4, KEYFRAMES)
    about = session.recording.about
    assert about is not None and about.settings == SETTINGS.with_memory_of(KEYFRAMES)
    tokens = session.tokens
    sessions.close(session.token)
    again = sessions.find(tokens.owner)
    assert again is not None
    assert again.progress.memory_changes == ((4, "keyframes, 3 frames, int8"),)


def test_a_run_stopped_after_a_change_is_resumed_by_the_new_memory(sessions: Sessions) -> None:
    session, gate = sessions.open("a"), threading.Event()
    run(session, Made(40, wait_at=30, gate=gate))
    wait(session, lambda p: p.frames_done == 30)
    session.change_memory(KEYFRAMES)
    stopping = threading.Thread(target=session.stop)
    stopping.start()
    gate.set()
    stopping.join()
    wait(session, ended)
    assert session.recording.snapshot(session.progress.frames_done).is_file()


def test_a_memory_too_small_or_too_late_is_refused(sessions: Sessions) -> None:
    session, gate = sessions.open("a"), threading.Event()
    with pytest.raises(BadInput, match="before its Start"):
        session.change_memory(KEYFRAMES)
    run(session, Made(6, wait_at=3, gate=gate))
    wait(session, lambda p: p.frames_done == 3)
    with pytest.raises(BadInput, match=r"^A memory of 0.002 MB .* choose [\d.]+ MB or more\.$"):
        session.change_memory(replace(KEYFRAMES, budget="2 kB"))
    gate.set()
    wait(session, ended)
    assert session.progress.state == "finished" and session.progress.memory_changes == ()
    with pytest.raises(BadInput, match="before its Start"):
        session.change_memory(KEYFRAMES)


def test_a_budget_that_holds_no_two_frames_ends_a_run_with_the_least(sessions: Sessions) -> None:
    session = sessions.open("a")
    run(session, Made(3), replace(SETTINGS, budget="2 kB"))
    wait(session, ended)
    assert session.progress.state == "failed" and "MB or more" in session.progress.message


def test_nothing_changes_once_the_last_frame_was_taken(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream's file and the recording would say different things, and it were rebuilt."""
    session, gate, reached = sessions.open("a"), threading.Event(), threading.Event()
    finalize = sessions.worker.finalize

    def slow(stream_id: str):
        reached.set()
        gate.wait(20)
        return finalize(stream_id)

    monkeypatch.setattr(sessions.worker, "finalize", slow)
    run(session, Made(6))
    assert reached.wait(20)
    with pytest.raises(BadInput, match="before its Start"):
        session.change_memory(KEYFRAMES)
    gate.set()
    wait(session, ended)
    about = session.recording.about
    assert about is not None and about.settings == SETTINGS and about.state == "finished"


def test_a_disk_that_takes_nothing_changes_nothing(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, gate = sessions.open("a"), threading.Event()
    run(session, Made(6, wait_at=3, gate=gate))
    wait(session, lambda p: p.frames_done == 3)

    def full(settings: StreamSettings, number: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(session.recording, "change_memory", full)
    with pytest.raises(BadInput, match="disk"):
        session.change_memory(KEYFRAMES)
    gate.set()
    wait(session, ended)
    memory = session.progress.memory
    assert memory is not None and memory.frames.tolist() == [0, 4, 5]  # the window as it was


def test_what_a_smaller_memory_dropped_is_back_where_the_disk_took_nothing(
    worker: LocalWorker,
) -> None:
    """The change is undone, and so is what it dropped."""
    stream_id = worker.open(replace(SETTINGS, window=6))
    for frame in make_frames(6):
        worker.step(stream_id, frame)
    before = worker.memory_map(stream_id)

    def full(number: int) -> None:
        assert number == 6
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        worker.change_memory(stream_id, replace(KEYFRAMES, budget="2 frames"), full)
    after = worker.memory_map(stream_id)
    assert before is not None and after is not None
    assert after.frames.tolist() == before.frames.tolist() == [0, 1, 2, 3, 4, 5]
    assert after.nbytes == before.nbytes


@pytest.mark.parametrize("snapshot", [None, 3, 4, 6], ids=lambda at: f"snapshot {at}")
def test_a_killed_run_is_rebuilt_with_the_memories_that_it_had(
    worker: LocalWorker, tmp_path: Path, snapshot: int | None
) -> None:
    """Each from the frame on from which it was changed: as if it never was killed."""
    frames = make_frames(12)
    memories = {4: KEYFRAMES, 6: replace(KEYFRAMES, memory="attention")}

    def run_to(end: int, recording: Recording) -> list[FramePrediction]:
        stream = RecordedStream(worker, SETTINGS, recording)
        recording.begin(About(SETTINGS, None, 50, ViewOptions(), 0.0))
        said = []
        for frame in frames[:end]:
            if frame.number == snapshot:
                assert stream.suspend()  # and it goes on
            if frame.number in memories:
                stream.change_memory(memories[frame.number])
            said += [step.prediction for step in stream.steps(iter([frame]))]
        return said

    whole = run_to(12, Recording(tmp_path / "whole"))
    killed = Recording(tmp_path / "killed")
    run_to(9, killed)
    assert killed.about is not None
    resumed = RecordedStream(worker, killed.about.settings, killed)
    again = list(resumed.steps(iter(frames[snapshot or 0 :])))
    assert [step.prediction.number for step in again] == list(range(snapshot or 0, 12))
    for step in again:
        ours, theirs = step.prediction, whole[step.prediction.number]
        assert np.array_equal(ours.depth, theirs.depth)
        assert np.array_equal(ours.cam_from_world, theirs.cam_from_world)


def test_what_is_kept_of_a_long_stream_is_counted_for_its_frames_alone(tiny: LoadedModel) -> None:
    stream = Stream(tiny, bounded("attention", Budget(3, "frames")))
    for frame in make_frames(9):
        stream.step(frame)
    memory = stream.memory_map()
    assert memory is not None
    layers = [ids.numpy() for ids in stream._blocks[0].memory.kept_ids()]
    tokens = memory.shares.shape[1]
    for index, number in enumerate(memory.frames.tolist()):
        for place in (0, 7, tokens - 1):
            shares = [float((ids == number * tokens + place).sum() / len(ids)) for ids in layers]
            assert memory.shares[index, place] == pytest.approx(np.mean(shares))
    assert memory.num_tokens == round(sum(ids.shape[1] for ids in layers))


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps and gives back")
def test_freed_memory_is_given_back() -> None:
    """Arrays that are freed between small ones which stay, as after points were merged."""
    made = [np.ones(12_000) for _ in range(3000)]  # 96 kB: of the heap
    kept = made[::50]
    del made
    before = resident_bytes()
    give_back_memory()
    assert before - resident_bytes() > 200_000_000 and len(kept) == 60
