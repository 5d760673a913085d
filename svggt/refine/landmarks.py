"""Points of the world that are tracked, as growing arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Indices = NDArray[Any]


class Landmarks:
    """Positions, and what the model's depth said of them when they were first seen.

    A landmark's id is its row for ever.

    Attributes:
        positions: (N, 3) in the world.
        anchors: (N,) number of the keyframe that saw it first.
        distances: (N,) range from that keyframe, by the model's depth.
    """

    def __init__(self) -> None:
        self.positions = np.zeros((0, 3))
        self.anchors = np.zeros(0, int)
        self.distances = np.zeros(0)

    def add(self, positions: Array, anchor: int, distances: Array) -> Indices:
        """Adds points of a keyframe and returns their ids."""
        first = len(self.positions)
        self.positions = np.concatenate([self.positions, positions])
        anchors = np.full(len(positions), anchor)
        self.anchors = np.concatenate([self.anchors, anchors])
        self.distances = np.concatenate([self.distances, distances])
        return np.arange(first, len(self.positions))
