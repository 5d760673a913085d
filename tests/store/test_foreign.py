"""A store deletes what is its own: every foreign byte is where it was, whatever happens."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from svggt.errors import StoreRefused
from svggt.store.claim import MARKER
from svggt.store.recording import Recording
from svggt.store.store import Store, Tokens
from tests.conftest import make_frames
from tests.scene.frames import correction, prediction
from tests.store.test_recording import about

FIRST = Path(__file__).parents[1] / "data" / "first_store"


def scene(store: Store) -> Recording:
    recording = store.create(Tokens.new())
    recording.begin(about())
    recording.add(make_frames(1)[0], prediction(0), [correction(0, (1, 2, 3))])
    recording.set_metres("head", 2.0)
    recording.beside.begin(about())
    (recording.beside.folder / "comparison.json").write_text("{}")
    (recording.exports / "scene-head-1-frames.glb").write_bytes(b"x")
    return recording


def foreign(store: Store, recording: Recording, elsewhere: Path) -> dict[Path, str]:
    """Strange files in, beside and behind links from a recording, and what is in them."""
    root = recording.folder.parent
    elsewhere.mkdir()
    (elsewhere / "000000.npz").write_text("somebody's array")
    (root / "0123456789abcdef").symlink_to(elsewhere)
    (recording.exports / "linked").symlink_to(elsewhere)
    texts = [
        root / "thesis.tex",
        root / "lost+found" / "inode",
        root / "photographs" / "run.json",
        root / ("f" * 16) / "letters" / "a.txt",
        root / ("e" * 16) / "frames" / "drawing.psd",
        recording.folder / "notes.txt",
        recording.folder / "frames" / "000000.txt",
        recording.folder / "exports" / "mine.glb",
        recording.folder / "source" / "holiday.mov",
        recording.folder / "beside" / "todo",
    ]
    for path in texts:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"of somebody: {path.name}")
    return bytes_of([*texts, elsewhere / "000000.npz"])


def bytes_of(paths: list[Path]) -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def restarted(store: Store, recording: Recording) -> None:
    store.close()
    again = Store(recording.folder.parent)
    again.tokens()
    again.close()


def expired(store: Store, recording: Recording) -> None:
    os.utime(recording.folder / "run.json", (1, 1))
    store.expire()
    assert recording.folder.name not in store.names


def over_quota(store: Store, recording: Recording) -> None:
    store._quota = 1
    store.expire()
    assert recording.folder.name not in store.names


def removed(store: Store, recording: Recording) -> None:
    store.remove(recording.folder.name)


def begun_again(store: Store, recording: Recording) -> None:
    recording.begin(about())


def damaged(store: Store, recording: Recording) -> None:
    (recording.folder / "tokens.json").write_text("{")
    restarted(store, recording)
    assert len(recording.frames) == 1  # kept: nobody asked for it to go


EVENTS = (restarted, expired, over_quota, removed, begun_again, damaged)


@pytest.mark.parametrize("happens", EVENTS, ids=lambda happens: happens.__name__)
def test_every_foreign_byte_is_where_it_was(
    happens: Callable[[Store, Recording], None], tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    recording = scene(store)
    before = foreign(store, recording, tmp_path / "elsewhere")
    happens(store, recording)
    assert bytes_of(list(before)) == before
    if happens in (expired, over_quota, removed):
        ours = [p for p in recording.folder.rglob("*") if p.is_file() and p not in before]
        assert [p for p in ours if tmp_path / "elsewhere" not in p.resolve().parents] == []
    store.close()


@pytest.mark.parametrize("at", range(6))
def test_a_deletion_that_is_killed_ends_at_the_next_start(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    recording, deleted = scene(store), []
    (recording.folder / "notes.txt").write_text("mine")
    unlink = Path.unlink

    def killed(self: Path, missing_ok: bool = False) -> None:
        if len(deleted) == at:
            raise KeyboardInterrupt
        deleted.append(self)
        unlink(self, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            store.remove(recording.folder.name)
    restarted(store, recording)
    assert [path.name for path in recording.folder.rglob("*")] == ["notes.txt"]


@pytest.mark.parametrize(
    "stranger", ["thesis.tex", "photographs/a.jpg", "f" * 16 + "/letters/a.txt"]
)
def test_a_folder_with_strangers_is_refused_untouched(stranger: str, tmp_path: Path) -> None:
    path = tmp_path / stranger
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    with pytest.raises(StoreRefused, match=r"holds what is not svggt's .*--store"):
        Store(tmp_path)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text('{"format": 99}')
    with pytest.raises(StoreRefused, match="newer version"):
        Store(tmp_path)


def test_a_store_of_the_first_version_is_adopted_and_its_recordings_open(tmp_path: Path) -> None:
    """With frames, cameras, the clip that went with it (wherever it was then), and comparison."""
    folder = tmp_path / "moved"
    shutil.copytree(FIRST, folder)
    (folder / ".lock").touch()
    (name,) = (path.name for path in FIRST.iterdir())
    for _ in range(2):  # the second time it bears a marker
        store = Store(folder)
        assert store.tokens()[name].owner.startswith("owner-of-the-first-version")
        store.close()
    recording = store.load(name)
    assert recording is not None
    kept = recording.about
    assert kept is not None and kept.clip is not None and kept.state == "finished"
    assert len(recording.frames) == len(list(kept.clip.frames())) == 2
    assert recording.frames.load(1).number == 1 and recording.frames.frame(0).grey.shape[1] == 480
    assert sorted(recording.cameras.read()) == [0, 1]
    assert recording.beside.about is not None
    recording.end("finished", "", 1.0)
    assert json.loads((recording.folder / "run.json").read_text())["format"] == 2
    again = Recording(recording.folder).about
    assert again is not None and again.clip == kept.clip


def test_a_damaged_recording_is_kept_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path, keep_seconds=1, quota_bytes=1)
    recording = scene(store)
    (recording.folder / "run.json").write_text("{")
    os.utime(recording.folder / "run.json", (time.time() - 9, time.time() - 9))
    store.close()
    again = Store(tmp_path, keep_seconds=1, quota_bytes=1)
    assert again.tokens() == {}
    again.expire()
    assert len(recording.frames) == 1
    assert recording.folder.name in caplog.text and "kept" in caplog.text
    again.close()


def test_what_was_deleted_does_not_come_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    name = scene(store).folder.name
    store.remove(name)
    assert store.load(name) is None and not (tmp_path / name).exists()
    store.close()
