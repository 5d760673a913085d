"""Another run beside a stream: what it draws, what it says, and that it leaves the stream alone."""

from __future__ import annotations

import dataclasses
import gc
import threading
import time
import weakref

import numpy as np
import pytest
from PIL import Image

from svggt import geometry
from svggt.compare.agreement import pixel_points
from svggt.compare.aligned_frames import INKS, brought, coloured, tinted
from svggt.compare.comparison import Comparison
from svggt.compare.request import ComparisonRequest
from svggt.compare.run_config import Mode, RunConfig
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.engine.offline import predict_clip
from svggt.errors import BadInput, CheckpointError
from svggt.geometry import Similarity
from svggt.media.clips import open_clip
from svggt.media.frames import InputLimits
from svggt.scene.posed_frame import PosedFrame
from svggt.session.registry import Sessions
from svggt.session.session import Session
from svggt.settings import SessionLimits, StreamSettings
from svggt.store.store import Store
from tests.conftest import make_frames, wait_for
from tests.scene.frames import correction, num_nodes, prediction
from tests.session.runs import SETTINGS, Made, ended, run, wait

OFFLINE = ComparisonRequest(RunConfig("offline", StreamSettings(model="tiny"), "head"))


def wait_compared(comparison: Comparison) -> None:
    wait_for(lambda: not comparison.running)


def finished(session: Session, frames: int, refine: bool = False) -> Session:
    run(session, Made(frames), StreamSettings(model="tiny", refine=refine))
    wait(session, ended)
    return session


def test_offline_takes_the_frames_that_are_there(sessions, tiny) -> None:
    session = finished(sessions.open("a"), 5)
    comparison = session.compare(OFFLINE)
    wait_compared(comparison)
    found = comparison.progress
    assert found.state == "finished" and found.outcome is not None, found.message
    outcome = found.outcome
    assert outcome.frames == 5 and outcome.agreement.frames == 5 and outcome.shares_weights
    assert [each.frames for each in outcome.b.latencies] == [5]
    streamed = [each.seconds for each in outcome.a.latencies]
    assert streamed == list(session.progress.step_seconds)
    assert comparison.scene.num_frames == 5
    offline = predict_clip(tiny, make_frames(5), causal=False)
    assert comparison._shown is not None
    ratio = comparison._shown.load(3).depth / offline[3].depth  # of one world's scale to another's
    assert np.allclose(ratio, np.median(ratio), rtol=5e-3)


@pytest.mark.parametrize("mode", ["offline", "batch", "streaming"])
def test_it_begins_again_as_the_stream_goes_on(sessions, mode: Mode) -> None:
    session, gate = sessions.open("a"), threading.Event()
    run(session, Made(8, wait_at=4, gate=gate))
    wait(session, lambda p: p.frames_done >= 4)
    comparison = session.compare(dataclasses.replace(OFFLINE, way=_way(mode), every=3))
    deadline = time.monotonic() + 30
    while comparison.progress.outcome is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert comparison.progress.outcome is not None and comparison.running
    assert comparison.progress.outcome.frames == 3  # and waits for the sixth
    gate.set()
    wait(session, ended)
    wait_compared(comparison)
    outcome = comparison.progress.outcome
    assert session.progress.state == "finished" and session.scene.num_frames == 8
    assert outcome.frames == 8 and comparison.scene.num_frames == 8
    expected = list(range(1, 9)) if mode == "streaming" else [3, 6, 8]
    assert [each.frames for each in outcome.b.latencies] == expected


def _way(mode: Mode) -> RunConfig:
    return RunConfig(mode, StreamSettings(model="tiny", memory="full"), "head")


def test_only_the_first_frames_are_compared(sessions) -> None:
    session = finished(sessions.open("a"), 6)
    comparison = session.compare(dataclasses.replace(OFFLINE, frames=4))
    wait_compared(comparison)
    assert comparison.progress.outcome is not None
    assert comparison.progress.outcome.frames == 4 and comparison.scene.num_frames == 4
    session.seek(5)
    assert comparison.scene.moment == 3


def test_it_is_cancelled_and_nothing_of_it_stays(sessions) -> None:
    session = finished(sessions.open("a"), 40)
    comparison = session.compare(OFFLINE)
    with pytest.raises(BadInput, match="under way"):
        session.compare(OFFLINE)
    comparison.cancel()
    wait_compared(comparison)
    assert comparison.progress.state == "cancelled" and session.scene.num_frames == 40
    sessions.close(session.token)
    assert not comparison.running
    sessions.remove(session.token)
    assert not session.recording.folder.exists()


