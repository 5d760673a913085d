"""Depth at the size of pictures as they came, and the point maps that follow from it."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svggt.cli import run
from svggt.exports.exporter import make_export
from svggt.exports.large_depth import enlarged
from svggt.exports.originals import Lens
from svggt.media.examples import EXAMPLES
from svggt.store.posed_frames import PosedFrames
from svggt.store.recording import Recording

FRAMES = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over the office, refined, with the export unpacked beside it."""
    folder = tmp_path_factory.mktemp("office")
    clip = (EXAMPLES[0].clip,)
    assert run(clip, folder / "run", export=(), rate=5.0, frames=FRAMES) == 0
    with zipfile.ZipFile(
        make_export(Recording(folder / "run"), "depth-large", "refined")
    ) as archive:
        archive.extractall(folder / "out")
    return folder


def test_depth_has_the_pictures_size_and_the_models_values(made: Path) -> None:
    facts = json.loads((made / "out/cameras.json").read_text())
    shots = PosedFrames.of(Recording(made / "run"), "refined")
    assert len(facts["frames"]) == FRAMES and facts["unit"] == "the scene's own"
    for shot, frame in zip(shots, facts["frames"], strict=True):
        large = np.asarray(Image.open(made / f"out/depth/{frame['name']}.png"))
        assert large.shape[1] > 2 * shot.depth.shape[1]
        assert large.shape[0] / large.shape[1] == pytest.approx(360 / 540, rel=0.01)
        rows, columns = ((np.arange(n) + 0.5) / n for n in shot.depth.shape)
        y, x = (rows * large.shape[0]).astype(int), (columns * large.shape[1]).astype(int)
        error = np.abs(large[np.ix_(y, x)] / facts["depth_scale"] - shot.depth) / shot.depth
        assert np.median(error) < 0.01 and (error < 0.035).mean() > 0.97


def test_its_script_makes_point_maps_that_project_to_their_pixels(made: Path) -> None:
    script = made / "out/points.py"
    subprocess.run([sys.executable, "-I", str(script), "000001"], check=True, cwd="/")
    assert [path.name for path in (made / "out/points").iterdir()] == ["000001.npy"]
    points = np.load(made / "out/points/000001.npy")
    shot = PosedFrames.of(Recording(made / "run"), "refined").shot(1)
    assert points.shape[1] > 2 * shot.depth.shape[1] and points.dtype == np.float32
    rows, columns = np.indices(points.shape[:2])
    pixels, depth = shot.project(points.astype(np.float64))  # of the model's picture
    lens = Lens.of(shot).of_picture(points.shape[:2])
    across = (pixels - Lens.of(shot).matrix[:2, 2]) / np.diag(Lens.of(shot).matrix)[:2]
    seen = across * np.diag(lens.matrix)[:2] + lens.matrix[:2, 2]
    assert np.abs(seen - np.stack([columns, rows], axis=-1)).max() < 0.1
    scale = json.loads((made / "out/cameras.json").read_text())["depth_scale"]
    written = np.asarray(Image.open(made / "out/depth/000001.png")) / scale
    assert np.allclose(depth, written, rtol=1e-4)


def test_no_depth_lies_between_two_surfaces_nor_where_nothing_was_seen() -> None:
    depth = np.where(np.arange(28) < 14, 1.0, 2.0).astype(np.float32)[None].repeat(28, axis=0)
    large = enlarged(depth, (420, 280))  # the square middle of a tall picture
    known = large[large > 0]
    assert np.minimum(np.abs(known - 1), np.abs(known / 2 - 1)).max() < 0.031
    unknown = (large == 0).all(axis=1)
    assert unknown[:70].all() and unknown[-70:].all() and not unknown[70:-70].any()
