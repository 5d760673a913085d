"""What the pictures of keyframes have in common, however far apart in time they were taken.

A view keeps a keyframe's picture and the corners that were followed in it. When the stream ends,
points are found in each (SIFT), matched between views, and verified by the geometry of two views.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pycolmap
from numpy.typing import NDArray

from svggt.refine.camera import Camera
from svggt.refine.relocalization import Features, mutual_matches
from svggt.refine.tracking import Grey, Tracks

Array = NDArray[Any]

_FEATURES = 400  # of a picture
_FEWEST = 15  # matches that agree
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]


@dataclass
class View:
    """A keyframe's picture.

    Attributes:
        keyframe: its index.
        picture: (B,) uint8, its tracking picture as a JPEG.
        corners: landmarks that were followed in it.
        log_depth: (N,) natural logarithm of the model's depth at them.
    """

    keyframe: int
    picture: NDArray[np.uint8]
    corners: Tracks
    log_depth: Array

    @classmethod
    def of(cls, keyframe: int, grey: Grey, corners: Tracks, log_depth: Array) -> View:
        """Packs a picture (H, W)."""
        _, packed = cv2.imencode(".jpg", grey, _JPEG)
        return cls(keyframe, packed, corners, log_depth)


@dataclass(frozen=True)
class ViewPoints:
    """Points of a view: the corners, then what was found.

    Attributes:
        ids: (N,) the corners' landmarks.
        pixels: (N + M, 2).
        descriptors: (M, 128) uint8.
    """

    ids: NDArray[Any]
    pixels: Array
    descriptors: NDArray[np.uint8]

    def match(self, other: ViewPoints) -> NDArray[np.uint32]:
        """Indices (K, 2) here and there of what looks the same or was followed."""
        here, there = mutual_matches(self.descriptors, other.descriptors)
        _, ours, theirs = np.intersect1d(
            self.ids, other.ids, assume_unique=True, return_indices=True
        )
        alike = np.stack([here + len(self.ids), there + len(other.ids)], axis=1)
        return np.concatenate([np.stack([ours, theirs], axis=1), alike]).astype(np.uint32)


@dataclass(frozen=True)
class FindPoints:
    """Asks for the points of a view."""

    view: View

    def run(self) -> ViewPoints:
        """Finds and describes them."""
        grey, corners = cv2.imdecode(self.view.picture, cv2.IMREAD_GRAYSCALE), self.view.corners
        assert grey is not None
        found = Features.of(grey.astype(np.uint8), _FEATURES)
        pixels = np.concatenate([corners.pixels, found.pixels])
        return ViewPoints(corners.ids, pixels, found.descriptors.astype(np.uint8))


@dataclass(frozen=True)
class MatchViews:
    """Asks what a view has in common with others.

    Attributes:
        camera: of all, with its size in twice its centre.
        new: the view's points.
        olds: the others'.
    """

    camera: Camera
    new: ViewPoints
    olds: list[ViewPoints]

    def run(self) -> list[NDArray[np.uint32]]:
        """Of each other view: indices (K, 2) there and here that one rigid motion explains."""
        camera, options = colmap_camera(self.camera), pycolmap.TwoViewGeometryOptions()
        options.ransac.random_seed = 0
        found = []
        for old in self.olds:
            matches = old.match(self.new)
            if len(matches) >= _FEWEST:
                matches = pycolmap.estimate_calibrated_two_view_geometry(
                    camera, old.pixels, camera, self.new.pixels, matches, options
                ).inlier_matches
            found.append(matches if len(matches) >= _FEWEST else matches[:0])
        return found


def colmap_camera(camera: Camera) -> pycolmap.Camera:
    """COLMAP's SIMPLE_RADIAL model, which is ours."""
    width, height = np.round(2 * camera.centre).astype(int).tolist()
    made = pycolmap.Camera(
        model="SIMPLE_RADIAL",
        width=width,
        height=height,
        params=[camera.focal, *camera.centre, camera.radial],
        camera_id=1,
    )
    made.has_prior_focal_length = True
    return made
