"""Points that several pictures of a COLMAP model see, triangulated by its cameras as they are.

What trains on such a model, or adjusts it further, wants observations, which the points of depth
maps have none of. Two kinds: corners that the cameras were refined by, as they were followed; and
SIFT. Matching of these and triangulation of all are pycolmap's.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
from numpy.typing import NDArray

_FEATURES = 2000  # of a picture
_OVERLAP = 8  # pictures that each is matched with
_KEPT = "observations.npz"

_Matches = NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Observations:
    """Where pictures see landmarks.

    Attributes:
        images: (N,) numbers of the model's images.
        landmarks: (N,) ids.
        pixels: (N, 2), from the picture's upper left corner.
    """

    images: NDArray[Any]
    landmarks: NDArray[Any]
    pixels: NDArray[np.float64]

    @classmethod
    def none(cls) -> Observations:
        """Of nothing."""
        return cls(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 2)))

    @classmethod
    def joined(cls, parts: Sequence[Observations]) -> Observations:
        """All of several."""
        every = [cls.none(), *parts]
        return cls(
            np.concatenate([each.images for each in every]),
            np.concatenate([each.landmarks for each in every]),
            np.concatenate([each.pixels for each in every]),
        )

    def save(self, folder: Path) -> None:
        """For `load`."""
        np.savez(folder / _KEPT, **vars(self))

    @classmethod
    def load(cls, folder: Path) -> Observations:
        """What was saved there."""
        with np.load(folder / _KEPT, allow_pickle=False) as arrays:
            return cls(**arrays)

    def of(self, image: int) -> Observations:
        """One image's."""
        mask = self.images == image
        return Observations(self.images[mask], self.landmarks[mask], self.pixels[mask])


def triangulate(folder: Path) -> None:
    """Gives the model in `sparse/`, whose pictures are in `images/`, points with tracks.

    Args:
        folder: with a model whose images are numbered from 1 in the order of their names, and
            the observations that there are.

    Raises:
        RuntimeError: pycolmap cannot.
    """
    images, sparse, database = folder / "images", folder / "sparse", folder / "all.db"
    known = pycolmap.Reconstruction(sparse)
    features = folder / "sift.db"
    _find_features(features, images, known)
    _join(features, Observations.load(folder), database)
    pycolmap.triangulate_points(known, database, images, sparse)


def _find_features(database: Path, images: Path, known: pycolmap.Reconstruction) -> None:
    """SIFT of all pictures and what of it matches, into a database."""
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


def _join(features: Path, seen: Observations, database: Path) -> None:
    """A database with both kinds of observations; those that were followed come behind."""
    with pycolmap.Database.open(features) as found, pycolmap.Database.open(database) as joined:
        for camera in found.read_all_cameras():
            joined.write_camera(camera, use_camera_id=True)
        for rig in found.read_all_rigs():
            joined.write_rig(rig, use_rig_id=True)
        for frame in found.read_all_frames():
            joined.write_frame(frame, use_frame_id=True)
        images = sorted(found.read_all_images(), key=lambda image: image.image_id)
        followed, begin = {}, {}
        for image in images:
            number = image.image_id
            joined.write_image(image, use_image_id=True)
            points, followed[number] = found.read_keypoints(number), seen.of(number)
            begin[number] = len(points)
            joined.write_keypoints(number, _with(points, followed[number].pixels))
        for place, image in enumerate(images):
            one = image.image_id
            for later in images[place + 1 : place + 1 + _OVERLAP]:
                other = later.image_id
                alike = _shared(followed[one], followed[other]) + np.array(
                    [begin[one], begin[other]]
                )
                geometry = found.read_two_view_geometry(one, other)
                _write_pair(joined, (one, other), geometry.inlier_matches, alike.astype(np.uint32))


def _with(keypoints: NDArray[np.float32], pixels: NDArray[np.float64]) -> NDArray[np.float32]:
    """Keypoints (N, 2 or more), and others behind them."""
    more = np.zeros((len(pixels), keypoints.shape[1]), np.float32)
    more[:, :2] = pixels
    return np.concatenate([keypoints, more])


def _shared(one: Observations, other: Observations) -> NDArray[Any]:
    """(M, 2) rows of the landmarks that two images see."""
    _, here, there = np.intersect1d(
        one.landmarks, other.landmarks, assume_unique=True, return_indices=True
    )
    return np.stack([here, there], axis=1)


def _write_pair(
    database: pycolmap.Database, pair: tuple[int, int], matched: _Matches, alike: _Matches
) -> None:
    both = np.concatenate([matched.reshape(-1, 2), alike])
    if len(both):
        geometry = pycolmap.TwoViewGeometry()
        geometry.config = pycolmap.TwoViewGeometryConfiguration.CALIBRATED
        geometry.inlier_matches = both
        database.write_matches(*pair, both)
        database.write_two_view_geometry(*pair, geometry)


def _reader() -> pycolmap.ImageReaderOptions:
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = "OPENCV"
    return reader


if __name__ == "__main__":
    triangulate(Path(sys.argv[1]))
