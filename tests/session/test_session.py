"""Sessions: kept apart, ended in every way, leaving threads, ports, files as they were."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import itertools
import threading
import time
import weakref
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.conversion import to_images
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.engine.offline import track_point
from svggt.engine.stream import Stream
from svggt.errors import BadInput
from svggt.media.clips import open_clip
from svggt.media.frames import Frame, InputLimits
from svggt.prediction import FramePrediction
from svggt.session.registry import Sessions
from svggt.session.session import Session
from svggt.settings import SessionLimits, StreamSettings
from svggt.store.store import Store
from svggt.view_options import ViewOptions
from tests.conftest import make_frames, wait_for
from tests.media.files import write_pictures, write_video
from tests.scene.frames import prediction
from tests.session.runs import SETTINGS, Made, ended, run, wait


def test_a_run_draws_every_frame(sessions: Sessions) -> None:
    session = sessions.open("a")
    run(session, Made(5))
    wait(session, ended)
    assert session.progress.state == "finished"
    assert session.progress.frames_done == session.scene.num_frames == 5
    assert session.progress.latest is not None and session.progress.latest.number == 4


def test_points_are_there_while_frames_are_still_to_come(sessions: Sessions) -> None:
    session, gate = sessions.open("a"), threading.Event()
    run(session, Made(6, wait_at=3, gate=gate))
    wait(session, lambda p: p.frames_done == 3)
    assert session.running and session.scene.num_frames == 3
    gate.set()
    wait(session, ended)
    assert session.scene.num_frames == 6


def test_stop_keeps_what_is_there(sessions: Sessions) -> None:
    session = sessions.open("a")
    run(session, Made(500))
    wait(session, lambda p: p.frames_done >= 2)
    session.stop()
    drawn = session.scene.num_frames
    assert session.progress.state == "stopped" and 2 <= drawn < 500
    assert session.progress.frames_done == drawn


def test_a_session_that_closes_ends_its_run(sessions: Sessions) -> None:
    session = sessions.open("a")
    run(session, Made(500))
    sessions.close(session.token)
    assert session.progress.state == "interrupted" and sessions.worker.num_streams == 0


def test_a_bad_clip_leaves_nothing(sessions: Sessions) -> None:
    session = sessions.open("a")
    for bad in (Made(3, fail_at=0), Made(0)):
        with pytest.raises(BadInput):
            run(session, bad)
    assert session.progress.state == "empty" and not session.recording.has_run
    assert sessions.worker.num_streams == 0


def test_a_clip_that_breaks_later_keeps_what_was_drawn(sessions: Sessions) -> None:
    session = sessions.open("a")
    run(session, Made(6, fail_at=4))
    wait(session, ended)
    assert session.progress.state == "failed" and "Save it again" in session.progress.message
    assert session.scene.num_frames == 4


def test_an_error_of_ours_is_told_without_a_traceback(sessions: Sessions) -> None:
    session = sessions.open("a")
    session.scene.add = lambda prediction: 1 / 0  # pyright: ignore
    run(session, Made(2))
    wait(session, ended)
    assert session.progress.state == "failed"
    assert "division" not in session.progress.message and "Start" in session.progress.message
    assert sessions.worker.num_streams == 0


def test_a_closed_session_starts_nothing(sessions: Sessions) -> None:
    session = sessions.open("a")
    sessions.close(session.token)
    with pytest.raises(BadInput, match="left memory"):
        run(session, Made(2))
    assert sessions.worker.num_streams == 0


def test_a_cut_clip_says_so(sessions: Sessions) -> None:
    session = sessions.open("a")
    run(session, Made(2, cut=True))
    wait(session, ended)
    assert "left out" in session.progress.message


@pytest.mark.slow
def test_stop_does_not_wait_for_frames_that_are_skipped(sessions: Sessions, tmp_path: Path) -> None:
    """A run at one frame an hour is decoding; Stop ends it between two decoded frames."""
    path = write_video(tmp_path / "long.mp4", count=900, size=(640, 480))
    session = sessions.open("a")
    run(session, open_clip([path], 84, 1 / 3600, InputLimits()))
    wait(session, lambda p: p.frames_done == 1)
    session.stop()
    assert session.progress.frames_done == 1
    session.resume()  # the last Stop counts no more
    wait(session, lambda p: p.state == "running")
    session.stop()


def test_the_memory_of_all_streams_has_a_budget(tiny: LoadedModel, store: Store) -> None:
    worker = LocalWorker(ModelRegistry([tiny]), cache_bytes=500_000)
    sessions = Sessions(worker, SessionLimits(), store)
    session = sessions.open("a")
    run(session, Made(500), StreamSettings(model="tiny", memory="full"))
    wait(session, ended)
    assert session.progress.state == "failed" and "window" in session.progress.message
    assert 1 < session.scene.num_frames < 500
    sessions.shutdown()
    worker.shutdown()


def test_two_runs_at_once_are_refused(sessions: Sessions) -> None:
    session = sessions.open("a")
    run(session, Made(500))
    with pytest.raises(BadInput, match="under way"):
        run(session, Made(2))
    session.stop()


def test_sessions_take_turns_on_the_device(sessions: Sessions) -> None:
    one, two = sessions.open("a"), sessions.open("b")
    run(one, Made(60))
    run(two, Made(60))
    wait(one, ended)
    assert two.progress.frames_done > 30
    two.stop()


def test_sessions_do_not_see_each_other(sessions: Sessions) -> None:
    one, two = sessions.open("a"), sessions.open("b")
    run(one, Made(2))
    wait(one, ended)
    assert two.progress.state == "empty" and two.scene.num_frames == 0
    assert len({one.token, one.tokens.view, two.token, two.tokens.view}) == 4
    assert sessions.get(one.tokens.view, "view") is one and one.scene.port != two.scene.port


def test_tokens_open_only_what_they_are_for(sessions: Sessions) -> None:
    session = sessions.open("a")
    tokens = dataclasses.asdict(session.tokens)
    assert all(len(token) >= 32 for token in tokens.values())  # 144 bits and more
    for role in tokens:
        opened = [name for name, token in tokens.items() if sessions.get(token, role) is session]
        assert opened == [role]
    assert sessions.get(None) is None and sessions.get("") is None
    sessions.close(session.token)
    assert all(sessions.get(token, role) is None for role, token in tokens.items())


def test_there_is_a_limit_for_one_address_and_for_all(sessions: Sessions) -> None:
    for _ in range(2):
        run(sessions.open("a"), Made(5000))
    with pytest.raises(BadInput, match="your address"):
        sessions.open("a")
    run(sessions.open("b"), Made(5000))
    with pytest.raises(BadInput, match="full"):
        sessions.open("c")
    assert len(sessions) == 3


def test_a_scene_that_nobody_looks_at_makes_way(sessions: Sessions) -> None:
    first, second = sessions.open("a"), sessions.open("a")
    run(first, Made(3))
    wait(first, ended)
    run(second, Made(5000))
    third = sessions.open("a")
    assert sessions.get(first.token) is None and sessions.in_memory == [second, third]
    sessions.close(third.token)
    again = sessions.find(first.token)  # it comes back from disk
    assert again is not None and again.scene.num_frames == 3


def test_nobody_waits_for_a_session_that_begins(sessions: Sessions) -> None:
    """Its first frame may take long; another one makes way."""
    gate = threading.Event()
    slow, idle = sessions.open("a"), sessions.open("b")
    sessions.open("c")
    idle.touched = slow.touched + 1  # the slow one was left alone longest
    begins = threading.Thread(target=run, args=(slow, Made(2, wait_at=0, gate=gate)))
    begins.start()
    try:
        wait_for(lambda: slow.in_use)
        began = time.monotonic()
        sessions.open("d")
        assert time.monotonic() - began < 5 and sessions.get(slow.token) is slow
    finally:
        gate.set()
        begins.join()


def test_idle_sessions_end_and_running_ones_do_not(sessions: Sessions) -> None:
    idle, running = sessions.open("a"), sessions.open("b")
    run(running, Made(5000))
    sessions.expire(time.monotonic() + 700)
    assert sessions.get(idle.token) is None
    assert sessions.get(running.token) is running
    sessions.expire(time.monotonic() + 7300)  # nothing outlives the hard limit
    assert sessions.get(running.token) is None and not running.running


def held() -> Counter[str]:
    """What the process holds by name: its threads, and what its descriptors are open on."""
    gc.collect()
    names = [f"thread {thread.name}" for thread in threading.enumerate()]
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            names.append(str(each.readlink()))
    return Counter(names)


def end_by_close(sessions: Sessions, session: Session) -> None:
    sessions.close(session.token)


def end_by_idling(sessions: Sessions, session: Session) -> None:
    session.stop()
    sessions.expire(time.monotonic() + 700)


def end_by_age(sessions: Sessions, session: Session) -> None:
    sessions.expire(time.monotonic() + 7300)


@pytest.mark.parametrize("end", [end_by_close, end_by_idling, end_by_age])
def test_an_ended_session_leaves_nothing(sessions: Sessions, end) -> None:
    """What each left would be there as often; what comes once is the process's."""
    rounds = 4
    warm = sessions.open("a")  # first use makes threads and files that stay
    run(warm, Made(2))
    wait(warm, ended)
    sessions.close(warm.token)
    before, store = held(), warm.recording.folder.parent
    for _ in range(rounds):
        session = sessions.open("a")
        run(session, Made(500))
        wait(session, lambda p: p.frames_done >= 2)
        assert held() - before and sessions.worker.num_streams == 1
        end(sessions, session)
        sessions.remove(session.token)
        assert [path for path in store.iterdir() if path.is_dir()] == [warm.recording.folder]
        assert sessions.worker.num_streams == 0
    wait_for(lambda: (held() - before).total() < rounds, lambda: str(held() - before))


