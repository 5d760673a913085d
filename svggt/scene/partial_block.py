"""Frames of a block that is shown in part: they are read again from where they are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from svggt.prediction import FramePrediction
from svggt.scene.clouds import Cloud, banded
from svggt.scene.confidence_layers import ConfidenceLayers
from svggt.scene.frame_poses import FramePoses
from svggt.view_options import Cameras

_MOST = 8  # frames that are read


class Frames(Protocol):
    """Where a scene reads frames again: an archive, or what shows one otherwise."""

    def load(self, number: int) -> FramePrediction:
        """A frame; KeyError where there is none of that number."""
        ...


class PartialBlock:
    """The frames drawn so, under one node.

    Args:
        bands: the node's layers, empty.
    """

    def __init__(self, bands: ConfidenceLayers) -> None:
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


def in_world(
    prediction: FramePrediction, placing: FramePoses, stride: int, cameras: Cameras
) -> list[Cloud]:
    """A frame's bands as it stands now, in the world."""
    clouds = banded(prediction, stride, placing.correction)
    pose, stretch = placing.pose(cameras), placing.now().stretch(cameras)
    return [cloud.moved(pose, stretch) for cloud in clouds]


def spread(frames: range) -> list[int]:
    """At most so many of them, the last included."""
    step = -(-len(frames) // _MOST)
    return list(frames[::-1][::step])[::-1]
