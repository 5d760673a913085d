"""Where the quota runs short, older frames are thinned, and a run goes on; also a killed one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from svggt.compare.request import ComparisonRequest
from svggt.compare.run_config import RunConfig
from svggt.engine.local_worker import LocalWorker
from svggt.errors import BadInput
from svggt.exports.exporter import lacking, make_export
from svggt.media.clips import open_clip
from svggt.media.frames import InputLimits
from svggt.session.registry import Sessions
from svggt.session.session import Session
from svggt.settings import SessionLimits, StreamSettings
from svggt.store.store import Store
from tests.media.files import write_pictures
from tests.session.runs import ended, wait

FRAMES = 50
SETTINGS = StreamSettings(model="tiny", memory="window", window=2)
REFINED = replace(SETTINGS, refine=True)


@pytest.fixture
def clip(tmp_path: Path):
    return open_clip(write_pictures(tmp_path / "clip", FRAMES), 84, None, InputLimits())


@pytest.fixture
def narrow(tmp_path: Path, worker: LocalWorker) -> Iterator[Sessions]:
    """A store whose quota runs short after some 30 frames of these."""
    made = Sessions(worker, SessionLimits(), Store(tmp_path / "narrow", quota_bytes=71_000_000))
    yield made
    made.shutdown()


def finished(session: Session) -> Session:
    wait(session, ended)
    assert session.progress.state == "finished", session.progress.message
    assert session.progress.frames_done == session.scene.num_frames == FRAMES
    return session


def test_a_run_goes_on_where_the_quota_runs_short(narrow: Sessions, clip) -> None:
    session = narrow.open("a")
    session.start(clip, SETTINGS)
    finished(session)
    frames = session.recording.frames
    assert 8 <= frames.num_thinned < FRAMES - 10 and len(frames) == FRAMES
    said = f"{session.progress.message} {session.progress.note}"
    assert said.count("older frames are kept as JPEG") == 1
    assert f"{frames.num_thinned} of {FRAMES} frames" in lacking(session.recording)
    assert make_export(session.recording, "ply", "head").stat().st_size > 10_000
    with pytest.raises(BadInput, match="thinned"):
        frames.frame(1)
    with pytest.raises(BadInput, match="thinned"):
        session.compare(ComparisonRequest(RunConfig("offline", SETTINGS, "head")))
    assert frames.frame(FRAMES - 1).number == FRAMES - 1  # where a camera would go on
    narrow.close(session.token)
    found = narrow.find(session.token)
    assert found is not None and found.scene.num_frames == FRAMES


def test_older_scenes_go_before_a_run_thins_its_own(narrow: Sessions, clip) -> None:
    """A store that was filled once is nearly full for ever."""
    older = narrow.open("b")
    older.start(clip, SETTINGS)
    wait(older, ended)
    heavy = older.recording.folder / "exports" / "scene-head-1-frames.ply"
    heavy.write_bytes(bytes(3_000_000))
    narrow.close(older.token)
    session = narrow.open("a")
    session.start(clip, replace(SETTINGS, window=1))
    wait(session, lambda p: p.frames_done >= 20)
    assert older.recording.folder.name not in narrow.store.names
    session.stop()


@pytest.mark.parametrize(
    "lost", [pytest.param(False, marks=pytest.mark.slow), True], ids=["snapshot", "no snapshot"]
)
def test_a_killed_run_goes_on_from_its_newest_snapshot(
    narrow: Sessions, sessions: Sessions, clip, tmp_path: Path, lost: bool
) -> None:
    """As if it never was; and where that is lost too, it says that it cannot."""
    session = narrow.open("a")
    recording, aside = session.recording, tmp_path / "aside"
    aside.mkdir()

    def is_at(progress, number: int) -> bool:
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            for path in recording.folder.glob("stream_*.safetensors"):
                os.link(path, aside / path.name)
        return progress.frames_done >= number

    session.start(clip, SETTINGS if lost else REFINED)
    wait(session, lambda p: is_at(p, 40))
    newest = max(aside.iterdir())
    session.stop()
    wait(session, ended)
    recording.clear_snapshots()  # a killed process leaves none of its end
    if not lost:
        newest.rename(recording.folder / newest.name)
    narrow.close(session.token)
    found, said = narrow.find(session.token), set()
    assert found is not None and found.recording.frames.num_thinned
    if lost:
        with pytest.raises(BadInput, match="cannot be resumed"):
            found.resume()
        assert found.progress.state == "stopped"
        return
    found.resume()
    wait(found, lambda p: said.add(p.message) or ended(p))
    finished(found)
    assert any("Rebuilding" in each for each in said)
    whole = sessions.open("a")
    whole.start(clip, REFINED)
    finished(whole)
    for number in range(FRAMES):
        one, other = (s.recording.frames.load(number) for s in (found, whole))
        assert np.array_equal(one.cam_from_world, other.cam_from_world)
        assert np.array_equal(one.depth[::2, ::2], other.depth[::2, ::2])
    assert sorted(found.recording.cameras.read()) == list(range(FRAMES))
