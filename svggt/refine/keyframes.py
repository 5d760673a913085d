"""Keyframes, and the window of the newest ones that is adjusted together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from svggt.geometry import Similarity, rotation_angle
from svggt.prediction import FramePrediction
from svggt.refine.camera import Camera
from svggt.refine.field import still
from svggt.refine.landmarks import Landmarks
from svggt.refine.options import RefineOptions
from svggt.refine.pose import MIN_INLIERS
from svggt.refine.tracking import Tracks
from svggt.refine.window import WindowProblem

Array = NDArray[Any]

_SUREST = 0.02  # relative, of a range
_RIM = 8  # pixels of the picture without corners


@dataclass
class Keyframe:
    """A frame that others hang on.

    Attributes:
        frame: its number in the stream.
        segment: number of the trajectory segment.
        pose: (3, 4) world_from_cam.
        ids: (N,) landmarks seen in it.
        pixels: (N, 2) and where.
        depth: median z-depth that it sees, in the world's scale.
        tied: whether what was tracked ties it to the keyframe before.
        closed: where its surroundings are moved by loops that were closed.
    """

    frame: int
    segment: int
    pose: Array
    ids: Array
    pixels: Array
    depth: float = 1.0
    tied: bool = True
    closed: Similarity = field(default_factory=Similarity.none)


def keyframe_is_due(
    anchor: Keyframe, tracks: Tracks, size: tuple[int, int], options: RefineOptions
) -> bool:
    """Whether too few corners of the newest keyframe live on, or moved too far.

    Args:
        anchor: the newest keyframe.
        tracks: the newest frame's.
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
        landmarks: the stream's.
        camera: with the focal length found so far.
        focal_prior: what is known of it, in pixels, and its relative sigma.
        distance_sigma: relative, of the model's depth.
        options: tuning.
    """
    # The newest keyframes are free; a few older ones stay where they are and hold them.
    begin = max(first, len(keyframes) - options.window - options.held)
    active = keyframes[begin:]
    free_from = len(active) - options.window
    ids, keyframe, landmark, pixels = _tying(active, max(free_from, 0))
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
    held = max(1, free_from)
    # With little baseline a world turned inside out (near and far exchanged, a turn for a shift)
    # fits the pictures nearly as well; only the model's depth tells it from the true one.
    model_sigma = distance_sigma if held > 1 else min(distance_sigma, options.begun)
    carried_sigma = options.carry * landmarks.spreads(ids, 1 / camera.focal, distance_sigma)
    anchor, distance, sigma = _distance_priors(
        landmarks.anchors[rows] - begin,
        landmarks.distances[rows],
        np.linalg.norm(landmarks.positions[rows][:, None] - poses[None, :, :, 3], axis=2),
        _earliest(len(ids), landmark, keyframe),
        model_sigma,
        np.clip(carried_sigma, _SUREST, None),
    )
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
        pixels=pixels,
        anchor=anchor,
        distance=distance,
        distance_sigma=sigma,
    )


def _tying(active: list[Keyframe], free_from: int) -> tuple[Array, Array, Array, Array]:
    """Landmarks that tie keyframes, and where they are seen.

    Args:
        active: keyframes of a window, oldest first.
        free_from: index of the first that is not held.

    Returns:
        Ids (M,), ascending; and of each observation (O,) index of its keyframe, (O,) index of its
        landmark, and (O, 2) pixels.
    """
    # A landmark ties keyframes if two of them see it, one of them a free one.
    seen = np.concatenate([k.ids for k in active])
    which = np.concatenate([np.full(len(k.ids), i) for i, k in enumerate(active)])
    ids, times = np.unique(seen, return_counts=True)
    ids = ids[(times >= 2) & np.isin(ids, np.unique(seen[which >= free_from]))]
    tied = np.isin(seen, ids)
    pixels = np.concatenate([k.pixels for k in active])[tied].astype(np.float64)
    return ids, which[tied], np.searchsorted(ids, seen[tied]), pixels


def _distance_priors(
    anchor: Array,
    distance: Array,
    reach: Array,
    earliest: Array,
    model_sigma: float,
    carried_sigma: Array,
) -> tuple[Array, Array, Array]:
    """How far each landmark is from one of the window's keyframes, and how sure that is.

    Args:
        anchor: (N,) index of the keyframe that saw it first; negative: it has left the window.
        distance: (N,) from there, as the model's depth says.
        reach: (N, K) from every keyframe of the window, as it is triangulated now.
        earliest: (N,) first keyframe of the window that sees it.
        model_sigma: relative, of the model's depth.
        carried_sigma: (N,) relative, of what was triangulated.

    Returns:
        Keyframe, distance and relative sigma of each landmark, (N,).
    """
    # Where the first keyframe has left, what it taught stays as a prior: the triangulated distance
    # from the earliest one that is still there takes the place of the model's.
    left = anchor < 0
    anchor = np.where(left, earliest, anchor)
    carried = np.take_along_axis(reach, anchor[:, None], axis=1)[:, 0]
    sigma = np.where(left, carried_sigma, model_sigma)
    return anchor, np.where(left, carried, distance), sigma


def _earliest(count: int, landmark: Array, keyframe: Array) -> Array:
    """(count,) the first keyframe of each landmark's observations."""
    earliest = np.full(count, keyframe.max())
    np.minimum.at(earliest, landmark, keyframe)
    return earliest


def corners_allowed(
    prediction: FramePrediction, moving: NDArray[np.bool_] | None, size: tuple[int, int]
) -> NDArray[np.bool_]:
    """(H, W) where corners may lie: not in the least confident 15 %, not at the rim nor on movers.

    Args:
        prediction: of the frame.
        moving: cells of its grid that move.
        size: (height, width) of the tracking picture.
    """
    mask = prediction.depth_conf > np.percentile(prediction.depth_conf, 15)
    scaled = cv2.resize(mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0
    inside = np.zeros(size, bool)
    inside[_RIM:-_RIM, _RIM:-_RIM] = True
    return scaled & inside & still(moving, size)
