"""The COLMAP model: pictures as they came, one lens, and points that pictures see."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image
from scipy.ndimage import map_coordinates

from svggt.cli import run
from svggt.exports.colmap import camera_of
from svggt.exports.exporter import make_export
from svggt.exports.originals import Lens, pixels_of
from svggt.media.clips import open_clip
from svggt.media.examples import EXAMPLES
from svggt.media.frames import Fitter, InputLimits
from svggt.refine.tracking import Tracks
from svggt.store.recording import Recording
from svggt.view_options import Cameras
from tests.exports.test_exports import COUNT, recording  # noqa: F401  # a fixture

FRAMES = 12


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over the office, refined, as a folder with the model."""
    folder = tmp_path_factory.mktemp("office")
    assert run((EXAMPLES[0].clip,), folder / "run", export=(), rate=5.0, frames=FRAMES) == 0
    made = make_export(Recording(folder / "run"), "colmap", "refined")
    with zipfile.ZipFile(made) as archive:
        archive.extractall(folder)
    return folder


def test_pictures_are_as_large_as_they_came_and_share_a_lens(exported: Path) -> None:
    model = pycolmap.Reconstruction(exported / "sparse/0")
    (camera,) = model.cameras.values()
    pictures = [Image.open(exported / "images" / image.name) for image in model.images.values()]
    assert len(pictures) == FRAMES
    assert {picture.size for picture in pictures} == {(camera.width, camera.height)}
    assert camera.width > 2 * 224


def test_points_have_tracks_and_an_adjustment_lowers_their_error(exported: Path) -> None:
    model = pycolmap.Reconstruction(exported / "sparse/0")
    tracked = [point for point in model.points3D.values() if point.track.length()]
    assert len(tracked) > 300 and min(point.track.length() for point in tracked) >= 2
    assert len(model.points3D) > 10 * len(tracked)  # the scene's own, to begin splats with
    before = _error(model)
    pycolmap.bundle_adjustment(model)
    assert before < 2 and _error(model) < 0.95 * before  # pixels


def test_what_cameras_were_refined_by_is_observed(exported: Path) -> None:
    """The corners that the refiner followed lie among the observations, where it saw them."""
    model = pycolmap.Reconstruction(exported / "sparse/0")
    frames, tied, held = Recording(exported / "run").frames, 0, 0
    for number in range(FRAMES):
        seen = frames.sightings(number)
        assert seen is not None and len(np.unique(seen.ids)) == len(seen.ids) > 50
        image = model.images[number + 1]
        camera = model.cameras[image.camera_id]
        pixels = seen.places * [camera.width, camera.height]
        observed = [(o.xy, o.point3D_id) for o in image.points2D[-len(pixels) :]]
        assert np.allclose([at for at, _ in observed], pixels, atol=0.01)
        ties = [model.points3D[point] for _, point in observed if point in model.points3D]
        tied += len(ties)
        held += sum(point.track.length() >= 3 for point in ties)
    assert tied > 300 and held > 0.5 * tied


@pytest.mark.parametrize("whole", [False, True], ids=["cut", "whole"])
@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1080, 1920), (500, 500)])
def test_places_are_pixels_of_the_picture_as_it_came(size: tuple[int, int], whole: bool) -> None:
    """A mark is where cameras are refined by what is seen of it."""
    picture, at = Image.new("RGB", size), np.array([0.3 * size[0], size[1] / 2 + 0.4 * size[0]])
    at = np.minimum(at, 0.95 * np.array(size))
    mark = 0.02 * size[0]
    picture.paste((255, 255, 255), tuple(np.round([*(at - mark), *(at + mark)]).astype(int)))
    frame = Fitter(224, whole).frame(0, 0.0, picture)
    rows, columns = np.nonzero(frame.grey > 128)
    seen = Tracks(np.zeros(1, int), np.array([[columns.mean(), rows.mean()]]))
    places = seen.sightings((frame.grey.shape[0], frame.grey.shape[1])).places
    found = pixels_of(places, size[::-1], frame.image.shape)[0]
    assert np.abs(found - at).max() < 0.0015 * max(size)


@pytest.mark.parametrize("cameras", ["refined", "head"], ids=["bent", "not bent"])
def test_undistorted_pictures_are_a_pinholes(
    recording: Recording,  # noqa: F811
    tmp_path: Path,
    cameras: Cameras,
) -> None:
    """The same frames, seen from where they were; a point lies where the bent lens saw it."""
    for name in ("colmap", "colmap-undistorted"):
        with zipfile.ZipFile(make_export(recording, name, cameras)) as archive:
            archive.extractall(tmp_path / name)
    bent, model = (
        pycolmap.Reconstruction(at / "sparse/0") for at in sorted(tmp_path.glob("colmap*"))
    )
    assert {camera.model.name for camera in model.cameras.values()} == {"PINHOLE"}
    assert any(camera.params[4] for camera in bent.cameras.values()) == (cameras == "refined")
    assert model.num_reg_images() == COUNT and len(model.points3D) == len(bent.points3D)
    theirs = {image.name: image for image in bent.images.values()}
    for image in model.images.values():
        pose = image.cam_from_world()
        assert np.allclose(pose.matrix(), theirs[image.name].cam_from_world().matrix())
        camera, lens = model.cameras[image.camera_id], bent.cameras[theirs[image.name].camera_id]
        straight, seen = (
            Image.open(tmp_path / name / "images" / image.name).convert("L")
            for name in ("colmap-undistorted", "colmap")
        )
        assert straight.size == (camera.width, camera.height)
        rays = [
            [x, y, 1.0] for x in np.linspace(-0.4, 0.4, 25) for y in np.linspace(-0.25, 0.25, 15)
        ]
        shades = [
            [_at(np.asarray(picture, float), of.img_from_cam(np.array(ray))) for ray in rays]
            for picture, of in ((straight, camera), (seen, lens))
        ]
        same, others = (
            np.nanmean(np.abs(np.subtract(shades[0], shades[1][::step]))) for step in (1, -1)
        )
        assert same < 0.4 * others and np.isfinite(shades).mean() > 0.5


