"""A COLMAP model of cameras, pictures and points, text and binary, written by pycolmap."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pycolmap

from svggt import geometry
from svggt.errors import BadInput, DamagedFrame
from svggt.exports import child
from svggt.exports.clouds import SEEDS, cloud_of
from svggt.exports.originals import HALF, Lens, Picture, file_of, pictures, pixels_of
from svggt.exports.tracks import Observations
from svggt.scene.posed_frame import PosedFrame
from svggt.store.posed_frames import PosedFrames

_LONGEST_SECONDS = 600


def write_colmap(shots: PosedFrames, path: Path) -> None:
    """A zip with `images/`, `sparse/0/` (binary) and `sparse_text/` (the same as text).

    Pictures are as large as they came (up to 2 000 pixels), where the clip was kept, and refined
    cameras share one lens. Points with tracks are those that the cameras were refined by, and what
    else the pictures see of each other; the scene's have none.
    """
    with _model(shots) as folder:
        _store(shots, folder, path)


def write_undistorted(shots: PosedFrames, path: Path) -> None:
    """The same with pictures as a pinhole camera would have taken them: what most read."""
    with _model(shots) as folder:
        try:
            _run("svggt.exports.undistort", shots, folder)
        except child.ChildFailed:
            raise BadInput(
                "COLMAP cannot undistort these pictures. Export the plain model."
            ) from None
        _store(shots, folder / "pinhole", path)


@contextmanager
def _model(shots: PosedFrames) -> Iterator[Path]:
    """A folder with `images/` and `sparse/`, whose points have tracks where pictures allow it."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        model = pycolmap.Reconstruction()
        for name in ("images", "sparse"):
            (folder / name).mkdir()
        refined = [number for number in shots.corrections if number < shots.count]
        lens = Lens.of(shots.shot(max(refined))) if refined else None  # one, of the whole stream
        seen: list[Observations] = []
        for shot, picture in zip(shots, pictures(shots), strict=True):
            _add(model, shot, picture, lens, folder / "images")
            if shot.correction is not None:
                seen.append(_observations(shots, shot, picture))
        model.write_binary(folder / "sparse")
        Observations.joined(seen).save(folder)
        with suppress(child.ChildFailed):  # nothing to hold on to: the scene's points are there
            _run("svggt.exports.tracks", shots, folder)
        yield folder


def _run(module: str, shots: PosedFrames, folder: Path) -> None:
    wait = partial(shots.on_frame, shots.count - 1)
    child.run(module, folder, str(folder), wait=wait, longest_s=_LONGEST_SECONDS)


def _store(shots: PosedFrames, folder: Path, path: Path) -> None:
    """Zips the model and pictures of a folder, with the scene's points."""
    model = pycolmap.Reconstruction(folder / "sparse")
    cloud = cloud_of(shots, SEEDS)
    for point, color in zip(cloud.points, cloud.colors, strict=True):
        model.add_point3D(point, pycolmap.Track(), color)
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted((folder / "images").iterdir()):
            archive.write(file, f"images/{file.name}")
        for kind, write in (("sparse/0", model.write_binary), ("sparse_text", model.write_text)):
            target = folder / "out" / kind
            target.mkdir(parents=True)
            write(target)
            for file in sorted(target.iterdir()):
                archive.write(file, f"{kind}/{file.name}")


def _observations(shots: PosedFrames, shot: PosedFrame, picture: Picture) -> Observations:
    """What the frame's camera was refined by, in its picture."""
    number, shown = shot.prediction.number, shot.prediction.depth.shape
    try:
        seen = shots.recording.frames.sightings(number)
    except DamagedFrame:  # in what it sees alone: the frame was read
        seen = None
    if seen is None:  # or an older version kept it
        return Observations.none()
    pixels = pixels_of(seen.places, picture.shape, shown)
    return Observations(np.full(len(pixels), number + 1), seen.ids, pixels)


def camera_of(lens: Lens, number: int) -> pycolmap.Camera:
    """COLMAP's OPENCV model: two focal lengths, centre, and radial distortion."""
    (height, width), matrix = lens.size, lens.matrix
    return pycolmap.Camera(
        model="OPENCV",
        width=width,
        height=height,
        params=[
            *(matrix[0, 0], matrix[1, 1], matrix[0, 2] + HALF, matrix[1, 2] + HALF),
            *(*lens.distortion, 0.0, 0.0),
        ],
        camera_id=number,
    )


def _add(
    model: pycolmap.Reconstruction,
    shot: PosedFrame,
    picture: Picture,
    shared: Lens | None,
    images: Path,
) -> None:
    """A frame, with its picture as a file; of a shared lens as long as pictures have one size."""
    number, lens = shot.prediction.number + 1, (shared or Lens.of(shot)).of_picture(picture.shape)
    first = next(iter(model.cameras.values()), None)
    if shared is None or first is None or (first.height, first.width) != lens.size:
        model.add_camera_with_trivial_rig(camera_of(lens, number))
        first = model.cameras[number]
    name, content = file_of(picture, shot)
    (images / name).write_bytes(content)
    image = pycolmap.Image(name=name, camera_id=first.camera_id, image_id=number)
    cam_from_world = pycolmap.Rigid3d(geometry.invert(shot.world_from_cam))
    model.add_image_with_trivial_frame(image, cam_from_world)