def test_cancelling_leaves_the_stream_running(sessions) -> None:
    session, gate = sessions.open("a"), threading.Event()
    run(session, Made(8, wait_at=4, gate=gate))
    wait(session, lambda p: p.frames_done >= 4)
    comparison = session.compare(dataclasses.replace(OFFLINE, every=2))
    comparison.cancel()
    wait_compared(comparison)
    assert comparison.progress.state == "cancelled" and session.running
    gate.set()
    wait(session, ended)
    assert session.progress.state == "finished" and session.scene.num_frames == 8


def test_it_comes_back_with_its_session(worker: LocalWorker, tmp_path) -> None:
    """After a restart, on other weights even: nothing is computed again."""
    folder = tmp_path / "store"
    first = Sessions(worker, SessionLimits(), Store(folder))
    session = finished(first.open("a"), 5, refine=True)
    comparison = session.compare(OFFLINE)
    wait_compared(comparison)
    token, outcome = session.token, comparison.progress.outcome
    first.shutdown()
    second = Sessions(LocalWorker(ModelRegistry()), SessionLimits(), Store(folder))
    try:
        back = second.find(token)
        assert back is not None and back.comparison is not None
        wait_compared(back.comparison)
        assert back.comparison.progress.state == "finished"
        assert back.comparison.progress.outcome == outcome
        assert back.comparison.scene.num_frames == 5
    finally:
        second.shutdown()


def test_its_scene_is_painted_from_the_same_view(sessions) -> None:
    session = finished(sessions.open("a"), 4)
    comparison = session.compare(OFFLINE)
    wait_compared(comparison)
    shown = comparison._shown
    assert shown is not None
    plain = num_nodes(comparison.scene)
    comparison.paint_as("overlay")
    assert num_nodes(comparison.scene) == plain + 5  # A's points of every frame, and their parent
    comparison.paint_as("difference")
    assert num_nodes(comparison.scene) == plain
    a, b = comparison.pair(2)
    apart = np.linalg.norm(pixel_points(a) - pixel_points(b), axis=2)
    assert np.array_equal(shown.load(2).image, coloured(apart / a.depth))
    comparison.paint_as("swipe")
    assert np.array_equal(shown.load(2).image, session.recording.frames.load(2).image)
    drawn = comparison.scene._points.recent[0]
    comparison.paint_as("side by side")
    assert comparison.scene._points.recent[0] is drawn  # the same two views, otherwise laid out


def test_more_frames_than_fit_are_refused_with_the_number_that_does(
    sessions,
    tiny: LoadedModel,
) -> None:
    session = finished(sessions.open("a"), 6)
    small = dataclasses.replace(tiny.device, free_bytes=1_000_000)
    sessions.worker.models.add(dataclasses.replace(tiny, device=small))
    with pytest.raises(BadInput, match=r"6 frames do not fit .* at once; \d do"):
        session.compare(OFFLINE)
    assert session.comparison is None
    comparison = session.compare(dataclasses.replace(OFFLINE, frames=1))
    wait_compared(comparison)
    assert comparison.progress.state == "finished"


def test_tall_frames_that_were_kept_whole_are_compared(sessions, tmp_path) -> None:
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 255, (16, 9, 3), np.uint8)
        Image.fromarray(noise).resize((180, 320)).save(tmp_path / f"{number}.png")
    session = sessions.open("a")
    pictures = sorted(tmp_path.glob("*.png"))
    session.start(open_clip(pictures, 84, None, InputLimits(), whole=True), SETTINGS)
    wait(session, ended)
    assert session.recording.frames.load(0).image.shape == (70, 42, 3)
    comparison = session.compare(OFFLINE)
    wait_compared(comparison)
    assert comparison.progress.state == "finished", comparison.progress.message


def test_weights_for_other_pictures_are_refused(sessions, tiny: LoadedModel) -> None:
    session = finished(sessions.open("a"), 3)
    sessions.worker.models.add(dataclasses.replace(tiny, name="wide", input_width=518))
    with pytest.raises(BadInput, match="518 pixels wide, and these frames have 84"):
        session.compare(
            ComparisonRequest(RunConfig("offline", StreamSettings(model="wide"), "head"))
        )


