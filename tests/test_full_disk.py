"""A disk that is full, or may not be written, is a sentence everywhere, and leaves nothing half."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from svggt.cli import main
from svggt.engine.local_worker import LocalWorker
from svggt.errors import BadInput, StoreRefused
from svggt.exports.exporter import make_export
from svggt.session.registry import Sessions
from svggt.settings import SessionLimits
from svggt.store.recording import Recording
from svggt.store.store import Store
from tests.media.files import write_pictures
from tests.session.runs import Made, ended, run, wait


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes, where this machine lets us have one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "svggt-test", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this machine mounts nothing for us")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def sessions(disk: Path, worker: LocalWorker) -> Iterator[Sessions]:
    made = Sessions(worker, SessionLimits(), Store(disk / "store"))
    yield made
    read_only(disk, False)
    made.shutdown()


def read_only(disk: Path, is_so: bool = True) -> None:
    subprocess.run(["mount", "-o", f"remount,{'ro' if is_so else 'rw'}", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Takes what is left, to the last byte."""
    path = disk / "others"
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1024)):
                pass
        except OSError:
            return path


def recordings(sessions: Sessions) -> list[Path]:
    return [path for path in sessions.store._folder.iterdir() if path.is_dir()]


@pytest.mark.slow
def test_a_run_that_fills_it_keeps_what_is_drawn(disk: Path, sessions: Sessions) -> None:
    session = sessions.open("a")
    run(session, Made(500))
    wait(session, ended)
    assert session.progress.state == "failed" and "disk" in session.progress.message
    drawn = session.scene.num_frames
    assert 1 < drawn < 500
    sessions.close(session.token)
    found = sessions.find(session.token)
    assert found is not None and found.scene.num_frames >= drawn - 1
    assert not list(found.recording.folder.rglob("*.part"))


def test_nothing_begins_on_a_full_one(disk: Path, sessions: Sessions) -> None:
    session = sessions.open("a")
    fill(disk)
    with pytest.raises(BadInput, match="disk"):
        run(session, Made(3))
    assert session.progress.state == "empty" and sessions.worker.num_streams == 0
    before = recordings(sessions)
    with pytest.raises(BadInput, match="disk"):
        for _ in range(300):  # folders take room too, after a while
            sessions.open("b", instead_of=session)
    assert len(sessions.store.names) == len(recordings(sessions)) >= len(before)


def test_nothing_begins_on_one_that_is_read_only(disk: Path, sessions: Sessions) -> None:
    session, other = sessions.open("a"), sessions.open("a")
    run(other, Made(2))
    wait(other, ended)
    sessions.store.close()  # an open lock keeps a disk from turning read-only
    read_only(disk)
    with pytest.raises(BadInput, match="cannot be written"):
        run(session, Made(3))
    with pytest.raises(BadInput, match="cannot be written"):
        sessions.open("b")
    with pytest.raises(BadInput, match="cannot be written"):
        sessions.revoke(other)
    with pytest.raises(BadInput, match="cannot be written"):
        make_export(other.recording, "tum", "head")
    assert sessions.get(other.token) is other and other.scene.num_frames == 2


def test_an_export_that_does_not_fit_leaves_nothing(disk: Path, sessions: Sessions) -> None:
    session = sessions.open("a")
    run(session, Made(3))
    wait(session, ended)
    others = fill(disk)
    before = set(session.recording.folder.rglob("*"))
    with pytest.raises(BadInput, match="disk"):
        make_export(session.recording, "npz", "head")
    assert set(session.recording.folder.rglob("*")) == before
    others.unlink()
    assert make_export(session.recording, "npz", "head").is_file()


def test_a_store_that_cannot_be_is_refused(disk: Path) -> None:
    (disk / "store").mkdir()
    read_only(disk)
    for folder in (disk / "store", disk / "new"):
        with pytest.raises(StoreRefused, match=r"cannot be written.*--store"):
            Store(folder)


@pytest.mark.slow
def test_the_command_line_says_so_and_how_to_go_on(disk: Path, tmp_path: Path, capsys) -> None:
    clip = write_pictures(tmp_path / "clip", 40)
    with pytest.raises(SystemExit) as stopped:
        main(["run", *map(str, clip), "--out", str(disk / "run"), "--no-refine"])
    assert "No space" in str(stopped.value.code) and "svggt resume" in str(stopped.value.code)
    assert len(Recording(disk / "run").frames) >= 1
    assert "Traceback" not in capsys.readouterr().err