def test_ended_sessions_are_collected(worker: LocalWorker, store: Store) -> None:
    """No memory stays: the objects themselves are gone."""
    sessions = Sessions(worker, SessionLimits(), store)
    session = sessions.open("a")
    run(session, Made(3))
    wait(session, ended)
    gone = weakref.ref(session), weakref.ref(session.scene)
    sessions.close(session.token)
    del session
    deadline = time.monotonic() + 10
    while any(ref() is not None for ref in gone) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.1)
    assert [ref() for ref in gone] == [None, None]
    sessions.shutdown()


def test_a_closed_stream_is_not_replaced_by_an_empty_one(
    worker: LocalWorker, tiny: LoadedModel
) -> None:
    stream_id = worker.open(SETTINGS)
    worker.close(stream_id)
    with pytest.raises(KeyError):
        worker.step(stream_id, make_frames(1)[0])


def test_refined_cameras_reach_the_scene(sessions: Sessions) -> None:
    session = sessions.open("a")
    run(session, Made(6), StreamSettings(model="tiny", refine=True))
    wait(session, ended)
    assert session.progress.state == "finished"
    assert all(placing.correction is not None for placing in session.scene._placings)
    assert session.progress.tracking is not None


def test_refinement_that_fails_does_not_end_the_run(worker: LocalWorker) -> None:
    stream_id = worker.open(StreamSettings(model="tiny", refine=True))
    frames = make_frames(3)
    assert worker.step(stream_id, frames[0]).corrections
    refiner = worker._streams[stream_id].refiner
    assert refiner is not None
    refiner.add = lambda grey, prediction: 1 / 0  # pyright: ignore
    assert worker.step(stream_id, frames[1]).corrections == []
    assert worker.step(stream_id, frames[2]).prediction.number == 2
    assert worker.finalize(stream_id) == []


