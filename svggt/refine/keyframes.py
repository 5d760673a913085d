"""Keyframes, and the window of the newest ones that is adjusted together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.geometry import rotation_angle
from svggt.refine.camera import Camera
from svggt.refine.landmarks import Landmarks
from svggt.refine.options import RefineOptions
from svggt.refine.pose import MIN_INLIERS
from svggt.refine.tracking import Tracks
from svggt.refine.window import WindowProblem

Array = NDArray[Any]

_SUREST = 0.02  # relative, of a range


@dataclass
class Keyframe:
    """A frame that others hang on.

    Attributes:
        frame: its number in the stream.
        piece: of the trajectory.
        pose: (3, 4) world_from_cam.
        ids: (N,) landmarks seen in it.
        pixels: (N, 2) and where.
    """

    frame: int
    piece: int
    pose: Array
    ids: Array
    pixels: Array


def keyframe_is_due(
    anchor: Keyframe, tracks: Tracks, size: tuple[int, int], options: RefineOptions
) -> bool:
    """Whether too few corners of the newest keyframe live on, or moved too far.

    Args:
        anchor: the newest keyframe.
        tracks: of the newest frame.
        size: (height, width) of the tracking picture.
        options: tuning.
    """
    if len(tracks) < options.alive * len(anchor.ids):
        return True
    _, here, there = np.intersect1d(tracks.ids, anchor.ids, assume_unique=True, return_indices=True)
    moved = np.linalg.norm(tracks.pixels[here] - anchor.pixels[there], axis=1)
    return len(moved) == 0 or float(np.median(moved)) > options.parallax * size[1]


def window_of(
    keyframes: list[Keyframe],
    first: int,
    world: int,
    landmarks: Landmarks,
    camera: Camera,
    focal_prior: tuple[float, float],
    distance_sigma: float,
    options: RefineOptions,
) -> WindowProblem | None:
    """The newest keyframes and the landmarks that tie them; None if they say nothing of depth.

    Args:
        keyframes: all, oldest first.
        first: index of the oldest that is tied to the newest.
        world: that they stand in.
        landmarks: of the stream.
        camera: with the focal length found so far.
        focal_prior: what the camera head says, in pixels, and its relative sigma.
        distance_sigma: relative, of the model's depth.
        options: tuning.
    """
    # The newest keyframes are free; a few older ones stay where they are and hold them.
    begin = max(first, len(keyframes) - options.window - options.held)
    active = keyframes[begin:]
    free_from = len(active) - options.window
    # A landmark ties keyframes if two of them see it, one of them a free one.
    seen = np.concatenate([k.ids for k in active])
    which = np.concatenate([np.full(len(k.ids), i) for i, k in enumerate(active)])
    ids, times = np.unique(seen, return_counts=True)
    lately = np.unique(seen[which >= max(free_from, 0)])
    ids = ids[(times >= 2) & np.isin(ids, lately)]
    if len(ids) < MIN_INLIERS:
        return None
    rows = landmarks.rows(ids)
    poses = np.stack([k.pose for k in active])
    # Without a baseline there is nothing to triangulate, and depths would follow noise.
    apart = np.linalg.norm(poses[:, :, 3] - poses[0, :, 3], axis=1).max()
    if apart < options.baseline * np.median(landmarks.distances[rows]):
        return None
    # Without a turn the focal length hardly shows.
    turned = rotation_angle(poses[0, :, :3].T @ poses[:, :, :3]).max()
    # Observations as indices into the window's own keyframes and landmarks.
    tied = np.isin(seen, ids)
    keyframe, landmark = which[tied], np.searchsorted(ids, seen[tied])
    anchor, distance = landmarks.anchors[rows] - begin, landmarks.distances[rows].copy()
    held = max(1, free_from)
    # With little baseline a world turned inside out (near and far exchanged, a turn for a shift)
    # fits the pictures nearly as well; only the model's depth tells it from the true one.
    sigma = np.full(len(ids), distance_sigma if held > 1 else min(distance_sigma, options.begun))
    # The first keyframe of some has left: what it taught stays as a prior.
    left = anchor < 0
    anchor[left] = _earliest(len(ids), landmark, keyframe)[left]
    reach = landmarks.positions[rows] - poses[anchor, :, 3]
    distance[left] = np.linalg.norm(reach, axis=1)[left]
    carried = options.carry * landmarks.spreads(ids, 1 / camera.focal, distance_sigma)
    sigma[left] = np.clip(carried, _SUREST, None)[left]
    return WindowProblem(
        world=world,
        first_keyframe=begin,
        ids=ids,
        world_from_cam=poses,
        held=held,
        focal=camera.focal,
        focal_prior=focal_prior[0],
        focal_sigma=focal_prior[1] if turned > options.turned else 0.0,
        centre=camera.centre,
        radial=camera.radial,
        radial_sigma=options.radial_sigma,
        points=landmarks.positions[rows],
        keyframe=keyframe,
        landmark=landmark,
        pixels=np.concatenate([k.pixels for k in active])[tied].astype(np.float64),
        anchor=anchor,
        distance=distance,
        distance_sigma=sigma,
    )


def _earliest(count: int, landmark: Array, keyframe: Array) -> Array:
    """(count,) the first keyframe of each landmark's observations."""
    earliest = np.full(count, keyframe.max())
    np.minimum.at(earliest, landmark, keyframe)
    return earliest
