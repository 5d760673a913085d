"""Two points that a visitor clicked, and the line between them."""

from __future__ import annotations

import numpy as np
import viser

from svggt.scene.frame_poses import Point
from svggt.view_options import Cameras

_COLOUR = (220, 30, 120)
_SIZE = 0.01  # of what the scene looks at


class Marks:
    """At most two, the last ones.

    Args:
        scene: the viser server's scene.
        name: the node's name.
    """

    def __init__(self, scene: viser.SceneApi, name: str) -> None:
        self._scene, self._name = scene, name
        self._points: tuple[Point, ...] = ()
        self._cameras: Cameras = "refined"

    def by(self, cameras: Cameras) -> tuple[Point, ...]:
        """Those in the world of some cameras; others' have another scale."""
        return self._points if cameras == self._cameras else ()

    def add(self, point: Point, distance: float, cameras: Cameras) -> None:
        """After the last one, unless there were two, or it was in another world.

        Args:
            point: in the world,
            distance: to what is looked at, in the scene's unit,
            cameras: and whose world that is.
        """
        last = self.by(cameras)
        self._points = (*last, point) if len(last) == 1 else (point,)
        self._cameras = cameras
        ends = np.array([self._points[0], self._points[-1]], np.float32)
        self._scene.add_line_segments(
            self._name, ends[None], _COLOUR, thickness=3.0, thickness_units="screen"
        )
        self._scene.add_point_cloud(
            f"{self._name}/ends", ends, _COLOUR, point_size=_SIZE * distance
        )