def _at(picture: np.ndarray, pixel: np.ndarray) -> float:
    """A shade between pixels, whose first centre is at a half; NaN outside."""
    row_column = pixel[::-1, None] - 0.5
    return float(map_coordinates(picture, row_column, order=1, cval=np.nan)[0])


def _error(model: pycolmap.Reconstruction) -> float:
    """Root mean square, pixels, of all observations."""
    squares = []
    for image in model.images.values():
        camera = model.cameras[image.camera_id]
        for seen in image.points2D:
            if seen.has_point3D():
                point = model.points3D[seen.point3D_id].xyz
                pixel = camera.img_from_cam(image.cam_from_world() * point)
                squares.append(((pixel - seen.xy) ** 2).sum())
    return float(np.sqrt(np.mean(squares)))


@pytest.mark.parametrize("whole", [False, True], ids=["cut", "whole"])
@pytest.mark.parametrize("size", [(640, 480), (480, 640), (301, 203), (90, 200)])
def test_a_lens_of_the_original_sees_what_the_fitted_one_does(
    size: tuple[int, int], whole: bool
) -> None:
    """Scaled to whole patches, and cut where it is higher than wide: a mark stays where it is."""
    picture, at = Image.new("RGB", size), (0.3 * size[0], 0.5 * size[1])
    mark = 0.02 * size[0]
    box = (at[0] - mark, at[1] - mark, at[0] + mark, at[1] + mark)
    picture.paste((255, 255, 255), tuple(map(round, box)))
    fitted = Fitter(224, whole).frame(0, 0.0, picture).image[..., 0]
    row, column = (float(c.mean()) for c in np.nonzero(fitted > 128))
    matrix = np.array([[200.0, 0, 112], [0, 210, 80], [0, 0, 1]])
    lens = Lens(fitted.shape, matrix, (0.0, 0.0))
    ray = np.linalg.inv(matrix) @ [column, row, 1]
    x, y = camera_of(lens.of_picture((size[1], size[0])), 1).img_from_cam(ray)
    exact = np.array(tuple(map(round, box)), float)
    assert x == pytest.approx((exact[0] + exact[2]) / 2, abs=0.02 * size[0])
    assert y == pytest.approx((exact[1] + exact[3]) / 2, abs=0.02 * size[0])


def test_originals_are_the_frames_that_were_taken() -> None:
    """In their order and number, by motion too."""
    clip = open_clip([EXAMPLES[0].clip], 224, None, InputLimits(max_frames=7))
    frames, originals = list(clip.frames()), list(clip.originals())
    assert len(frames) == len(originals) == 7
    for frame, original in zip(frames, originals, strict=True):
        again = Fitter(224).frame(0, 0.0, Image.fromarray(original)).image
        assert np.abs(again.astype(int) - frame.image).mean() < 1


@pytest.mark.parametrize("whole", [False, True], ids=["cut", "whole"])
def test_depth_of_a_portrait_clip_lies_on_its_picture(tmp_path: Path, whole: bool) -> None:
    """Where the model saw the middle of it nothing is known above and below."""
    rng = np.random.default_rng(0)
    for number in range(2):
        noise = Image.fromarray(rng.integers(0, 255, (8, 6, 3), np.uint8))
        noise.resize((360, 480)).save(tmp_path / f"{number}.png")
    clip = (tmp_path / "0.png", tmp_path / "1.png")
    assert run(clip, tmp_path / "run", export=(), whole=whole) == 0
    made = make_export(Recording(tmp_path / "run"), "nerfstudio", "refined")
    with zipfile.ZipFile(made) as archive:
        picture = Image.open(io.BytesIO(archive.read("images/000000.jpg")))
        depth = np.asarray(Image.open(io.BytesIO(archive.read("depth/000000.png"))))
    assert picture.size == (360, 480)
    assert depth.shape[0] / depth.shape[1] == pytest.approx(480 / 360, rel=0.03)
    known = np.flatnonzero((depth > 0).any(axis=1))
    if whole:
        assert len(known) == len(depth)
        return
    assert len(known) == depth.shape[1] and known[0] == pytest.approx(len(depth) / 8, abs=2)
