"""What comes back from disk is doubted: what is whole opens, what was lost is said."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.errors import BadInput
from svggt.exports.exporter import make_export
from svggt.media.clips import open_clip
from svggt.media.frames import InputLimits
from svggt.session.registry import Sessions
from svggt.session.session import Session
from svggt.settings import SessionLimits, StreamSettings
from svggt.store.store import Store, Tokens
from tests.media.files import write_pictures
from tests.session.runs import ended, run, wait

FRAMES = 4
Damage = Callable[[Path], None]


def empty(path: Path) -> None:
    path.write_bytes(b"")


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))


def text(path: Path) -> None:
    path.write_text("[" * 100_000)


def flipped(path: Path) -> None:
    """Bits here and there, as a bad disk does."""
    content, rng = bytearray(path.read_bytes()), np.random.default_rng(1)
    for at in rng.integers(len(content), size=20):
        content[at] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)


def gone(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def of_another(path: Path) -> None:
    """A whole file with other arrays, of other shapes."""
    with path.open("wb") as file:
        np.savez(file, number=0, depth=np.zeros((3, 3)), image="a picture")


def shrunk(path: Path) -> None:
    """One array of another shape, all else as it was."""
    with np.load(path) as arrays:
        kept = dict(arrays)
    with path.open("wb") as file:
        np.savez(file, **{**kept, "depth": kept["depth"][1:]})


DAMAGES = [empty, half, zeros, noise, text, flipped, gone, folder]


@pytest.fixture(scope="module")
def finished(tiny: LoadedModel, tmp_path_factory) -> tuple[Path, Tokens]:
    """A store with a finished run of pictures, and its tokens."""
    base = tmp_path_factory.mktemp("damage")
    worker = LocalWorker(ModelRegistry([tiny]))
    sessions = Sessions(worker, SessionLimits(), Store(base / "store"))
    session = sessions.open("a")
    clip = open_clip(write_pictures(base / "clip", FRAMES), 84, None, InputLimits())
    run(session, clip, StreamSettings(model="tiny", refine=True))
    wait(session, ended)
    sessions.shutdown()
    worker.shutdown()
    return base / "store", session.tokens


@pytest.fixture
def opened(
    finished: tuple[Path, Tokens], worker: LocalWorker, tmp_path: Path
) -> Iterator[Callable[[str, Damage], Session]]:
    """Opens the run after something has happened to one of its files."""
    servers: list[Sessions] = []

    def after(name: str, damage: Damage) -> Session:
        shutil.copytree(finished[0], tmp_path / "store")
        (recording,) = (path for path in (tmp_path / "store").iterdir() if path.is_dir())
        damage(recording / name)
        servers.append(Sessions(worker, SessionLimits(), Store(tmp_path / "store")))
        session = servers[0].find(finished[1].owner)
        if session is None:
            raise BadInput("this session is not there: the log says why")
        return session

    yield after
    for server in servers:
        server.shutdown()


@pytest.mark.parametrize("damage", [*DAMAGES, of_another, shrunk])
@pytest.mark.parametrize("number", [0, 2])
def test_frames_up_to_a_damaged_one_open_and_the_rest_is_computed_again(
    opened, number: int, damage: Damage
) -> None:
    session = opened(f"frames/{number:06}.npz", damage)
    assert session.scene.num_frames == session.progress.frames_done == number
    said = session.progress.message
    assert f"{number} frames could be read, {FRAMES - number} could not" in said
    if number:
        make_export(session.recording, "tum", "refined")
        assert "Resume" in said
        session.resume()
        wait(session, ended)
        assert session.progress.message == f"Finished: {FRAMES} frames."
        assert session.recording.frames.num_lost() == 0  # nor is it said once more, later
    else:
        assert not session.progress.can_resume
        with pytest.raises(BadInput):
            make_export(session.recording, "tum", "refined")


def test_what_a_kill_left_half_written_is_no_loss(opened) -> None:
    def half_written(path: Path) -> None:
        path.with_name("000004.npz.part").write_bytes(path.read_bytes()[:100])
        path.with_name("notes.npz").write_bytes(b"somebody's")

    session = opened("frames/000003.npz", half_written)
    assert session.progress.message == f"Finished: {FRAMES} frames."


@pytest.mark.parametrize("damage", [empty, half, zeros, noise, text, flipped, folder])
def test_a_damaged_journal_loses_its_own_lines(opened, damage: Damage) -> None:
    session = opened("cameras.jsonl", damage)
    assert session.scene.num_frames == FRAMES
    left = len(session.recording.cameras.read())
    assert left < FRAMES
    assert f"{FRAMES - left} frames have no refined camera" in session.progress.message
    assert make_export(session.recording, "tum", "refined").is_file()


def test_a_journal_that_says_nonsense_is_doubted(opened) -> None:
    """Lines that are JSON and no corrections, between lines that are."""

    def nonsense(path: Path) -> None:
        lines = path.read_text().splitlines()
        wrong = dict(json.loads(lines[-1]))
        strange = [{}, [], "a", 1, wrong | {"frame": "x"}, wrong | {"world_from_cam": [1]}]
        strange += [wrong | {"world_from_cam": {"dtype": "O", "shape": [9], "base64": "!"}}]
        strange += [wrong | {"focal": float("nan")}, wrong | {"unknown": 1}]
        path.write_text("\n".join([*lines, *map(json.dumps, strange)]) + "\n")

    session = opened("cameras.jsonl", nonsense)
    assert len(session.recording.cameras.read()) == FRAMES
    assert "Some refined cameras could not be read" in session.progress.message


@pytest.mark.parametrize("name", ["run.json", "tokens.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_without_its_settings_a_run_is_kept_and_not_opened(
    opened, tmp_path: Path, name: str, damage: Damage
) -> None:
    with contextlib.suppress(BadInput):
        assert opened(name, damage).scene.num_frames == FRAMES  # a bit may not matter
    if damage is not gone:
        assert len(list((tmp_path / "store").glob("*/frames/*.npz"))) == FRAMES


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_clip_is_a_sentence(opened, damage: Damage) -> None:
    def one_lost(path: Path) -> None:
        damage(path)
        (path.parents[1] / "frames" / "000003.npz").unlink()

    session = opened("source/000003.png", one_lost)
    assert session.scene.num_frames == FRAMES - 1 and session.progress.can_resume
    session.resume()
    wait(session, ended)
    assert session.progress.state in ("failed", "finished")
    assert "wrong on our side" not in session.progress.message, session.progress.message
    assert session.scene.num_frames >= FRAMES - 1
