"""The page in public: a tenth of `benchmarks/attack.py`, `soak.py` and `fuzz.py`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import attack, fuzz, soak
from svggt.media.frames import VIDEO_SUFFIXES
from svggt.media.pictures import PICTURE_SUFFIXES, ZIP_SUFFIX


@pytest.mark.slow  # three quarters of a minute
def test_every_attack_is_held(tmp_path: Path) -> None:
    path = tmp_path / "attack.json"
    attack.main(path)
    held = json.loads(path.read_text())["held"]
    assert all(held.values()), [name for name, value in held.items() if not value]


@pytest.mark.slow  # two minutes
def test_many_visitors_are_served_alike_and_leave_nothing(tmp_path: Path) -> None:
    path = tmp_path / "soak.json"
    assert soak.main(minutes=1, visitors=8, browsers=1, frames=8, settle=60, json_path=path) == 0
    report = json.loads(path.read_text())
    assert report["errors"] == [] and report["frames"] >= 8 * 8
    assert report["slowest visitor by fastest"] >= 0.5
    assert report["memory after by before"] <= 1.1
    assert report["after"]["descriptors"] <= report["before"]["descriptors"] + 2
    held = [sum(map(len, report[when]["processes"].values())) for when in ("before", "after")]
    assert held[1] <= held[0]
    assert report["tracebacks in the log"] == 0


@pytest.mark.slow  # ten seconds
def test_damaged_files_of_every_kind_are_decoded_or_refused(tmp_path: Path) -> None:
    found = fuzz.fuzz(cases=210, seed=2)
    assert found.failed == [] and found.frames + found.refused.total() == 210
    assert found.frames > 20 and found.refused.total() > 20
    assert set(found.cases) == {*PICTURE_SUFFIXES, *VIDEO_SUFFIXES, ZIP_SUFFIX}
    assert found.children <= 0 and found.files <= 0 and found.memory < 1.1
