"""The way that the camera went, coloured by how far it can be trusted."""

from __future__ import annotations

import numpy as np
import viser

from svggt.scene.frame_poses import FramePoses
from svggt.view_options import Cameras

_HEAD = (220, 90, 30)
_TRUST = {
    "tracked": (40, 150, 90),
    "recovered": (40, 120, 160),
    "weak": (230, 160, 30),
    "lost": (200, 40, 40),
}


class Trajectory:
    """One line through the cameras.

    Args:
        scene: the viser server's scene.
        name: the node's name.
        visible: at first.
    """

    def __init__(self, scene: viser.SceneApi, name: str, visible: bool) -> None:
        self._line = scene.add_line_segments(
            name,
            points=np.zeros((0, 2, 3), np.float32),
            colors=np.zeros((0, 2, 3), np.uint8),
            thickness=1.5,
            thickness_units="screen",
            visible=visible,
        )

    def show(self, visible: bool) -> None:
        """Flips it."""
        self._line.visible = visible

    def draw(self, placings: list[FramePoses], cameras: Cameras) -> None:
        """Through frames, by the cameras wanted."""
        path = np.array([p.pose(cameras)[:, 3] for p in placings], np.float32)
        colours = np.array([_colour(p, cameras) for p in placings[1:]], np.uint8)
        self._line.points = np.stack([path[:-1], path[1:]], axis=1)
        self._line.colors = np.repeat(colours.reshape(-1, 1, 3), 2, axis=1)


def _colour(placing: FramePoses, cameras: Cameras) -> tuple[int, int, int]:
    """Of the way to a frame."""
    if cameras == "head" or placing.correction is None:
        return _HEAD
    return _TRUST[placing.correction.status]
