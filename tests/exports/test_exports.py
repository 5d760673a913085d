"""Every export, read back by the library that people read it with."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest
import trimesh
import zstandard
from evo.tools import file_interface
from PIL import Image
from scipy.spatial import KDTree

from svggt import geometry
from svggt.compare.result import ComparisonResult, RunResult, Weights, compare
from svggt.compare.run_config import RunConfig
from svggt.errors import BadInput, Busy, Cancelled
from svggt.exports import child
from svggt.exports.colmap import camera_of
from svggt.exports.exporter import FORMATS, Exporter, make_export
from svggt.exports.mesh import normals, poisson
from svggt.exports.originals import Lens
from svggt.media.frames import Fitter, InputLimits
from svggt.media.pictures import open_picture
from svggt.scene.clouds import Cloud
from svggt.scene.posed_frame import PosedFrame
from svggt.settings import StreamSettings
from svggt.store.posed_frames import PosedFrames
from svggt.store.recording import Recording
from tests.conftest import make_frames
from tests.scene.frames import correction, prediction
from tests.store.test_recording import about

COUNT = 5
POSITIONS = np.array([[0.1 * n, 0.02 * n**2, 0.3 * n] for n in range(COUNT)])


def refined(number: int):
    field = np.full((12, 18), 0.01 * number, np.float32)
    return correction(number, POSITIONS[number], 0.1, field=field, radial=-0.1)


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    made = Recording(tmp_path / "run")
    made.begin(about())
    for frame in make_frames(COUNT):
        made.add(frame, prediction(frame.number, turn=5.0 * frame.number), [refined(frame.number)])
    made.end("finished", "Finished.", 1.0)
    return made


@pytest.fixture
def compared(recording: Recording) -> Recording:
    """With a comparison of its cameras, head beside refined."""
    beside = recording.beside
    for frame in make_frames(COUNT):
        beside.add(frame, prediction(frame.number, turn=5.0 * frame.number), [])
    keep_outcome(recording)
    return recording


def keep_outcome(recording: Recording) -> None:
    """Compares it with the run beside it, by the head's cameras of both."""
    settings = StreamSettings(model="tiny")
    a, b = PosedFrames.of(recording, "head"), PosedFrames.of(recording.beside, "head")
    found = compare(a, b, None)
    sides = (
        RunResult(
            RunConfig(mode, settings, "head"),
            Weights("a note", "0" * 64, "a device"),
            found.streamed,
        )
        for mode in ("streaming", "offline")
    )
    ComparisonResult(a.count, *sides, found.agreement).write(recording.beside.folder)


def shots(recording: Recording, cameras="refined") -> list[PosedFrame]:
    return list(PosedFrames.of(recording, cameras))


def points_of(recording: Recording, cameras="refined"):
    frames = PosedFrames.of(recording, cameras)
    return np.concatenate([frames.cloud(number, 1).points for number in range(frames.count)])


@pytest.mark.parametrize("cameras", ["refined", "head"])
def test_points_come_back_from_ply(recording: Recording, cameras) -> None:
    loaded = trimesh.load(make_export(recording, "ply", cameras))
    assert isinstance(loaded, trimesh.PointCloud)
    assert np.allclose(loaded.vertices, points_of(recording, cameras), atol=1e-5)
    frames = PosedFrames.of(recording, cameras)
    colors = np.concatenate([frames.cloud(number, 1).colors for number in range(frames.count)])
    assert np.array_equal(loaded.colors[:, :3], colors)


def test_points_and_cameras_come_back_from_glb(recording: Recording) -> None:
    path = make_export(recording, "glb", "refined")
    scene = trimesh.load(path)
    assert isinstance(scene, trimesh.Scene) and scene.metadata["cameras"] == "refined"
    found = {name: np.asarray(g.vertices) for name, g in scene.geometry.items()}
    to_world = np.diag([1.0, -1, -1])
    (cloud,) = (g for g in scene.geometry.values() if isinstance(g, trimesh.PointCloud))
    moved = trimesh.transform_points(cloud.vertices, _transform(scene, cloud)) @ to_world
    assert np.allclose(moved, points_of(recording), atol=1e-5)
    (lines,) = (g for g in scene.geometry.values() if not isinstance(g, trimesh.PointCloud))
    corners = trimesh.transform_points(lines.vertices, _transform(scene, lines)) @ to_world
    for position in POSITIONS:  # a frustum's tip is its camera
        assert np.abs(corners - position).sum(axis=1).min() < 1e-5
    assert found