def test_a_point_is_followed_through_the_archive(sessions: Sessions, tiny: LoadedModel) -> None:
    session = sessions.open("a")
    run(session, Made(5))
    wait(session, ended)
    track = session.track(1, (40, 30))
    images = to_images([session.recording.frames.load(n) for n in range(1, 5)], tiny)
    with torch.inference_mode():
        query = torch.tensor([[[40.0, 30.0]]])
        expected = tiny.network.track(images, query, causal=True)
    assert track.first == 1 and track.pixels.shape == (4, 2)
    assert np.allclose(track.pixels, expected.iterations[-1][0, :, 0], atol=1e-4)
    assert np.allclose(track.visibility, expected.visibility[0, :, 0], atol=1e-6)
    assert track.at(0) is None and track.at(5) is None


def test_weights_without_a_track_head_say_so(embedded: LoadedModel) -> None:
    assert not embedded.tracks_points
    with pytest.raises(ValueError, match="no track head"):
        track_point(embedded, [prediction(0)], (1, 1))


def test_the_scale_bar_says_what_was_measured_and_comes_back(
    sessions: Sessions, worker, store
) -> None:
    def said(session: Session) -> str:
        _, label = session.scene.around._bar._nodes
        return label.text

    session = sessions.open("a")
    run(session, Made(3))
    wait(session, ended)
    with pytest.raises(BadInput, match="Mark two points"):
        session.set_length(2.0)
    for column in (10, 60):
        session.scene.mark(0, column, 20)
    assert "unit" in said(session)
    session.set_length(2.0)
    assert said(session).endswith("m")
    token = session.token
    sessions.shutdown()
    again = Sessions(worker, SessionLimits(), Store(store._folder))
    assert (opened := again.find(token)) is not None and said(opened).endswith("m")
    again.shutdown()


