"""Points of the world that are tracked, as growing arrays that forget their oldest rows."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.refine.uncertain import Uncertain

Array = NDArray[Any]
Indices = NDArray[Any]


def _no_places() -> Array:
    return np.zeros((0, 3))


def _no_numbers() -> Array:
    return np.zeros(0)


@dataclass
class Landmarks:
    """Positions, what the model's depth said of them, and how well they were seen.

    A landmark's id is its own for ever, also beside those of a stream that is rebuilt from its
    first frame; rows of forgotten ones are given back.

    Attributes:
        first: id of the first row.
        positions: (N, 3) in the world.
        anchors: (N,) number of the keyframe that saw it first.
        distances: (N,) range from that keyframe, by the model's corrected depth.
        origins: (N, 3) where that keyframe stands.
        angles: (N,) radians, the widest between its first ray and a later one.
    """

    first: int = field(default_factory=lambda: secrets.randbits(38) << 24)
    positions: Array = field(default_factory=_no_places)
    anchors: Array = field(default_factory=lambda: np.zeros(0, int))
    distances: Array = field(default_factory=_no_numbers)
    origins: Array = field(default_factory=_no_places)
    angles: Array = field(default_factory=_no_numbers)

    def rows(self, ids: Indices) -> Indices:
        """Rows of ids that were not forgotten."""
        return ids - self.first

    def add(self, positions: Array, origin: Array, anchor: int) -> Indices:
        """Adds points that a keyframe at `origin` saw, and returns their ids."""
        count = len(self.positions)
        distances = np.linalg.norm(positions - origin, axis=1)
        self.positions = np.concatenate([self.positions, positions])
        self.anchors = np.concatenate([self.anchors, np.full(len(positions), anchor)])
        self.distances = np.concatenate([self.distances, distances])
        self.origins = np.concatenate([self.origins, np.tile(origin, (len(positions), 1))])
        self.angles = np.concatenate([self.angles, np.zeros(len(positions))])
        return np.arange(count, len(self.positions)) + self.first

    def see(self, ids: Indices, centre: Array) -> None:
        """Notes that landmarks are seen from a place."""
        # The angle between the first ray and this one: how well the point is triangulated.
        rows = self.rows(ids)
        a, b = self.positions[rows] - self.origins[rows], self.positions[rows] - centre
        cosine = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1) + 1e-12)
        angle = np.arccos(np.clip(cosine, -1, 1))
        self.angles[rows] = np.maximum(self.angles[rows], angle)

    def spreads(self, ids: Indices, pixel: float, unseen: float) -> Array:
        """Standard deviation of each log depth.

        Args:
            ids: the landmarks'.
            pixel: the angle of an error in the picture, for triangulation.
            unseen: standard deviation of a depth that only the model vouches for.
        """
        # An error of one pixel over the widest angle, or the model's own error.
        return np.minimum(pixel / np.maximum(self.angles[self.rows(ids)], 1e-9), unseen)

    def uncertain(self, ids: Indices, pixel: float, unseen: float) -> Uncertain:
        """Landmarks with the spread of their depths; see `spreads`."""
        rows = self.rows(ids)
        spreads = self.spreads(ids, pixel, unseen)
        return Uncertain(self.positions[rows], self.origins[rows], spreads)

    def stand(self, places: list[Array]) -> None:
        """Keyframes stand at other places now."""
        self.origins = np.array(places)[self.anchors]

    def forget(self, before: int) -> None:
        """Gives the rows of older ids back."""
        drop = max(0, before - self.first)
        for name in ("positions", "anchors", "distances", "origins", "angles"):
            setattr(self, name, getattr(self, name)[drop:])
        self.first += drop
