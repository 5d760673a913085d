"""Points that several pictures of a COLMAP model see, triangulated by its cameras as they are.

What trains on such a model, or adjusts it further, wants observations, which the points of depth
maps have none of. SIFT, sequential matching and triangulation are pycolmap's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pycolmap

_FEATURES = 2000  # of a picture
_OVERLAP = 8  # pictures that each is matched with


def triangulate(folder: Path) -> None:
    """Gives the model in `sparse/`, whose pictures are in `images/`, points with tracks.

    Args:
        folder: with a model whose images are numbered from 1 in the order of their names.

    Raises:
        RuntimeError: pycolmap cannot.
    """
    database, images, sparse = folder / "database.db", folder / "images", folder / "sparse"
    known = pycolmap.Reconstruction(sparse)
    extraction, matching = pycolmap.FeatureExtractionOptions(), pycolmap.FeatureMatchingOptions()
    extraction.num_threads = matching.num_threads = 1  # also: numbers in the order of names
    extraction.sift.max_num_features = _FEATURES
    pairing = pycolmap.SequentialPairingOptions()
    pairing.overlap, pairing.quadratic_overlap = _OVERLAP, False
    mode = pycolmap.CameraMode
    pycolmap.extract_features(
        database,
        images,
        camera_mode=mode.SINGLE if known.num_cameras() == 1 else mode.PER_IMAGE,
        reader_options=_reader(),
        extraction_options=extraction,
        device=pycolmap.Device.cpu,
    )
    with pycolmap.Database.open(database) as written:
        for camera in known.cameras.values():
            written.update_camera(camera)
    pycolmap.match_sequential(
        database, matching_options=matching, pairing_options=pairing, device=pycolmap.Device.cpu
    )
    pycolmap.triangulate_points(known, database, images, sparse)


def _reader() -> pycolmap.ImageReaderOptions:
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = "OPENCV"
    return reader


if __name__ == "__main__":
    triangulate(Path(sys.argv[1]))
