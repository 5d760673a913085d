"""Offline beside a stream: what it draws, what it says, and that it leaves the stream alone."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import numpy as np
import pytest

from svggt import geometry
from svggt.agreement import world_points
from svggt.beside import brought
from svggt.exports.frames import PosedFrame
from svggt.frames import BadInput
from svggt.geometry import Similarity
from svggt.offline import predict_clip
from svggt.session import Session
from svggt.settings import StreamSettings
from tests.conftest import make_frames
from tests.scene.frames import correction, prediction
from tests.test_sessions import Made, ended, run, sessions, store, wait  # noqa: F401  # fixtures


def wait_beside(session: Session) -> None:
    deadline = time.monotonic() + 30
    while session.beside is not None and session.beside.progress.state == "running":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_offline_takes_the_frames_that_are_there(sessions, tiny) -> None:  # noqa: F811
    session = sessions.open("a")
    run(session, Made(5), StreamSettings(model="tiny", refine=True))
    wait(session, ended)
    beside = session.compare()
    wait_beside(session)
    found = beside.progress
    assert found.state == "finished" and found.frames == 5, found.message
    assert found.offline_s > 0 and found.streamed_s == session.progress.step_seconds[-1]
    assert found.agreement is not None and found.agreement.frames == 5
    assert beside.scene.num_frames == 5
    offline = predict_clip(tiny, make_frames(5), causal=False)
    drawn = beside._recording.frames.load(3)
    ratio = drawn.depth / offline[3].depth  # of one world's scale to the other's
    assert np.allclose(ratio, np.median(ratio), rtol=5e-3)


def test_the_stream_goes_on_beside_it(sessions) -> None:  # noqa: F811
    session, gate = sessions.open("a"), threading.Event()
    run(session, Made(8, wait_at=6, gate=gate))
    wait(session, lambda p: p.frames_done >= 4)
    beside = session.compare()
    gate.set()
    wait(session, ended)
    wait_beside(session)
    assert session.progress.state == "finished" and session.scene.num_frames == 8
    assert beside.progress.state == "finished" and beside.progress.frames >= 4


def test_it_is_cancelled_and_nothing_of_it_stays(sessions) -> None:  # noqa: F811
    session = sessions.open("a")
    run(session, Made(40))
    wait(session, ended)
    beside = session.compare()
    with pytest.raises(BadInput, match="under way"):
        session.compare()
    beside.cancel()
    wait_beside(session)
    assert beside.progress.state == "cancelled" and session.scene.num_frames == 40
    session.clear()
    assert session.beside is None and not (session.recording.folder / "offline").exists()
    with pytest.raises(BadInput, match="Start"):
        session.compare()


def test_a_closed_comparison_is_collected(sessions) -> None:  # noqa: F811
    session = sessions.open("a")
    run(session, Made(3))
    wait(session, ended)
    gone = []
    for _ in range(3):
        beside = session.compare()
        wait_beside(session)
        gone.append(weakref.ref(beside.scene))
    session.clear()
    del beside
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
    assert np.allclose(world_points(moved), similarity.points(world_points(shot)), atol=1e-5)
