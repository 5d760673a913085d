"""What follows a run's last frame: all cameras are adjusted, unless somebody is in a hurry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.files import ASSETS
from svggt.media.clips import Clip, open_clip
from svggt.media.frames import InputLimits
from svggt.session.registry import Sessions
from svggt.session.session import Session
from svggt.settings import SessionLimits, StreamSettings
from svggt.store.store import Store
from tests.session.runs import ended, wait

pytestmark = pytest.mark.slow  # twenty seconds each: real cameras have something to adjust

SETTINGS = StreamSettings(model="embedded", memory="window", window=4, refine=True)
FRAMES = 45


@pytest.fixture
def sessions(embedded: LoadedModel, tmp_path: Path) -> Iterator[Sessions]:
    worker = LocalWorker(ModelRegistry([embedded]))
    sessions = Sessions(worker, SessionLimits(), Store(tmp_path / "store"))
    yield sessions
    sessions.shutdown()
    worker.shutdown()


def clip(frames: int = FRAMES) -> Clip:
    return open_clip([ASSETS / "clips/office.mp4"], 224, None, InputLimits(max_frames=frames))


def begun(sessions: Sessions, frames: int = FRAMES) -> Session:
    session = sessions.open("a")
    session.start(clip(frames), SETTINGS)
    return session


def adjusting(progress) -> bool:
    return progress.adjusted is not None and progress.adjusted > 0


def test_cameras_and_points_are_adjusted_after_the_last_frame(sessions: Sessions) -> None:
    session = begun(sessions)
    wait(session, adjusting)
    assert session.running and session.progress.frames_done == FRAMES
    assert "Adjusting all cameras" in session.progress.message
    before = session.recording.cameras.read()
    wait(session, ended)
    assert session.progress.state == "finished" and session.progress.adjusted is None
    after = session.recording.cameras.read()
    newest = max(c.revision for c in before.values())
    assert all(after[n].revision > newest for n in range(FRAMES))
    moved = [after[n].world_from_cam[:, 3] - before[n].world_from_cam[:, 3] for n in range(FRAMES)]
    assert np.abs(moved).max() > 1e-4


def test_stop_leaves_the_adjustment_to_itself_and_twice_skips_it(sessions: Sessions) -> None:
    session = begun(sessions, 200)
    wait(session, lambda p: p.frames_done >= 35)
    session.stop()
    done = session.progress.frames_done
    assert session.running and done < 200
    session.stop()
    assert session.progress.state == "stopped" and session.progress.frames_done == done
    assert session.progress.can_resume and session.progress.adjusted is None
    assert "not adjusted" in session.progress.message


def test_a_server_that_ends_meanwhile_leaves_a_run_that_is_whole(sessions: Sessions) -> None:
    session = begun(sessions, 35)
    wait(session, adjusting)
    session.close()
    assert session.progress.state == "finished"
    assert len(session.recording.cameras.read()) == session.progress.frames_done


def test_a_run_that_is_resumed_after_it_was_adjusted_is_in_one_world(sessions: Sessions) -> None:
    session = begun(sessions, 200)
    wait(session, lambda p: p.frames_done >= 35)
    session.stop()
    wait(session, ended)
    done, adjusted = session.progress.frames_done, session.recording.cameras.read()
    session.resume()
    wait(session, lambda p: p.frames_done >= done + 3)
    session.stop()
    session.stop()  # which leaves the second adjustment out
    after = session.recording.cameras.read()
    assert not any(
        np.allclose(after[n].world_from_cam, adjusted[n].world_from_cam, atol=1e-7)
        for n in range(5, done)
    )