def _transform(scene: trimesh.Scene, geometry_wanted) -> np.ndarray:
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        if scene.geometry[name] is geometry_wanted:
            return transform
    raise AssertionError


def test_a_surface_lies_on_the_points_and_faces_who_saw_them() -> None:
    """A ball seen from outside: its skin, in its colours, not inside out."""
    rng = np.random.default_rng(0)
    out = rng.normal(size=(20_000, 3))
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    colors = np.where(out[:, :1] > 0, 200, 50).repeat(3, axis=1).astype(np.uint8)
    facing = normals(out, 5 * out)
    assert np.einsum("ni,ni->n", facing, out).min() > 0.9
    mesh = poisson(Cloud(out, colors), facing)
    assert np.abs(np.linalg.norm(mesh.vertices, axis=1) - 1).max() < 0.05
    assert mesh.volume == pytest.approx(4 / 3 * np.pi, rel=0.02)
    right, left = (mesh.visual.vertex_colors[side, 0] for side in _sides(mesh.vertices[:, 0]))
    assert right.min() > 150 and left.max() < 100


def _sides(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x > 0.1, x < -0.1


def test_a_mesh_comes_back_from_glb(recording: Recording) -> None:
    scene = trimesh.load(make_export(recording, "mesh", "refined"))
    assert isinstance(scene, trimesh.Scene) and scene.metadata["cameras"] == "refined"
    (mesh,) = scene.geometry.values()
    vertices = trimesh.transform_points(mesh.vertices, _transform(scene, mesh))
    distance, _ = KDTree(points_of(recording)).query(vertices @ np.diag([1.0, -1, -1]))
    assert len(mesh.faces) > 1000 and np.median(distance) < 0.05  # of scenes 2 and 3 away


def test_nobody_waits_for_a_child_that_nobody_wants(tmp_path: Path) -> None:
    """Cancelled, or the server ends: the process does too, at once; one that is late is Busy."""
    (tmp_path / "slow.py").write_text("import time, pathlib; time.sleep(60)")
    slow = ("slow", tmp_path)
    began = time.monotonic()

    def cancelled() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        child.run(*slow, wait=cancelled, longest_s=50)
    with pytest.raises(Busy, match="busy"):
        child.run(*slow, wait=lambda: None, longest_s=0.5)
    with pytest.raises(child.ChildFailed):
        child.run("no_such_module", tmp_path, wait=lambda: None, longest_s=50)
    assert time.monotonic() - began < 20


def test_too_few_points_make_no_surface() -> None:
    few = Cloud(np.zeros((20, 3)), np.zeros((20, 3), np.uint8))
    with pytest.raises(BadInput, match="no surface"):
        poisson(few, np.tile([0.0, 0, 1], (20, 1)))


@pytest.mark.parametrize("kind", ["sparse/0", "sparse_text"])
def test_the_model_comes_back_from_colmap(recording: Recording, tmp_path: Path, kind) -> None:
    with zipfile.ZipFile(make_export(recording, "colmap", "refined")) as archive:
        archive.extractall(tmp_path / "out")
    model = pycolmap.Reconstruction(tmp_path / "out" / kind)
    assert model.num_reg_images() == COUNT and model.num_points3D() > 1000
    for image in model.images.values():
        shot = shots(recording)[image.image_id - 1]
        pose = image.cam_from_world().inverse().matrix()
        assert np.allclose(pose, shot.world_from_cam, atol=1e-9)
        picture = np.asarray(Image.open(tmp_path / "out" / "images" / image.name))
        assert np.array_equal(picture, shot.prediction.image)
    cloud = np.array([point.xyz for point in model.points3D.values()])
    assert np.allclose(np.sort(cloud, axis=0), np.sort(points_of(recording), axis=0), atol=1e-5)


def test_colmap_projects_points_to_the_pixels_they_came_from(recording: Recording) -> None:
    """Focal lengths, centre, distortion and half pixel: all in one law."""
    for cameras in ("refined", "head"):
        shot = shots(recording, cameras)[2]
        points = shot.prediction.camera_points
        if shot.correction is not None:
            points, _ = shot.correction.lift(shot.prediction)
        camera = camera_of(Lens.of(shot), 1)
        for v, u in ((10, 10), (50, 80), (28, 42), (5, 70)):
            pixel = camera.img_from_cam(points[v, u].astype(np.float64))
            assert np.allclose(pixel, (u + 0.5, v + 0.5), atol=0.02)


@pytest.mark.parametrize("cameras", ["refined", "head"])
def test_nerfstudios_cameras_see_points_where_they_came_from(recording: Recording, cameras) -> None:
    """Axes, half pixel and distortion, and the depth beside each picture."""
    with zipfile.ZipFile(make_export(recording, "nerfstudio", cameras)) as archive:
        facts = json.loads(archive.read("transforms.json"))
        for shot, frame in zip(shots(recording, cameras), facts["frames"], strict=True):
            camera = pycolmap.Camera(
                model=facts["camera_model"],
                width=frame["w"],
                height=frame["h"],
                params=[*(frame[n] for n in ("fl_x", "fl_y", "cx", "cy", "k1", "k2")), 0.0, 0.0],
            )
            to_camera = np.linalg.inv(frame["transform_matrix"])
            picture = np.asarray(Image.open(io.BytesIO(archive.read(frame["file_path"]))))
            assert np.array_equal(picture, shot.prediction.image)
            depth = np.asarray(Image.open(io.BytesIO(archive.read(frame["depth_file_path"]))))
            assert np.allclose(depth, 1000 * shot.depth, atol=0.6)
            points = shot.in_world(shot.points)
            for v, u in ((10, 10), (50, 80), (28, 42)):
                x, y, z = to_camera[:3, :3] @ points[v, u] + to_camera[:3, 3]
                pixel = camera.img_from_cam(np.array([x, -y, -z]))
                assert np.allclose(pixel, (u + 0.5, v + 0.5), atol=0.02)
        cloud = trimesh.load(io.BytesIO(archive.read(facts["ply_file_path"])), file_type="ply")
    assert np.allclose(cloud.vertices, points_of(recording, cameras), atol=1e-5)


def test_arrays_come_back_from_npz(recording: Recording) -> None:
    for cameras in ("refined", "head"):
        with np.load(make_export(recording, "npz", cameras), allow_pickle=False) as arrays:
            assert arrays["cameras"] == cameras
            for i, shot in enumerate(shots(recording, cameras)):
                assert np.array_equal(arrays["images"][i], shot.prediction.image)
                assert np.array_equal(arrays["depth"][i], shot.depth)
                assert np.array_equal(arrays["intrinsics"][i], shot.intrinsics)
                world_from_cam = geometry.invert(arrays["cam_from_world"][i])
                assert np.allclose(world_from_cam, shot.world_from_cam)
            assert np.array_equal(arrays["time_s"], np.arange(COUNT))


def test_the_trajectory_comes_back_from_tum(recording: Recording) -> None:
    for cameras in ("refined", "head"):
        path = make_export(recording, "tum", cameras)
        trajectory = file_interface.read_tum_trajectory_file(str(path))
        for pose, shot in zip(trajectory.poses_se3, shots(recording, cameras), strict=True):
            assert np.allclose(pose[:3], shot.world_from_cam, atol=1e-6)
        assert np.array_equal(trajectory.timestamps, np.arange(COUNT))
        assert cameras in path.read_text().splitlines()[0]


def test_depth_comes_back_from_pngs(recording: Recording) -> None:
    with zipfile.ZipFile(make_export(recording, "depth", "refined")) as archive:
        scale = json.loads(archive.read("depth.json"))["depth_scale"]
        for shot in shots(recording):
            data = archive.read(f"depth/{shot.prediction.number:06}.png")
            depth = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) / scale
            assert np.abs(depth - shot.depth).max() < 1e-4


