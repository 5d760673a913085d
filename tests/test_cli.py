"""The command line: a run without a browser, and what is made of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.kill import loop, term_loop
from svggt.cli import export, main, resume, run
from svggt.errors import BadInput
from svggt.media.examples import EXAMPLES
from svggt.store.recording import Recording


def test_a_clip_becomes_a_folder_that_goes_on(tmp_path: Path) -> None:
    assert run((EXAMPLES[0].clip,), tmp_path / "a", rate=5.0, frames=4) == 0
    recording = Recording(tmp_path / "a")
    made = {path.suffix for path in recording.exports.iterdir()}
    assert made == {".glb", ".tum"} and len(recording.frames) == 4
    assert sorted(recording.cameras.read()) == list(range(4))
    about, whole = recording.about, recording.frames.load(3).depth
    assert about is not None and about.state == "finished" and about.elapsed_s > 0
    with pytest.raises(BadInput, match="not empty"):
        run((EXAMPLES[0].clip,), tmp_path / "a")
    with pytest.raises(BadInput, match="has ended"):
        resume(tmp_path / "a")
    recording._write(dataclasses.replace(about, state="running"))
    (tmp_path / "a" / "frames" / "000003.npz").unlink()
    assert resume(tmp_path / "a", export=("ply",)) == 0
    assert np.array_equal(recording.frames.load(3).depth, whole)
    assert export(tmp_path / "a", ("npz",), cameras="head") == 0
    assert {path.name for path in recording.exports.iterdir()} == {
        "scene-refined-4-frames.ply",
        "scene-head-4-frames.npz",
    }


def test_nothing_of_the_persons_own_is_touched(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(BadInput, match="not empty"):
        run((tmp_path / "frames",), tmp_path)
    with pytest.raises(BadInput, match="holds no run"):
        export(tmp_path, ("glb",))
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == [
        "frames",
        "frames/mine.jpg",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "nothing.mp4", "--out", "{out}"),
        ("export", "{out}", "glb"),
        ("resume", "{out}"),
        ("run", "--out", "{out}"),
        ("run", str(EXAMPLES[0].clip), "--out", "{out}", "--frames", "0"),
        ("run", str(EXAMPLES[0].clip), "--out", "{out}", "--frames", "-1"),
        ("run", str(EXAMPLES[0].clip), "--out", "{out}", "--field-of-view", "180"),
        ("run", str(EXAMPLES[0].clip), "--out", "{out}", "--intrinsics", "pyproject.toml"),
        ("run", "tests", "--out", "{out}"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(tmp_path: Path, arguments) -> None:
    words = [word.format(out=tmp_path / "out") for word in arguments]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert str(ended.value.code).startswith("svggt: ") and "\n" not in str(ended.value.code)
    assert not (tmp_path / "out").exists()


def test_a_folder_says_its_lens_and_a_cut_is_told(tmp_path: Path, capfd) -> None:
    for number in range(3):
        Image.new("RGB", (56, 42), (60 * number,) * 3).save(tmp_path / f"{number}.png")
    (tmp_path / "K.txt").write_text("28 28 28 21\n")
    assert run((tmp_path,), tmp_path / "out", export=(), frames=2) == 0
    about = Recording(tmp_path / "out").about
    assert about is not None and about.settings.field_of_view == pytest.approx(90)
    out, err = capfd.readouterr()
    assert "more than 2 frames; --frames" in out + err


@pytest.mark.slow
def test_a_killed_run_is_whole_and_goes_on() -> None:
    """A tenth of `python -m benchmarks.kill`."""
    found = loop(kills=5, seed=1)
    assert found.kills == 5 and len(found.at) == 5


@pytest.mark.slow  # three quarters of a minute
def test_a_server_told_to_end_at_any_moment_keeps_what_runs() -> None:
    """A tenth of its SIGTERMs."""
    assert len(term_loop(terms=2, seed=1)) == 2
