"""Two ways over the same frames: what must be equal is, and the command writes what it says."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from svggt.agreement import agree
from svggt.checkpoints import ASSETS
from svggt.comparison import Mode, Way, latencies, run_way
from svggt.experiments.render import render
from svggt.exports.frames import Shots
from svggt.scene.clouds import Cloud
from svggt.settings import StreamSettings
from svggt.store.recording import Recording
from svggt.workers import LocalWorker
from tests.conftest import make_frames

FRAMES = 6


def ran(worker: LocalWorker, mode: Mode, folder: Path, refine: bool = False) -> Shots:
    way = Way(mode, StreamSettings(model="tiny", memory="full", refine=refine), "head")
    recording = Recording(folder / mode)
    run_way(worker, way, make_frames(FRAMES), recording)
    return Shots.of(recording, "refined" if refine else "head")


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


def test_offline_redoes_the_clip_for_every_newest_frame(worker: LocalWorker, tmp_path) -> None:
    settings, frames = StreamSettings(model="tiny"), make_frames(FRAMES)
    offline = latencies(worker, Way("offline", settings, "head"), frames, [], every=2)
    assert [each.frames for each in offline] == [2, 4, 6]
    assert offline[-1].total_s == pytest.approx(sum(each.seconds for each in offline))
    way = Way("streaming", settings, "head")
    predictions = run_way(worker, way, frames, Recording(tmp_path / "s"))
    streamed = latencies(worker, way, frames, predictions, every=2)
    assert [each.seconds for each in streamed] == [p.seconds for p in predictions]


def test_a_rendered_point_is_where_its_camera_sees_it_and_hides_what_is_behind() -> None:
    points = np.array([[0.5, 0, 2], [1.0, 0, 4], [-0.5, 0.25, 2]])
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    picture = render(Cloud(points, colors), np.eye(3, 4), focal=1.0, size=(50, 100))
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
    assert [row["frames"] for row in rows if row["run"] == "b"] == ["3", "6"]
    manifest = json.loads((out / "manifest.json").read_text())
    assert "compare" in manifest["command"] and len(manifest["frames_s"]) == 6
    assert len(manifest["weights_sha256"]["embedded"]) == 64
    with av.open(str(out / "views.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == 6
    for name in ("latency.svg", "latency.pdf", "total.svg", "total.pdf", "views.png"):
        assert (out / name).stat().st_size > 1000
    page = (out / "report.html").read_text()
    assert (
        "share one set of weights" in page and page.count("<svg") == 2 and 'src="http' not in page
    )