def test_a_finished_session_comes_back_from_disk(sessions: Sessions, worker, store) -> None:
    session = sessions.open("a")
    session.start(
        Made(5), StreamSettings(model="tiny", refine=True), ViewOptions(cameras="refined")
    )
    wait(session, ended)
    before, shown = session.progress, session.scene._placings
    sessions.shutdown()
    again = Sessions(worker, SessionLimits(), Store(store._folder))
    for role in ("owner", "view", "reader", "capture"):
        assert again.find(getattr(session.tokens, role), role) is again.in_memory[0]
    (found,) = again.in_memory
    after = found.progress
    assert (after.state, after.message, after.elapsed_s) == (
        "finished",
        before.message,
        before.elapsed_s,
    )
    assert after.step_seconds == before.step_seconds
    assert found.scene.flags == ViewOptions(cameras="refined")
    for one, other in zip(found.scene._placings, shown, strict=True):
        assert np.array_equal(one.pose("refined"), other.pose("refined"))
        assert np.array_equal(one.pose("head"), other.pose("head"))
    again.shutdown()


def test_an_interrupted_run_goes_on_as_if_it_never_was(
    sessions: Sessions, worker: LocalWorker, store: Store, tmp_path: Path
) -> None:
    """Memory is rebuilt from the frames kept: what follows is bit for bit the same.

    Of runs that are alone: those at once share passes, and round otherwise.
    """
    clip = open_clip(write_pictures(tmp_path / "clip", 9), 84, None, InputLimits())
    whole, broken = sessions.open("a"), sessions.open("a")
    run(whole, clip)
    wait(whole, ended)
    run(broken, clip)
    wait(broken, ended)
    folder = broken.recording.folder
    sessions.shutdown()
    for number in range(4, 9):  # as a killed process leaves it
        (folder / "frames" / f"{number:06}.npz").unlink()
    facts = broken.recording.about
    assert facts is not None
    broken.recording._write(dataclasses.replace(facts, state="running", message=""))
    (folder / "frames" / "000004.npz.part").write_bytes(b"half")
    again = Sessions(worker, SessionLimits(), Store(store._folder))
    found, other = again.find(broken.token), again.find(whole.token)
    assert found is not None and other is not None
    assert found.progress.state == "interrupted" and "4 frames" in found.progress.message
    found.resume()
    assert found.running
    wait(found, ended)
    assert found.progress.state == "finished" and found.scene.num_frames == 9
    for number in range(9):
        one, two = (s.recording.frames.load(number) for s in (found, other))
        assert np.array_equal(one.depth, two.depth)
        assert np.array_equal(one.cam_from_world, two.cam_from_world)
    again.shutdown()


def stopped(sessions: Sessions, tmp_path: Path, count: int, at: int) -> Session:
    """A run of so many frames, with refined cameras, that its visitor stopped at one of them."""
    clip = open_clip(write_pictures(tmp_path / "clip", count), 84, None, InputLimits())
    session = sessions.open("a")
    session.start(clip, StreamSettings(model="tiny", refine=True))
    wait(session, lambda p: p.frames_done >= at)
    session.stop()
    wait(session, lambda p: p.state == "stopped")  # its cameras are adjusted
    return session


def test_a_stopped_run_goes_on(sessions: Sessions, tmp_path: Path) -> None:
    session = stopped(sessions, tmp_path, 20, at=3)
    drawn = session.scene.num_frames
    assert session.progress.can_resume and drawn < 20
    session.resume()
    wait(session, ended)
    assert session.progress.state == "finished" and session.scene.num_frames == 20
    assert sorted(session.recording.cameras.read()) == list(range(20))


