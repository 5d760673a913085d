"""Keyframes, and the window of the newest ones that is adjusted together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.refine.landmarks import Landmarks
from svggt.refine.options import RefineOptions
from svggt.refine.pose import MIN_INLIERS, Camera
from svggt.refine.window import WindowProblem

Array = NDArray[Any]

_DISTANCE_SIGMA = (0.02, 1.0)  # relative, of the depth prior


@dataclass
class Keyframe:
    """A frame that others hang on.

    Attributes:
        frame: its number in the stream.
        pose: (3, 4) world_from_cam.
        ids: (N,) landmarks seen in it.
        pixels: (N, 2) and where.
        grey: its tracking picture; of the newest keyframe only.
    """

    frame: int
    pose: Array
    ids: Array
    pixels: Array
    grey: NDArray[np.uint8] | None = None


def window_of(
    keyframes: list[Keyframe],
    landmarks: Landmarks,
    camera: Camera,
    focal_prior: float,
    distance_sigma: float,
    options: RefineOptions,
) -> WindowProblem | None:
    """The newest keyframes and the landmarks that tie them; None if they say nothing of depth.

    Args:
        keyframes: all, oldest first.
        landmarks: of the stream.
        camera: with the focal length found so far.
        focal_prior: what the camera head says, in pixels.
        distance_sigma: relative, of the model's depth.
        options: tuning.
    """
    first = max(0, len(keyframes) - options.window)
    active = keyframes[first:]
    seen = np.concatenate([k.ids for k in active])
    ids, times = np.unique(seen, return_counts=True)
    ids = ids[times >= 2]
    if len(ids) < MIN_INLIERS:
        return None
    poses = np.stack([k.pose for k in active])
    apart = np.linalg.norm(poses[:, :, 3] - poses[0, :, 3], axis=1).max()
    if apart < options.baseline * np.median(landmarks.distances[ids]):
        return None
    which = np.concatenate([np.full(len(k.ids), i) for i, k in enumerate(active)])
    tied = np.isin(seen, ids)
    return WindowProblem(
        first_keyframe=first,
        ids=ids,
        world_from_cam=poses,
        hold_second=first > 0,
        focal=camera.focal,
        focal_prior=focal_prior,
        focal_sigma=options.focal_sigma,
        centre=camera.centre,
        points=landmarks.positions[ids],
        keyframe=which[tied],
        landmark=np.searchsorted(ids, seen[tied]),
        pixels=np.concatenate([k.pixels for k in active])[tied].astype(np.float64),
        anchor=np.maximum(landmarks.anchors[ids] - first, -1),
        distance=landmarks.distances[ids],
        distance_sigma=float(np.clip(distance_sigma, *_DISTANCE_SIGMA)),
    )