def test_replays_hold_every_frame(recording: Recording) -> None:
    data = make_export(recording, "viser", "refined").read_bytes()
    inner = zstandard.ZstdDecompressor().decompress(data[8:])
    for number in range(COUNT):
        assert f"/level/frames/{number}/0".encode() in inner
    page = make_export(recording, "html", "refined").read_text()
    assert "__VISER_EMBED_DATA__=" in page and len(page) > 500_000


def test_refined_and_head_are_told_apart(recording: Recording) -> None:
    made = {make_export(recording, "ply", cameras).name for cameras in ("refined", "head")}
    forms = [FORMATS[name] for name in FORMATS if name != "comparison"]  # whose runs have their own
    names = {
        (form.stem + form.suffix).format(cameras=cameras, count=COUNT)
        for form in forms
        for cameras in ("refined", "head")
    }
    assert made < names and len(names) == 2 * len(forms)
    assert all(("refined" in name) != ("head" in name) for name in names)


def test_a_comparison_is_a_report_by_itself(compared: Recording) -> None:
    with zipfile.ZipFile(make_export(compared, "comparison", "head")) as archive:
        names = set(archive.namelist())
        assert {"report.html", "latency.csv", "figures.json", "manifest.json"} < names
        assert {"latency.svg", "latency.pdf", "views.png", "views.mp4"} < names
        figures = json.loads(archive.read("figures.json"))
        page = archive.read("report.html").decode()
    assert figures["agreement"]["absrel"] < 1e-3 and figures["frames"] == COUNT
    assert "streaming, tiny" in page and 'src="http' not in page