@pytest.mark.parametrize("snapshot", ["whole", "damaged", "gone", "too large"])
def test_a_run_that_was_stopped_ends_as_if_it_never_was(
    sessions: Sessions, tmp_path: Path, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stream goes on from the file, or is rebuilt where there is none that can be read."""
    clip = open_clip(write_pictures(tmp_path / "clip", 12), 84, None, InputLimits())
    whole, stopped = sessions.open("a"), sessions.open("a")
    run(whole, clip)
    wait(whole, ended)
    run(stopped, clip)
    wait(stopped, lambda p: p.frames_done >= 3)
    if snapshot == "too large":
        monkeypatch.setattr(stopped.recording, "_has_room", lambda num_bytes: num_bytes == 0)
    stopped.stop()
    files = list(stopped.recording.folder.glob("stream_*.safetensors"))
    assert bool(files) == (snapshot != "too large")
    if snapshot == "damaged":
        files[0].write_bytes(b"not a stream")
    elif snapshot == "gone":
        files[0].unlink()
    sessions.close(stopped.token)
    found, said = sessions.find(stopped.token), set()
    assert found is not None
    found.resume()
    wait(found, lambda p: said.add(p.message) or ended(p))
    assert found.progress.state == "finished"
    for number in range(12):
        one, other = (s.recording.frames.load(number) for s in (found, whole))
        assert np.array_equal(one.depth, other.depth)
        assert np.array_equal(one.cam_from_world, other.cam_from_world)
    if snapshot == "whole":
        assert not any("Rebuilding" in message for message in said)
    assert not list(found.recording.folder.glob("stream_*"))


def test_a_full_device_loses_nothing(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step fails as a full device does: its owner is told the remedy, and the run goes on."""
    clip = open_clip(write_pictures(tmp_path / "clip", 6), 84, None, InputLimits())
    whole, broken = sessions.open("a"), sessions.open("a")
    run(whole, clip)
    wait(whole, ended)

    def full_at_three(stream: Stream, frame: Frame) -> FramePrediction:
        if stream.num_frames == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(stream, frame)

    step = Stream.step
    with monkeypatch.context() as injected:
        injected.setattr(Stream, "step", full_at_three)
        run(broken, clip)
        wait(broken, ended)
    assert broken.progress.state == "failed" and "out of memory" in broken.progress.message
    assert "smaller window" in broken.progress.message
    assert broken.scene.num_frames == len(broken.recording.frames) == 3
    broken.resume()
    wait(broken, ended)
    assert broken.progress.state == "finished" and broken.scene.num_frames == 6
    for number in range(6):
        one, other = (s.recording.frames.load(number) for s in (broken, whole))
        assert np.array_equal(one.depth, other.depth)


def test_a_dead_viewer_ends_no_run(sessions: Sessions) -> None:
    """The server of the 3D view dies: its run is computed, kept, and seen when it is opened."""
    session = sessions.open("a")
    run(session, Made(8))
    wait(session, lambda p: p.frames_done >= 2)
    session.scene._server.stop()
    wait(session, ended)
    assert session.progress.state == "finished" and len(session.recording.frames) == 8
    sessions.close(session.token)
    again = sessions.find(session.token)
    assert again is not None and again.scene.num_frames == 8


def test_what_has_ended_well_cannot_be_resumed(sessions: Sessions) -> None:
    session = sessions.open("a")
    with pytest.raises(BadInput, match="no run"):
        session.resume()
    run(session, Made(2))
    wait(session, ended)
    with pytest.raises(BadInput, match="no run"):
        session.resume()


def test_a_revoked_link_opens_nothing(sessions: Sessions, store: Store) -> None:
    session = sessions.open("a")
    run(session, Made(2))
    wait(session, ended)
    old = session.tokens.reader
    sessions.revoke(session)
    assert sessions.find(old, "reader") is None
    assert sessions.find(session.tokens.reader, "reader") is session
    assert sessions.get(session.token) is session
    assert store.tokens()[session.recording.folder.name] == session.tokens


def test_a_full_disk_ends_the_run_and_keeps_what_is_drawn(
    worker: LocalWorker, tmp_path: Path
) -> None:
    sessions = Sessions(worker, SessionLimits(), Store(tmp_path, quota_bytes=1_000_000))
    session = sessions.open("a")
    run(session, Made(500))
    wait(session, ended)
    assert session.progress.state == "failed" and "disk" in session.progress.message
    assert 1 < session.scene.num_frames < 500
    with pytest.raises(BadInput, match="disk"):
        run(sessions.open("a"), Made(500))
    assert session.scene.num_frames > 1  # nothing was lost by the refusal
    sessions.shutdown()


def test_sessions_go_from_disk_in_time(worker: LocalWorker, tmp_path: Path) -> None:
    sessions = Sessions(worker, SessionLimits(), Store(tmp_path, keep_seconds=0.2))
    session = sessions.open("a")
    run(session, Made(2))
    wait(session, ended)
    time.sleep(0.3)
    sessions.expire(time.monotonic())
    assert sessions.find(session.token) is None and not session.recording.folder.exists()
    sessions.shutdown()


def test_an_end_that_cannot_be_written_ends_the_run(sessions: Sessions) -> None:
    session = sessions.open("a")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    session.recording.add = full  # pyright: ignore
    session.recording.end = full  # pyright: ignore
    run(session, Made(3))
    wait(session, ended)
    assert session.progress.state == "failed" and "disk" in session.progress.message
    assert sessions.worker.num_streams == 0 and not session.in_use


def test_a_start_whose_clip_cannot_be_kept_changes_nothing(
    sessions: Sessions, tmp_path: Path
) -> None:
    session = sessions.open("a")
    clip = open_clip(write_pictures(tmp_path / "clip", 2), 84, None, InputLimits())
    clip.paths[1].unlink()
    with pytest.raises(OSError, match=r"1\.png"):
        run(session, clip)
    assert session.progress.state == "empty" and session.recording.about is None
    assert sessions.worker.num_streams == 0


def test_a_run_of_another_version_is_told_and_kept(sessions: Sessions) -> None:
    session = sessions.open("a")
    run(session, Made(3))
    wait(session, ended)
    about = session.recording.folder / "run.json"
    sessions.close(session.token)
    about.write_text('{"format": "of tomorrow"}')
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(BadInput, match="another version"):
            sessions.find(session.token)
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before and about.exists() and len(sessions) == 0


def test_cameras_stay_in_one_world_whenever_a_run_that_goes_on_is_stopped(
    sessions: Sessions, tmp_path: Path
) -> None:
    session = stopped(sessions, tmp_path, 60, at=20)
    session.recording.clear_snapshots()  # as a killed process leaves it
    before, drawn = session.recording.cameras.read(), session.scene.num_frames
    session.resume()
    wait(session, lambda p: "frame 3 of" in p.message or p.message == "")
    session.stop()
    after = session.recording.cameras.read()
    if session.scene.num_frames == drawn:  # stopped while its memory was rebuilt
        assert all(after[n].revision == before[n].revision for n in range(3))
    assert sorted(after) == list(range(session.scene.num_frames))


def test_frames_see_the_same_landmarks_also_where_their_stream_was_rebuilt(
    sessions: Sessions, tmp_path: Path
) -> None:
    """On both sides of the break: what was found anew has other numbers."""
    session = stopped(sessions, tmp_path, 12, at=4)
    session.recording.clear_snapshots()  # as a killed process leaves it
    frames = session.recording.frames
    before = frames.sightings(0)
    session.resume()
    wait(session, ended)
    seen = [frames.sightings(number) for number in range(12)]
    assert before is not None and all(each is not None for each in seen)
    ids = [each.ids for each in seen if each is not None]
    assert not np.isin(before.ids, np.concatenate(ids)).any()
    assert all(np.isin(one, other).any() for one, other in itertools.pairwise(ids))


def test_closing_and_opening_at_once_is_no_deadlock(worker: LocalWorker, tmp_path: Path) -> None:
    """Over its quota, full, and somebody starts while somebody else opens."""
    limits = SessionLimits(max_sessions=1, max_per_address=5)
    sessions = Sessions(worker, limits, Store(tmp_path, quota_bytes=1))
    session, gate = sessions.open("a"), threading.Event()

    def begin() -> None:
        with contextlib.suppress(BadInput):
            run(session, Made(3, wait_at=0, gate=gate))

    starting = threading.Thread(target=begin)
    starting.start()

    def another() -> None:
        with contextlib.suppress(BadInput):
            sessions.open("b")

    opening = threading.Thread(target=another)
    opening.start()
    time.sleep(0.2)
    gate.set()
    for thread in (starting, opening):
        thread.join(10)
        assert not thread.is_alive()
    sessions.shutdown()
