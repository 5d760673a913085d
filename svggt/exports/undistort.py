"""Pictures of a COLMAP model as a pinhole camera would have taken them, by pycolmap."""

from __future__ import annotations

import sys
from pathlib import Path

import pycolmap

_QUALITY = 95  # of JPEGs


def undistort(folder: Path) -> None:
    """Makes `pinhole/` of a folder's `sparse/` and `images/`: the same names, points and poses."""
    pycolmap.undistort_images(
        folder / "pinhole",
        folder / "sparse",
        folder / "images",
        jpeg_quality=_QUALITY,
        num_threads=1,
    )
    model = pycolmap.Reconstruction(folder / "pinhole" / "sparse")
    for camera in model.cameras.values():  # COLMAP leaves those as they are that bend nothing
        if camera.model == pycolmap.CameraModelId.OPENCV:
            camera.model, camera.params = pycolmap.CameraModelId.PINHOLE, camera.params[:4]
    model.write_binary(folder / "pinhole" / "sparse")


if __name__ == "__main__":
    undistort(Path(sys.argv[1]))
