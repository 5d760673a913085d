"""Segments of a trajectory: what tracking lost begins anew, and may be merged with an older one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.geometry import Similarity
from svggt.refine.state import RefinerState

Array = NDArray[Any]


def merge(state: RefinerState, into: int, old_from_new: Similarity) -> None:
    """Moves the segment in hand into an older one's world, and makes it a part of it."""
    # All keyframes of the segment take one similarity; ranges from them grow by its scale too.
    moved = [i for i, keyframe in enumerate(state.keyframes) if keyframe.segment == state.segment]
    transform(state, moved, old_from_new)
    state.landmarks.distances[np.isin(state.landmarks.anchors, moved)] *= old_from_new.scale
    for index in moved:
        state.keyframes[index].segment = into
        state.note_moved(state.keyframes[index].frame)
    state.segment = into
    state.world += 1


def transform(state: RefinerState, keyframes: list[int], new_from_old: Similarity) -> None:
    """Moves the newest keyframes, with what hangs on them or was first seen from them.

    Args:
        state: the stream's.
        keyframes: indices; the newest frame goes with them.
        new_from_old: where to.
    """
    # Depths first, as they are seen from the keyframes; then where the keyframes and their own
    # landmarks stand; then the newest frame, which goes with them.
    scale, landmarks = new_from_old.scale, state.landmarks
    rescale(state, dict.fromkeys(keyframes, scale))
    for index in keyframes:
        state.keyframes[index].pose = new_from_old.pose(state.keyframes[index].pose)
    own = np.isin(landmarks.anchors, keyframes)
    landmarks.positions[own] = new_from_old.points(landmarks.positions[own])
    landmarks.stand([keyframe.pose[:, 3] for keyframe in state.keyframes])
    state.pose = new_from_old.pose(state.pose)
    state.motion = _scaled(state.motion, scale)
    state.log_scale += float(np.log(scale))


def rescale(state: RefinerState, scales: dict[int, float]) -> None:
    """The world grows about keyframes: frames on them move, and their depths grow.

    Args:
        state: the stream's.
        scales: the keyframes' by which they are multiplied, by index.
    """
    # Frames before the first of these hang on other keyframes, and stay.
    first = min((state.keyframes[index].frame for index in scales), default=len(state.frames))
    for placed in state.frames[first:]:
        scale = scales.get(placed.keyframe, 1.0)
        placed.keyframe_from_cam = _scaled(placed.keyframe_from_cam, scale)
        placed.log_scale += float(np.log(scale))
    for place in state.places:
        if place.keyframe in scales:
            place.depth = (place.depth * scales[place.keyframe]).astype(np.float16)


def _scaled(transform: Array, scale: float) -> Array:
    return np.concatenate([transform[:, :3], scale * transform[:, 3:]], axis=1)
