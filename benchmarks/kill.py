"""A run killed at any moment: what is on disk is whole, and resumes as if it never was killed.

`python -m benchmarks.kill [--kills 50]` streams the office example by `python -m svggt run` and
`resume` in processes of their own, sends SIGKILL at random moments, and reads after each what is
there. A run that ends is compared with one that was left alone, and its exports are killed too.
Then a server with running scenes is told to end (SIGTERM, `--terms 20`) at random moments, as
Docker and a Space do, and started again on the same store.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from gradio_client import Client

from benchmarks.served import serving
from svggt.media.examples import EXAMPLES
from svggt.store.recording import Recording

_SVGGT = (sys.executable, "-m", "svggt")
_FRAMES = 10
_KILLS_OF_ONE = 3  # each resume rebuilds what was there: more would come no further
_MANY_FRAMES, _LONGEST_RUN_SECONDS = 120, 5.0  # of scenes that a server is told to end in
_NONE: tuple[str, ...] = ("--export",)
_NUMBERS = ("--precision", "float32")  # else each process measures which are faster


@dataclass
class Found:
    """What the kills met.

    Attributes:
        kills: of runs, before they ended.
        exports: kills of exports.
        finished: runs that ended in spite of them, each equal to the one left alone.
        at: frames on disk at each kill of a run.
    """

    kills: int
    exports: int
    finished: int
    at: list[int]


def begun(folder: Path) -> list[str]:
    """The command that begins a run."""
    frames = ("--rate", "5", "--frames", str(_FRAMES))
    return [*_SVGGT, "run", str(EXAMPLES[0].clip), "--out", str(folder), *frames, *_NUMBERS, *_NONE]


def killed(command: list[str], seconds: float) -> bool:
    """Starts a command and kills it after some time; False if it had ended by then."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603  # our own
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    if process.returncode:
        raise RuntimeError(f"{command} failed by itself")
    return False


def check(folder: Path) -> int:
    """Reads all that is there, and returns the number of frames.

    Raises:
        AssertionError: something is half there.
    """
    recording = Recording(folder)
    about, count = recording.about, len(recording.frames)
    if about is None:
        assert not count, "frames without a run"
        return 0
    assert about.state in ("running", "finished"), about.state
    files = list((folder / "frames").glob("*.npz"))
    assert len(files) == count, "a gap"
    for number, prediction in enumerate(recording.frames.predictions()):
        assert prediction.number == number and np.isfinite(prediction.depth).all()
        recording.frames.frame(number)
    assert set(recording.cameras.read()) <= set(range(count)), "a camera without its frame"
    if about.state == "finished":
        assert count == _FRAMES
    return count


def same(one: Path, other: Path) -> bool:
    """Whether the model said the same in two runs, bit for bit."""
    pairs = zip(
        Recording(one).frames.predictions(), Recording(other).frames.predictions(), strict=True
    )
    return all(
        np.array_equal(a.depth, b.depth) and np.array_equal(a.cam_from_world, b.cam_from_world)
        for a, b in pairs
    )


def kill_exports(folder: Path, chance: random.Random) -> int:
    """Kills an export; what is there after it can be read."""
    command = [*_SVGGT, "export", str(folder), "npz", "colmap", "depth"]
    was_killed = killed(command, chance.uniform(1.0, 6.0))
    for path in (folder / "exports").iterdir():
        if path.suffix in (".npz", ".zip"):
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None, path
    return int(was_killed)


def loop(kills: int, seed: int = 0) -> Found:
    """Kills until there were so many; see the module."""
    chance, found = random.Random(seed), Found(0, 0, 0, [])  # noqa: S311  # no secret
    with tempfile.TemporaryDirectory(prefix="svggt-kill-") as made:
        alone = Path(made, "alone")
        started = time.perf_counter()
        assert not killed(begun(alone), 600)
        usual = time.perf_counter() - started
        number = 0
        while found.kills < kills:
            folder, command = Path(made, str(number)), begun(Path(made, str(number)))
            number += 1
            for _ in range(_KILLS_OF_ONE):
                if found.kills == kills:
                    break
                if killed(command, chance.uniform(0.3, 1.1) * usual):
                    found.kills += 1
                    found.at.append(check(folder))
                about = Recording(folder).about
                if about is not None and about.state == "finished":
                    assert check(folder) == _FRAMES and same(folder, alone)
                    found.finished += 1
                    found.exports += kill_exports(folder, chance)
                    break
                if about is None:  # killed before it began: its folder may hold half a clip
                    break
                command = [*_SVGGT, "resume", str(folder), *_NUMBERS, *_NONE]
    return found


def term_loop(terms: int, seed: int = 0) -> list[int]:
    """Tells a server to end so often, and opens after each what it was doing.

    Returns:
        Frames that were on disk each time.

    Raises:
        AssertionError: it took longer than ten seconds, said a traceback, left files as sent, or a
            scene is not whole or does not go on.
    """
    chance, at = random.Random(seed), []  # noqa: S311  # no secret
    with tempfile.TemporaryDirectory(prefix="svggt-term-") as base:
        store, log, temporary = Path(base, "store"), Path(base, "log"), Path(base, "tmp")
        temporary.mkdir()
        environment, token = {"TMPDIR": str(temporary)}, None
        for _ in range(terms):
            with serving(store, log, environment) as server:
                server.wait_ready()
                client = server.client()
                if token is not None:
                    _finish(client, token)
                begun: Any = client.predict(
                    source="example", max_frames=_MANY_FRAMES, api_name="/start"
                )
                token = begun["token"]
                time.sleep(chance.uniform(0.0, _LONGEST_RUN_SECONDS))
                server.process.terminate()
                server.process.wait(timeout=10)
            assert "Traceback" not in log.read_text(), log.read_text()
            assert not any(temporary.glob("svggt-*")), "files as sent are left"
            newest = max(store.glob("*/run.json"), key=lambda path: path.stat().st_mtime)
            recording = Recording(newest.parent)
            assert recording.about is not None
            assert recording.about.state == "interrupted", recording.about.state
            at.append(len(recording.frames))
            assert len(list((newest.parent / "frames").glob("*.npz"))) == at[-1], "a gap"
    return at


def _finish(client: Client, token: str) -> None:
    """A scene of the server before goes on to its end, and is deleted."""
    client.predict(token, api_name="/resume")
    last: Any = list(client.submit(token, api_name="/follow"))[-1]
    assert last["state"] == "finished" and last["frames_done"] == _MANY_FRAMES, last
    client.predict(token, api_name="/delete")


def main(kills: int = 50, terms: int = 20, seed: int = 0) -> None:
    """Prints what the kills met; fails where something was half there.

    Args:
        kills: of runs.
        terms: of servers that are told to end.
        seed: of the moments.
    """
    found = loop(kills, seed)
    sys.stdout.write(
        f"{found.kills} runs killed, at {sorted(found.at)} frames; {found.finished} ended all the "
        f"same, equal to one left alone; {found.exports} exports killed; nothing half there\n"
    )
    at = term_loop(terms, seed)
    sys.stdout.write(
        f"{len(at)} servers told to end, at {sorted(at)} frames of {_MANY_FRAMES}; every scene was "
        "kept as interrupted, and went on to its end\n"
    )


if __name__ == "__main__":
    tyro.cli(main)
