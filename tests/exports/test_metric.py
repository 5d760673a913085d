"""A length that somebody knows makes exports metric, by the cameras that it was measured by."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pycolmap
import pytest
import trimesh
import zstandard
from PIL import Image

from svggt.errors import BadInput
from svggt.exports.exporter import FORMATS, FormatName, make_export
from svggt.store.posed_frames import PosedFrames
from svggt.store.recording import Recording
from tests.exports.test_exports import compared, recording  # noqa: F401  # fixtures

METRES = 2.5


def lengths(path: Path, form: FormatName, folder: Path) -> np.ndarray:
    """Numbers of a file that are lengths, whatever it is."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    if form in ("glb", "ply", "mesh"):
        scene = trimesh.load_scene(path)
        size = scene.bounds[1] - scene.bounds[0]
        return size if form != "mesh" else size[:1]  # a surface is laid anew: about
    if form in ("colmap", "colmap-undistorted"):
        model = pycolmap.Reconstruction(folder / "sparse/0")
        poses = [i.cam_from_world().translation for i in model.images.values()]
        points = np.array([p.xyz for p in model.points3D.values()])
        return np.array([*np.array(poses).ravel(), *points.min(axis=0), *points.max(axis=0)])
    if form == "nerfstudio":
        facts = json.loads((folder / "transforms.json").read_text())
        return np.array([np.array(f["transform_matrix"])[:3, 3] for f in facts["frames"]]).ravel()
    if form == "npz":
        with np.load(path) as kept:
            return np.concatenate([kept["cam_from_world"][..., 3].ravel(), kept["depth"][0, 0]])
    if form == "tum":
        return np.loadtxt(path)[:, 1:4].ravel()
    if form == "depth":
        return np.array([1 / json.loads((folder / "depth.json").read_text())["depth_scale"]])
    facts = json.loads((folder / "cameras.json").read_text())
    poses = np.array([frame["world_from_cam"] for frame in facts["frames"]])
    return np.array([1 / facts["depth_scale"], *poses[..., 3].ravel()])


@pytest.mark.parametrize("form", [name for name, kind in FORMATS.items() if kind.metric])
def test_all_lengths_of_a_file_are_metres(
    recording: Recording,  # noqa: F811
    tmp_path: Path,
    form: FormatName,
) -> None:
    own = lengths(make_export(recording, form, "refined"), form, tmp_path / "own")
    recording.set_metres("refined", METRES)
    metric = lengths(make_export(recording, form, "refined"), form, tmp_path / "metric")
    assert np.allclose(metric, METRES * own, rtol=0.05 if form == "mesh" else 1e-4, atol=1e-5)
    head = make_export(recording, form, "head")  # nobody measured by these
    recording.set_metres("refined", None)
    again = lengths(make_export(recording, form, "refined"), form, tmp_path / "again")
    assert np.allclose(again, own, rtol=0.05 if form == "mesh" else 1e-6) and head.exists()


def test_a_file_says_its_unit(recording: Recording) -> None:  # noqa: F811
    assert "the scene's own" in make_export(recording, "tum", "refined").read_text()
    recording.set_metres("refined", METRES)
    assert "unit of length: metre" in make_export(recording, "tum", "refined").read_text()
    with np.load(make_export(recording, "npz", "refined")) as kept:
        assert kept["unit"] == "metre"


@pytest.mark.parametrize("metres", [2.5, 10_000.0], ids=["near", "kilometres"])
def test_nerfstudios_depth_fits_its_bits(recording: Recording, metres: float) -> None:  # noqa: F811
    """Depth, poses and points are of one unit; which that is, is said."""
    recording.set_metres("refined", metres)
    shots = list(PosedFrames.of(recording, "refined", metric=metres < 100))
    with zipfile.ZipFile(make_export(recording, "nerfstudio", "refined")) as archive:
        facts = json.loads(archive.read("transforms.json"))
        depth = np.asarray(Image.open(io.BytesIO(archive.read("depth/000003.png"))))
        points = trimesh.load(io.BytesIO(archive.read("points.ply")), file_type="ply")
    assert facts["unit"] == ("metre" if metres < 100 else "the scene's own")
    assert (depth > 0).mean() > 0.8 and np.allclose(depth, 1000 * shots[3].depth, atol=0.6)
    pose = np.array(facts["frames"][3]["transform_matrix"])
    assert np.allclose(pose[:3, 3], shots[3].world_from_cam[:, 3])
    reach = np.concatenate([shot.in_world(shot.points).reshape(-1, 3) for shot in shots])
    assert isinstance(points, trimesh.PointCloud)
    assert (np.ptp(points.vertices, axis=0) <= np.ptp(reach, axis=0) + 1e-3).all()
    assert np.ptp(points.vertices[:, 2]) > 0.1 * np.ptp(reach[:, 2])


def test_a_comparison_stays_as_it_was_made(compared: Recording) -> None:  # noqa: F811
    before = make_export(compared, "comparison", "head")
    made = before.stat().st_mtime_ns
    compared.set_metres("head", METRES)
    again = make_export(compared, "comparison", "head")
    assert again == before and again.stat().st_mtime_ns == made


def test_a_replays_scale_bar_says_metres_where_they_are_known(recording: Recording) -> None:  # noqa: F811
    def bar() -> bytes:
        packed = make_export(recording, "viser", "refined").read_bytes()[8:]
        return zstandard.ZstdDecompressor().decompress(packed).partition(b"/scale/length")[2][:200]

    assert b" unit" in bar()
    recording.set_metres("refined", 100.0)
    assert b" m" in bar() and b" unit" not in bar()


def test_each_unit_has_a_file_of_its_own(recording: Recording) -> None:  # noqa: F811
    """One that is being made, or was made, is of the unit that its name says."""
    own = make_export(recording, "ply", "refined")
    recording.set_metres("refined", METRES)
    metric = make_export(recording, "ply", "refined")
    assert own.exists() and "unit-2.5m" in metric.name and own != metric
    recording.clear()
    assert recording.metres == {} and not recording.folder.joinpath("metres.json").exists()


@pytest.mark.parametrize("metres", [0.0, -1.0, float("nan"), float("inf"), 1e12])
def test_what_is_no_length_is_refused_and_nothing_changes(
    recording: Recording,  # noqa: F811
    metres: float,
) -> None:
    recording.set_metres("refined", METRES)
    with pytest.raises(BadInput, match="more than 0"):
        recording.set_metres("refined", metres)
    assert recording.metres == {"refined": METRES}
