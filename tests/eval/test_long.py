"""Long streams under memories: rows, CSVs and plots, resumed where they were cut off."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from svggt.experiments.__main__ import long
from svggt.experiments.long import all_runs, forth_and_back
from tests.eval.test_suite import clip_of


def test_a_short_clip_is_walked_back_and_forth() -> None:
    walked = forth_and_back(clip_of(4), 9)
    assert walked.truth is not None
    # A frame's depth says which one it is.
    firsts = [walked.truth.depth(number)[0, 0] for number in range(9)]
    assert firsts == [1, 101, 201, 301, 201, 101, 1, 101, 201]
    assert np.array_equal(walked.pictures[1], walked.pictures[5])


def test_the_full_memory_has_no_budget_and_comes_first() -> None:
    asked = list(all_runs(["a", "b"], ["window", "full"], ["9 frames", "1 MB"], ["computed"]))
    assert [(run.clip, run.policy, run.budget) for run in asked[:3]] == [
        ("a", "full", ""),
        ("a", "window", "9 frames"),
        ("a", "window", "1 MB"),
    ]
    assert len({run.name for run in asked}) == len(asked) == 6


def test_every_memory_is_measured_and_nothing_twice(tmp_path: Path, capsys) -> None:
    asked = {
        "clips": ("office",),
        "policies": ("full", "window", "diversity"),
        "budgets": ("3 frames",),
        "frames": 9,
    }
    assert long(tmp_path, **asked) == 0
    table = capsys.readouterr().out
    assert table == (tmp_path / "table.md").read_text("utf-8") and table.count("\n") == 5
    lines = (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()
    rows = {row["policy"]: row for row in map(json.loads, lines)}
    assert rows["full"]["from_full"] < 1e-3 < rows["window"]["from_full"]
    with (tmp_path / "office-window-3frames-computed.csv").open() as file:
        frames = list(csv.DictReader(file))
    assert [int(frame["frame"]) for frame in frames] == list(range(9))
    exact = np.array([float(frame["from_full"]) for frame in frames])
    assert (exact[:3] < 1e-3).all() and exact[-1] > 1e-3  # three frames fit
    assert (tmp_path / "office.png").stat().st_size > 10_000
    assert long(tmp_path, **asked) == 0
    assert (tmp_path / "rows.jsonl").read_text("utf-8").splitlines() == lines
    with pytest.raises(ValueError, match="holds runs of other frames"):
        long(tmp_path, **asked | {"frames": 5})