def test_a_comparison_that_is_not_there_is_told(recording: Recording) -> None:
    with pytest.raises(BadInput, match="no comparison yet"):
        make_export(recording, "comparison", "head")


def test_an_export_that_is_cut_off_is_not_there(compared: Recording) -> None:
    recording = compared

    def stop(number: int) -> None:
        if number == 3:
            raise RuntimeError("cancelled")

    for name in FORMATS:
        with pytest.raises(RuntimeError, match="cancelled"):
            make_export(recording, name, "refined", stop)
    assert not list(recording.exports.iterdir())


def test_a_run_that_goes_on_is_exported_anew(recording: Recording) -> None:
    first = make_export(recording, "tum", "refined")
    recording.resume()
    recording.add(make_frames(6)[5], prediction(5), [replace(refined(0), frame=5)])
    second = make_export(recording, "tum", "refined")
    assert len(second.read_text().splitlines()) == 7 and not first.exists()


def test_an_export_of_a_run_that_changes_meanwhile_is_not_kept(recording: Recording) -> None:
    def end(number: int) -> None:
        if number == 2:
            recording.end("finished", "Finished.", 2.0)

    with pytest.raises(BadInput, match="once more"):
        make_export(recording, "npz", "refined", end)
    with pytest.raises(BadInput, match="once more"):
        make_export(recording, "npz", "refined", lambda number: recording.clear())
    assert not list(recording.exports.iterdir()) and not list(recording.folder.glob("*.part"))


def test_exports_wait_for_each_other_and_not_without_end(recording: Recording) -> None:
    exporter, gate = Exporter(), threading.Event()
    first = exporter.submit(recording, "tum", "head", lambda number: gate.wait(20) or None)
    others = [exporter.submit(recording, "npz", "head") for _ in range(7)]
    with pytest.raises(BadInput, match="in a minute"):
        exporter.submit(recording, "npz", "head")
    gate.set()
    assert first.result().exists() and {future.result() for future in others}
    assert exporter.submit(recording, "npz", "head").result().exists()


def test_two_exports_at_once_are_one_visitors(recording: Recording) -> None:
    exporter, gate = Exporter(), threading.Event()
    first = exporter.submit(recording, "tum", "head", lambda _: gate.wait(20) or None, "a")
    second = exporter.submit(recording, "npz", "head", address="a")
    with pytest.raises(Busy, match="of yours"):
        exporter.submit(recording, "ply", "head", address="a")
    other = exporter.submit(recording, "npz", "head", address="b")
    gate.set()
    assert all(each.result().exists() for each in (first, second, other))
    assert exporter.submit(recording, "ply", "head", address="a").result().exists()


def test_what_is_not_there_is_told(recording: Recording, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="glb, ply"):
        make_export(recording, "../../etc/passwd", "refined")  # pyright: ignore
    empty = Recording(tmp_path / "empty")
    with pytest.raises(BadInput, match="Start"):
        make_export(empty, "glb", "refined")


@pytest.mark.slow
def test_what_visitors_pictures_say_of_them_stays_here(tmp_path: Path) -> None:
    """A place in a picture's metadata is in no export."""
    exif = Image.Exif()
    exif[0x010E] = "my secret garden"
    buffer = io.BytesIO()
    Image.new("RGB", (84, 56), (9, 99, 200)).save(buffer, "JPEG", exif=exif)
    assert b"secret garden" in buffer.getvalue()
    picture = open_picture(io.BytesIO(buffer.getvalue()), "secret garden.jpg", InputLimits())
    frame = Fitter(84).frame(0, 0.0, picture)
    recording = Recording(tmp_path)
    recording.begin(about())
    recording.add(frame, replace(prediction(0), image=frame.image), [])
    recording.beside.add(frame, replace(prediction(0), image=frame.image), [])
    keep_outcome(recording)
    for name in FORMATS:
        path = make_export(recording, name, "head")
        assert b"secret garden" not in path.read_bytes()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                assert not any(b"secret" in archive.read(m) for m in archive.namelist())
