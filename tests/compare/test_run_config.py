"""Two ways over the same frames: what must be equal is, and the command writes what it says."""

from __future__ import annotations

import csv
import itertools
import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from svggt.compare.agreement import agree
from svggt.compare.run_config import Mode, RunConfig, every_so_many, execute
from svggt.engine.local_worker import LocalWorker
from svggt.files import ASSETS
from svggt.scene.clouds import Cloud
from svggt.scene.raster import render
from svggt.settings import StreamSettings
from svggt.store.posed_frames import PosedFrames
from svggt.store.recording import Recording
from tests.conftest import make_frames

FRAMES = 6


def ran(worker: LocalWorker, mode: Mode, folder: Path, refine: bool = False) -> PosedFrames:
    way = RunConfig(mode, StreamSettings(model="tiny", memory="full", refine=refine), "head")
    recording = Recording(folder / mode)
    list(execute(worker, way, [make_frames(FRAMES)], recording))
    return PosedFrames.of(recording, "refined" if refine else "head")


def test_streaming_with_full_memory_is_the_batch_pass(worker: LocalWorker, tmp_path) -> None:
    found = agree(ran(worker, "streaming", tmp_path), ran(worker, "batch", tmp_path))
    assert found.frames == FRAMES and found.absrel < 1e-3 and found.rotation_deg < 1e-3
    assert found.delta1 == 1.0 and found.chamfer < 1e-3


def test_offline_sees_more_and_says_something_else(worker: LocalWorker, tmp_path) -> None:
    found = agree(ran(worker, "streaming", tmp_path), ran(worker, "offline", tmp_path))
    assert found.absrel > 1e-3


def test_every_way_has_refined_cameras(worker: LocalWorker, tmp_path) -> None:
    for mode in ("streaming", "offline"):
        shots = ran(worker, mode, tmp_path, refine=True)
        assert all(shot.correction is not None for shot in shots)
        seen = [shots.recording.frames.sightings(number) for number in range(FRAMES)]
        ids = [each.ids for each in seen if each is not None]
        assert len(ids) == FRAMES
        assert all(np.isin(one, other).any() for one, other in itertools.pairwise(ids))


def test_offline_redoes_the_clip_for_every_newest_frame(worker: LocalWorker, tmp_path) -> None:
    settings, frames = StreamSettings(model="tiny"), make_frames(FRAMES)
    way = RunConfig("offline", settings, "head")
    *_, offline = execute(worker, way, every_so_many(frames, 2), Recording(tmp_path / "o"))
    assert [each.frames for each in offline] == [2, 4, 6]
    assert offline[-1].total_s == pytest.approx(sum(each.seconds for each in offline))
    assert {each.memory_bytes for each in offline} == {0}


def test_a_stream_takes_every_frame_once_in_whatever_rounds(worker: LocalWorker, tmp_path) -> None:
    way, frames = RunConfig("streaming", StreamSettings(model="tiny"), "head"), make_frames(FRAMES)
    at_once, by_two = Recording(tmp_path / "once"), Recording(tmp_path / "two")
    *_, found = execute(worker, way, [frames], at_once)
    *_, again = execute(worker, way, every_so_many(frames, 2), by_two)
    assert [each.frames for each in found] == [each.frames for each in again] == [1, 2, 3, 4, 5, 6]
    for number in range(FRAMES):
        one, other = at_once.frames.load(number), by_two.frames.load(number)
        assert np.array_equal(one.depth, other.depth)
        assert one.seconds == found[number].seconds


def test_a_peak_is_measured_and_holds_the_weights(worker: LocalWorker, tmp_path) -> None:
    way = RunConfig("offline", StreamSettings(model="tiny"), "head")
    *_, found = execute(worker, way, [make_frames(FRAMES)], Recording(tmp_path / "o"))
    peak = found[-1].peak_bytes
    if sys.platform == "linux":
        assert peak is not None and peak > worker.models["tiny"].num_bytes


def test_a_rendered_point_is_where_its_camera_sees_it_and_hides_what_is_behind() -> None:
    points = np.array([[0.5, 0, 2], [1.0, 0, 4], [-0.5, 0.25, 2]])
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    white = np.full((50, 100, 3), 255, np.uint8)
    picture = render(Cloud(points, colors), np.eye(3, 4), 1.0, white)
    assert picture[25, 75].tolist() == [255, 0, 0]  # the green one is behind it
    assert picture[37, 25].tolist() == [0, 0, 255] and picture[0, 0].tolist() == [255] * 3


@pytest.mark.slow
def test_the_command_writes_a_report(tmp_path: Path) -> None:
    clip, out = ASSETS / "clips" / "office.mp4", tmp_path / "out"
    command = [sys.executable, "-m", "svggt.experiments", "compare", str(clip), "--out", str(out)]
    done = subprocess.run([*command, "--frames", "6", "--rate", "10", "--every", "3"], check=False)
    assert done.returncode == 0
    figures = json.loads((out / "figures.json").read_text())
    assert figures["shares_weights"] and figures["agreement"]["frames"] == 6
    rows = list(csv.DictReader((out / "latency.csv").open()))
    assert [row["frames"] for row in rows if row["run"] == "B"] == ["3", "6"]
    manifest = json.loads((out / "manifest.json").read_text())
    assert "compare" in manifest["command"] and len(manifest["frames_s"]) == 6
    assert len(manifest["weights"]["A"]["sha256"]) == 64
    with av.open(str(out / "views.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == 6
    for name in ("latency.svg", "latency.pdf", "total.svg", "total.pdf", "views.png"):
        assert (out / name).stat().st_size > 1000
    page = (out / "report.html").read_text()
    assert "one set of weights" in page and page.count("<svg") == 3 and 'src="http' not in page
