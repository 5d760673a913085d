"""Recordings of a machine: found again, bounded, gone in time."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from svggt.store.store import Store, StoreInUse, Tokens, _bytes
from tests.conftest import make_frames
from tests.scene.frames import prediction
from tests.store.test_recording import about


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "store", keep_seconds=100, quota_bytes=2_500_000)
    yield made
    made.close()


def made(store: Store, frames: int = 1, age: float = 0.0) -> str:
    recording = store.create(Tokens.new())
    recording.begin(about())
    for frame in make_frames(frames):
        recording.add(frame, prediction(frame.number), [])
    then = time.time() - age
    os.utime(recording.folder / "run.json", (then, then))
    return recording.folder.name


def test_tokens_outlive_the_process(store: Store) -> None:
    tokens = Tokens.new()
    store.create(tokens).begin(about())
    store.close()
    again = Store(store._folder)
    (found,) = again.tokens().values()
    assert found == tokens
    again.close()


def test_others_cannot_read_it(store: Store) -> None:
    assert store._folder.stat().st_mode & 0o077 == 0


def test_what_never_ran_is_gone_after_a_restart(store: Store) -> None:
    store.create(Tokens.new())
    kept = made(store)
    assert list(store.tokens()) == [kept] and len(store._folders()) == 1


def test_two_servers_do_not_share_a_folder(store: Store) -> None:
    with pytest.raises(StoreInUse, match="--store"):
        Store(store._folder)


def test_what_was_kept_long_enough_goes_unless_it_is_open(store: Store) -> None:
    new, _, looked_at = made(store), made(store, age=101), made(store, age=101)
    store.hold(looked_at)
    store.expire()
    assert store.names == {new, looked_at}
    assert sorted(store.tokens()) == sorted([new, looked_at])
    assert abs(store.kept_until(new) - time.time() - 100) < 5


def test_a_folder_that_goes_while_it_is_measured_is_no_error(store: Store) -> None:
    """A visitor deletes a scene while another one's run asks whether there is room."""
    folder, ends = store._folder / made(store), threading.Event()

    def come_and_go() -> None:
        while not ends.is_set():
            for name in ("frames", "exports", "source", "beside"):
                for deep in (folder / name, folder / name / "more"):
                    deep.mkdir(exist_ok=True)
                shutil.rmtree(folder / name)

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(2000):
            assert _bytes(folder) >= 0
    finally:
        ends.set()
        thread.join()


def test_what_is_too_large_to_be_kept_takes_nobodys_place(store: Store) -> None:
    """A stopped stream's file: it can be rebuilt, and a scene cannot."""
    names = {made(store, age=50), made(store)}
    assert store.has_room(1_000_000)
    assert not store.has_room(2_500_000)
    assert store.names == names


def test_the_oldest_make_room(store: Store) -> None:
    names = [made(store, frames=8, age=50 - n) for n in range(6)]
    size = _bytes(store._folder / names[0])
    assert 6 * size > 2_500_000 > 3 * size  # else this tests nothing
    store.hold(names[0])
    assert not store._quota_holds() and store.has_room()
    kept = [name for name in names if name in store.names]
    assert kept == [names[0], *names[1 - len(kept) :]] and 1 < len(kept) < 6
