"""A COLMAP model of cameras, pictures and points, text and binary, written by pycolmap."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import pycolmap

from svggt import geometry
from svggt.exports import png
from svggt.exports.clouds import SEEDS, cloud_of
from svggt.scene.posed_frame import PosedFrame
from svggt.store.posed_frames import PosedFrames

_HALF = 0.5  # COLMAP puts the first pixel's centre there, this project at 0


def write_colmap(shots: PosedFrames, path: Path) -> None:
    """A zip with `images/`, `sparse/0/` (binary) and `sparse_text/` (the same as text)."""
    with zipfile.ZipFile(path, "w") as archive, tempfile.TemporaryDirectory() as folder:
        model = pycolmap.Reconstruction()
        for shot in shots:
            _add(model, shot)
            archive.writestr(f"images/{_name(shot)}", png.encoded(shot.prediction.image))
        cloud = cloud_of(shots, SEEDS)
        for point, color in zip(cloud.points, cloud.colors, strict=True):
            model.add_point3D(point, pycolmap.Track(), color)
        for kind, write in (("sparse/0", model.write_binary), ("sparse_text", model.write_text)):
            target = Path(folder, kind)
            target.mkdir(parents=True)
            write(target)
            for file in sorted(target.iterdir()):
                archive.write(file, f"{kind}/{file.name}")


def camera_of(shot: PosedFrame) -> pycolmap.Camera:
    """COLMAP's OPENCV model: two focal lengths, centre, and radial distortion."""
    height, width = shot.prediction.depth.shape
    matrix, (k1, k2) = shot.intrinsics, shot.distortion
    centre = (matrix[0, 2] + _HALF, matrix[1, 2] + _HALF)
    return pycolmap.Camera(
        model="OPENCV",
        width=width,
        height=height,
        params=[matrix[0, 0], matrix[1, 1], *centre, k1, k2, 0.0, 0.0],
        camera_id=shot.prediction.number + 1,
    )


def _add(model: pycolmap.Reconstruction, shot: PosedFrame) -> None:
    camera = camera_of(shot)
    model.add_camera_with_trivial_rig(camera)
    image = pycolmap.Image(name=_name(shot), camera_id=camera.camera_id, image_id=camera.camera_id)
    cam_from_world = pycolmap.Rigid3d(geometry.invert(shot.world_from_cam))
    model.add_image_with_trivial_frame(image, cam_from_world)


def _name(shot: PosedFrame) -> str:
    return f"{shot.prediction.number:06}.png"