def test_a_comparison_that_waits_for_the_device_can_be_closed(sessions) -> None:
    session = finished(sessions.open("a"), 3)
    with sessions.worker._device._lock.background():  # somebody else's long pass
        comparison = session.compare(OFFLINE)
        time.sleep(0.2)
        assert comparison.running
        began = time.monotonic()
        sessions.close(session.token)
        assert time.monotonic() - began < 5
    assert not comparison.running


def test_a_moment_stays_when_colours_change(sessions) -> None:
    session = finished(sessions.open("a"), 6)
    comparison = session.compare(OFFLINE)
    wait_compared(comparison)
    session.seek(2)
    comparison.paint_as("overlay")
    assert comparison.scene.moment == 2


def test_a_closed_session_compares_nothing(sessions) -> None:
    session = finished(sessions.open("a"), 3)
    session.close()
    with pytest.raises(BadInput, match="left memory"):
        session.compare(OFFLINE)


def test_weights_that_do_not_fit_together_wait_for_the_stream(
    sessions,
    tiny: LoadedModel,
) -> None:
    worker: LocalWorker = sessions.worker
    device = dataclasses.replace(tiny.device, free_bytes=int(1.5 * tiny.num_bytes / 0.8))
    ours = dataclasses.replace(tiny, device=device)
    worker.models.add(ours)
    worker.models._loaders["other"] = lambda on_bytes: dataclasses.replace(ours, name="other")
    session, gate = sessions.open("a"), threading.Event()
    run(session, Made(5, wait_at=3, gate=gate))
    wait(session, lambda p: p.frames_done >= 3)
    way = RunConfig("offline", StreamSettings(model="other"), "head")
    comparison = session.compare(ComparisonRequest(way, every=2))
    deadline = time.monotonic() + 30
    while "do not fit" not in comparison.progress.message and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "waits until the stream has ended" in comparison.progress.message
    assert worker._device.weights.names == ["tiny"]
    gate.set()
    wait(session, ended)
    wait_compared(comparison)
    assert comparison.progress.outcome is not None and comparison.progress.outcome.frames == 5
    assert worker._device.weights.names == ["other"]


def test_weights_that_cannot_be_had_are_told(sessions) -> None:
    def fails(on_bytes) -> LoadedModel:
        raise CheckpointError("the hub cannot be reached")

    sessions.worker.models._loaders["far"] = fails
    session = finished(sessions.open("a"), 3)
    comparison = session.compare(
        ComparisonRequest(RunConfig("offline", StreamSettings(model="far"), "head"))
    )
    wait_compared(comparison)
    assert comparison.progress.state == "failed"
    assert "hub cannot be reached" in comparison.progress.message
    assert session.progress.state == "finished"


def test_a_closed_comparison_is_collected(sessions) -> None:
    session = finished(sessions.open("a"), 3)
    gone = []
    for _ in range(3):
        comparison = session.compare(OFFLINE)
        wait_compared(comparison)
        gone.append(weakref.ref(comparison.scene))
    sessions.close(session.token)
    del comparison, session
    deadline = time.monotonic() + 10
    while any(ref() is not None for ref in gone) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.1)
    assert [ref() for ref in gone] == [None] * 3


@pytest.mark.parametrize("refined", [False, True])
def test_a_frame_brought_to_another_world_has_its_points_there(refined: bool) -> None:
    turn = geometry.rotation_from_quaternion(np.array([0.1, 0.2, -0.3, 0.9]))
    similarity = Similarity(1.7, np.concatenate([turn, [[1.0], [2.0], [3.0]]], axis=1))
    shot = PosedFrame(prediction(3), correction(3, (1, 2, 3), 0.2) if refined else None)
    moved = brought(shot, similarity)
    points = pixel_points(shot).reshape(-1, 3)
    assert np.allclose(pixel_points(moved).reshape(-1, 3), similarity.points(points), atol=1e-5)


def test_tints_keep_light_and_differ_in_colour() -> None:
    ramp = np.repeat(np.arange(0, 256, 5, dtype=np.uint8)[:, None], 3, axis=1)
    for ink in INKS:
        assert (np.diff(tinted(ramp, ink).sum(axis=1, dtype=int)) >= 0).all()
    orange, blue = (tinted(ramp, ink).astype(int) for ink in INKS)
    assert (orange[:, 0] > orange[:, 2]).all() and (blue[:, 2] > blue[:, 0]).all()


def test_the_difference_has_the_last_colour_from_a_fifth_of_the_depth_on() -> None:
    same, far, further = coloured(np.array([[0.0, 0.2, 5.0]]))[0]
    assert same[2] > same[0] and far[0] > far[2] and np.array_equal(far, further)
