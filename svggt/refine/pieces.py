"""Pieces of a trajectory: what tracking lost begins anew, and may be joined to what was before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.geometry import compose
from svggt.refine.state import RefinerState

Array = NDArray[Any]


@dataclass(frozen=True)
class Similarity:
    """x_old = scale * rigid[:, :3] x_new + rigid[:, 3]: from a piece's world into another's."""

    scale: float
    rigid: Array

    @classmethod
    def of_camera(cls, old: Array, new: Array, scale: float) -> Similarity:
        """From one camera's pose (3, 4) in both worlds."""
        turn = old[:, :3] @ new[:, :3].T
        shift = old[:, 3] - scale * turn @ new[:, 3]
        return cls(scale, np.concatenate([turn, shift[:, None]], axis=1))

    def points(self, points: Array) -> Array:
        """Points (N, 3)."""
        return self.scale * points @ self.rigid[:, :3].T + self.rigid[:, 3]

    def pose(self, world_from_cam: Array) -> Array:
        """A camera's pose (3, 4): it turns and goes along, its own axes keep their scale."""
        scaled = np.concatenate([world_from_cam[:, :3], self.scale * world_from_cam[:, 3:]], axis=1)
        return compose(self.rigid, scaled)


def join(state: RefinerState, into: int, old_from_new: Similarity) -> None:
    """Moves the piece in hand into an older one's world, and makes it a part of it."""
    moved = [i for i, k in enumerate(state.keyframes) if k.piece == state.piece]
    for index in moved:
        keyframe = state.keyframes[index]
        keyframe.pose, keyframe.piece = old_from_new.pose(keyframe.pose), into
    log = float(np.log(old_from_new.scale))
    for number, placed in enumerate(state.frames):
        if placed.keyframe in moved:
            placed.keyframe_from_cam = _scaled(placed.keyframe_from_cam, old_from_new.scale)
            placed.log_scale += log
            state.note_moved(number)
    for place in state.places:
        if place.keyframe in moved:
            place.depth = (place.depth * old_from_new.scale).astype(np.float16)
    landmarks = state.landmarks
    own = np.isin(landmarks.anchors, moved)
    landmarks.positions[own] = old_from_new.points(landmarks.positions[own])
    landmarks.origins[own] = old_from_new.points(landmarks.origins[own])
    landmarks.distances[own] *= old_from_new.scale
    state.pose = old_from_new.pose(state.pose)
    state.motion = _scaled(state.motion, old_from_new.scale)
    state.log_scale += log
    state.piece = into
    state.world += 1


def _scaled(transform: Array, scale: float) -> Array:
    return np.concatenate([transform[:, :3], scale * transform[:, 3:]], axis=1)
