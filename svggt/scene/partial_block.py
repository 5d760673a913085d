"""Frames of a block that is shown in part: they are read again from where they are kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from svggt.scene.clouds import Cloud
from svggt.scene.point_layers import PointLayers

_MOST = 8  # frames that are read


class PartialBlock:
    """The frames drawn so, under one node.

    Args:
        bands: the node's layers, empty.
    """

    def __init__(self, bands: PointLayers) -> None:
        self.bands = bands
        self.numbers: list[int] = []

    def show(self, numbers: list[int], read: Callable[[int], list[Cloud]]) -> None:
        """Shows these frames; none hides the node.

        Args:
            numbers: the frames', from 0.
            read: a frame's bands in the world.
        """
        if numbers and numbers != self.numbers:
            clouds = zip(*map(read, numbers), strict=True)
            self.bands.fill([Cloud.joined(list(band)) for band in clouds])
            self.bands.place(np.eye(3, 4))
            self.numbers = numbers
        self.bands.show(bool(numbers))

    def forget(self) -> None:
        """What is drawn counts no more: cameras are others now."""
        self.numbers = []


def spread(frames: range) -> list[int]:
    """At most so many of them, the last included."""
    step = -(-len(frames) // _MOST)
    return list(frames[::-1][::step])[::-1]
