"""Where known landmarks are in a new picture, and what pose that gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.refine.camera import Camera
from svggt.refine.flow_check import Flow
from svggt.refine.keyframes import Keyframe
from svggt.refine.landmarks import Landmarks
from svggt.refine.options import RefineOptions
from svggt.refine.pose import AGREES, MIN_INLIERS, locate
from svggt.refine.refine_pose import Expected
from svggt.refine.relocalization import Features, Remembered
from svggt.refine.tracking import Grey, Tracks, follow, shift
from svggt.refine.uncertain import Uncertain

Array = NDArray[Any]

_BESIDE = 60.0  # pixels outside the picture where a landmark may still be looked for
_ENOUGH = 0.5  # of the tracks: no other guess is tried
_SAME = 2.5  # pixels between a matched point and the landmark that it is


@dataclass(frozen=True)
class PoseEstimate:
    """Landmarks seen in a picture, and from where.

    Attributes:
        tracks: all that were found.
        inliers: (N,) which of them agree with the pose.
        world_from_cam: (3, 4).
    """

    tracks: Tracks
    inliers: NDArray[np.bool_]
    world_from_cam: Array

    @property
    def num_inliers(self) -> int:
        """How many agree."""
        return int(self.inliers.sum())

    def away(self, world_from_cam: Array) -> float:
        """How far the camera is from another (3, 4)."""
        return float(np.linalg.norm(self.world_from_cam[:, 3] - world_from_cam[:, 3]))


@dataclass(frozen=True)
class Localizer:
    """What looks: a camera whose pose is sought, and what is known of the world.

    Attributes:
        grey: its picture.
        camera: its intrinsics.
        landmarks: the stream's.
        unseen: spread of a log depth that only the model vouches for.
        options: tuning.
    """

    grey: Grey
    camera: Camera
    landmarks: Landmarks
    unseen: float
    options: RefineOptions

    def locate(self, tracks: Tracks, expected: Expected) -> PoseEstimate | None:
        """The pose that most landmarks agree with; None if too few do."""
        points = self.landmarks.uncertain(tracks.ids, 1 / self.camera.focal, self.unseen)
        pose, inliers = self.agree(points, tracks.pixels, expected)
        return None if pose is None else PoseEstimate(tracks, inliers, pose)

    def agree(
        self, points: Uncertain, pixels: Array, expected: Expected
    ) -> tuple[Array | None, NDArray[np.bool_]]:
        """The pose that most points agree with, and which do; None if too few do."""
        if len(pixels) < MIN_INLIERS:
            return None, np.zeros(len(pixels), bool)
        pose, lengths = locate(points, pixels, self.camera, expected, self.options.seed)
        inliers = lengths < AGREES
        enough = inliers.sum() >= MIN_INLIERS and inliers.mean() >= self.options.lost
        return pose if enough else None, inliers

    def visible(self, tracks: Tracks, world_from_cam: Array) -> int:
        """How many landmarks a pose has in the picture."""
        return int(self._look(tracks, world_from_cam, beside=0.0)[1].sum())

    def ahead(self, tracks: Tracks, pose: Array) -> Array:
        """Where landmarks should be, seen from a pose; where they were if that is nowhere."""
        pixels, inside = self._look(tracks, pose, _BESIDE)
        return np.where(inside[:, None], pixels, tracks.pixels)

    def _look(self, tracks: Tracks, pose: Array, beside: float) -> tuple[Array, Array]:
        """Pixels (N, 2), and whether they lie in the picture or at most so far beside it."""
        points = self.landmarks.positions[self.landmarks.rows(tracks.ids)]
        pixels, depth = self.camera.project(points, pose)
        inside = (pixels > -beside).all(1) & (pixels < 2 * self.camera.centre + beside).all(1)
        return pixels, inside & (depth > 0)

    def follow(self, before: Grey, tracks: Tracks, ahead: Array) -> Tracks:
        """Those that Lucas-Kanade finds."""
        pixels, found = follow(before, self.grey, tracks.pixels, ahead)
        return Tracks(tracks.ids[found], pixels[found])


@dataclass(frozen=True)
class TrackedFrame:
    """What was found of the known world in a picture, before the model spoke.

    Attributes:
        localizer: that looked at it.
        expected: where it was taken, if motion went on as it was.
        estimate: from where it was taken; None where too few landmarks were found.
        flow: how the whole picture moved.
    """

    localizer: Localizer
    expected: Expected
    estimate: PoseEstimate | None
    flow: Flow


def track(
    localizer: Localizer, before: Grey, tracks: Tracks, expected: Expected
) -> PoseEstimate | None:
    """Follows landmarks from the last picture, from several guesses until one holds.

    Args:
        localizer: what looks.
        before: the last picture.
        tracks: where the landmarks were in it.
        expected: where the new one was taken, if motion goes on as it was.
    """
    if len(tracks) < MIN_INLIERS:
        return None
    # Lucas-Kanade finds what is within some pixels of its guess: first where the last motion leads,
    # then, if few were found there, where the whole picture went.
    best: PoseEstimate | None = None
    for ahead in _guesses(localizer, before, tracks, expected.world_from_cam):
        estimate = localizer.locate(localizer.follow(before, tracks, ahead), expected)
        if estimate is not None and (best is None or estimate.num_inliers > best.num_inliers):
            best = estimate
        if best is not None and best.num_inliers > _ENOUGH * len(tracks):
            break
    return best


def _guesses(localizer: Localizer, before: Grey, tracks: Tracks, guess: Array) -> Iterator[Array]:
    yield localizer.ahead(tracks, guess)
    yield tracks.pixels + shift(before, localizer.grey)


def relocalize(
    localizer: Localizer,
    features: Features,
    place: Remembered,
    keyframe: Keyframe,
    expected: Expected,
) -> PoseEstimate | None:
    """Finds a remembered keyframe in the picture; what was matched becomes landmarks.

    Args:
        localizer: what looks.
        features: SIFT features of its picture.
        place: what the keyframe looks like.
        keyframe: the same one; it gains observations.
        expected: where the picture was taken.
    """
    here, there, depth = place.match(features)
    if len(here) < MIN_INLIERS:
        return None
    # A matched pixel is a landmark that the keyframe has there, or one lifted by its depth, whose
    # distance only the model says.
    landmarks, camera = localizer.landmarks, localizer.camera
    ids = _landmark_at(keyframe, here)
    pose, known = keyframe.pose, ids >= 0
    rows = landmarks.rows(ids[known])
    points = camera.lift(here, depth, pose)
    points[known] = landmarks.positions[rows]
    spreads = np.full(len(points), localizer.unseen)
    spreads[known] = landmarks.spreads(ids[known], 1 / camera.focal, localizer.unseen)
    origins = np.tile(pose[:, 3], (len(points), 1))
    origins[known] = landmarks.origins[rows]
    found, inliers = localizer.agree(Uncertain(points, origins, spreads), there, expected)
    if found is None:
        return None
    # What agreed becomes a landmark, so that the keyframe ties to this frame in the window.
    new = inliers & ~known
    ids[new] = localizer.landmarks.add(points[new], pose[:, 3], place.keyframe)
    keyframe.ids = np.concatenate([keyframe.ids, ids[new]])
    keyframe.pixels = np.concatenate([keyframe.pixels, here[new]]).astype(np.float32)
    stays = ids >= 0
    tracks = Tracks(ids[stays], there[stays].astype(np.float32))
    return PoseEstimate(tracks, inliers[stays], found)


def _landmark_at(keyframe: Keyframe, pixels: Array) -> Array:
    """Ids (N,) of the keyframe's landmarks at pixels (N, 2), -1 where there is none."""
    if len(keyframe.ids) == 0:
        return np.full(len(pixels), -1)
    # The nearest landmark within reach; of several pixels at one landmark the first has it.
    apart = np.linalg.norm(pixels[:, None] - keyframe.pixels[None], axis=2)
    ids = np.where(apart.min(axis=1) < _SAME, keyframe.ids[apart.argmin(axis=1)], -1)
    _, first = np.unique(ids, return_index=True)
    once = np.isin(np.arange(len(ids)), first)
    return np.where(once, ids, -1)


def widen(
    localizer: Localizer, estimate: PoseEstimate, before: Grey, tracks: Tracks, expected: Expected
) -> PoseEstimate:
    """After a leap: what was followed until then is looked for where the new pose sees it."""
    pose = estimate.world_from_cam
    followed = localizer.follow(before, tracks, localizer.ahead(tracks, pose))
    agreed = estimate.tracks.only(estimate.inliers)
    again = localizer.locate(agreed.and_new(followed), Expected(pose, expected.reach))
    return again if again is not None and again.num_inliers > estimate.num_inliers else estimate
