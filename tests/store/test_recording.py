"""A run on disk: whole at every moment, and what was put in comes out."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from svggt.media.clips import Clip
from svggt.media.frames import InputLimits
from svggt.settings import StreamSettings
from svggt.store.journal import CameraJournal
from svggt.store.recording import About, Recording
from svggt.view_options import ViewOptions
from tests.conftest import make_frames
from tests.scene.frames import correction, prediction


def about(clip: Clip | None = None) -> About:
    return About(
        settings=StreamSettings(model="tiny", window=3, refine=True),
        clip=clip,
        max_frames=12,
        look=ViewOptions(cameras="refined"),
        began=5.0,
    )


def same(one, other) -> bool:
    return all(
        np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one)
    ) and type(one) is type(other)


def test_a_run_comes_back_as_it_was(tmp_path: Path) -> None:
    recording, frames = Recording(tmp_path), make_frames(3)
    recording.begin(about())
    for frame in frames:
        recording.add(frame, prediction(frame.number), [correction(frame.number, (1, 2, 3))])
    again = Recording(tmp_path)
    assert again.about == about() and len(again.frames) == 3
    for kept, frame in zip(map(again.frames.frame, range(len(again.frames))), frames, strict=True):
        assert kept.number == frame.number and kept.time_s == prediction(frame.number).time_s
        assert np.array_equal(kept.grey, frame.grey)
    recording.end("finished", "Finished.", 1.5)
    ended = again.about
    assert ended is not None and (ended.state, ended.elapsed_s) == ("finished", 1.5)


def test_the_newest_correction_counts_and_is_exact(tmp_path: Path) -> None:
    journal = CameraJournal(tmp_path / "cameras.jsonl")
    rng = np.random.default_rng(0)
    old = correction(0, (0, 0, 0))
    new = correction(
        0,
        rng.random(3),
        0.1,
        field=rng.random((3, 4), np.float32),
        moving=rng.random((3, 4)) > 0.5,
        revision=2,
    )
    other = correction(1, rng.random(3))
    journal.append([old, other])
    journal.append([new])
    for _ in range(2):
        found = journal.read()
        assert sorted(found) == [0, 1] and same(found[0], new) and same(found[1], other)
        journal.compact()
    assert len((tmp_path / "cameras.jsonl").read_text().splitlines()) == 2


def test_a_line_that_was_cut_off_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "cameras.jsonl"
    journal = CameraJournal(path)
    journal.append([correction(0, (0, 0, 0)), correction(1, (1, 0, 0))])
    whole = path.read_bytes()
    for length in range(whole.index(b"\n") + 1, len(whole)):
        path.write_bytes(whole[:length])
        assert sorted(journal.read()) == [0]
    journal.compact()
    journal.append([correction(2, (2, 0, 0))])
    assert sorted(journal.read()) == [0, 2]


def test_a_clip_is_kept_with_its_run(tmp_path: Path) -> None:
    sent = tmp_path / "../évil name.PNG"
    sent.write_bytes(b"pixels")
    clip = Clip((sent,), (sent.name,), 84, None, 1, False, InputLimits(max_frames=7))
    recording = Recording(tmp_path / "run")
    recording.begin(about(clip))
    sent.unlink()
    kept = Recording(tmp_path / "run").about
    assert kept is not None and kept.clip is not None
    (path,) = kept.clip.paths
    assert path.read_bytes() == b"pixels" and path.name == "000000.png"
    assert kept.clip.names == (sent.name,) and kept.clip.limits.max_frames == 7


def test_a_new_run_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    recording.begin(about())
    recording.add(make_frames(1)[0], prediction(0), [correction(0, (0, 0, 0))])
    (recording.exports / "scene.glb").write_bytes(b"x")
    recording.begin(about())
    assert len(recording.frames) == 0 and recording.cameras.read() == {}
    assert not list(recording.exports.iterdir())


def test_where_forgetting_was_cut_off_there_is_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = Recording(tmp_path)
    recording.begin(about())
    recording.add(make_frames(1)[0], prediction(0), [])

    def killed(self: Path, *args: object, **named: object) -> None:
        os.unlink(self)  # noqa: PTH108  # what Path.unlink would have done, once
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        recording.clear()
    assert Recording(tmp_path).about is None


def test_changes_of_memory_are_read_as_an_older_version_kept_them(tmp_path: Path) -> None:
    """A frame and a title each; of the memories before the last one it kept no more."""
    recording, path = Recording(tmp_path), tmp_path / "run.json"
    recording.begin(about())
    kept = json.loads(path.read_text())
    del kept["earlier"]
    path.write_text(json.dumps({**kept, "memory_changes": [[4, "window 3"]]}))
    assert recording.about is not None
    assert recording.about.memory_changes == ((4, about().settings.memory_title),)
    recording.change_memory(StreamSettings(memory="keyframes", budget="3 frames"), 7)
    assert [number for number, _ in recording.about.memory_changes] == [4, 7]
    assert recording.about.memories[0] == (0, about().settings)


def test_a_run_of_another_version_is_no_run(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    (tmp_path / "run.json").write_text('{"format": "of tomorrow"}')
    assert recording.about is None
