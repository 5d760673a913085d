"""Two points that a visitor clicked, the line between them, and how long it is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import viser
from numpy.typing import NDArray

from svggt.scene.frame_poses import Point
from svggt.view_options import Cameras

_COLOUR = (220, 30, 120)
_LETTERS = 1.5  # times viser's own
_NEARER = 0.04  # of the way to the eye
_SIZE = 0.02  # of the distance to what the scene looks at


class Marks:
    """At most two, the last ones, in the world of the cameras that they were clicked by.

    Args:
        scene: the viser server's scene.
        name: the node's name.
        shown: the cameras shown.
    """

    def __init__(self, scene: viser.SceneApi, name: str, shown: Cameras) -> None:
        self._scene, self._name = scene, name
        self._shown: Cameras = shown
        self._cameras: Cameras = shown
        self._points: tuple[Point, ...] = ()
        self._drawn = np.zeros(3), np.zeros(3)  # the line's ends
        self._nodes: list[viser.SceneNodeHandle] = []
        self._label: viser.LabelHandle | None = None

    @property
    def points(self) -> tuple[Point, ...]:
        """Those of the cameras shown; other cameras' world has another scale."""
        return self._points if self._cameras == self._shown else ()

    @property
    def distance(self) -> float | None:
        """Between them, in the scene's unit; None while there is one."""
        return distance_of(self.points)

    @property
    def cameras(self) -> Cameras:
        """In whose world they lie."""
        return self._cameras

    def add(self, point: Point, eye: NDArray[np.float64], distance: float) -> None:
        """After the last one, unless there were two, or it was in another world.

        Args:
            point: in the world of the cameras shown.
            eye: (3,) the camera that saw it: a mark is drawn a little nearer to that, else points
                around it would cover it.
            distance: to what is looked at, in the scene's unit.
        """
        drawn = np.asarray(point) + _NEARER * (eye - point)
        if len(self.points) == 1:
            self._points, self._drawn = (*self._points, point), (self._drawn[0], drawn)
        else:
            self._points, self._drawn = (point,), (drawn, drawn)
        self._cameras = self._shown
        ends = np.array(self._drawn, np.float32)
        line = self._scene.add_line_segments(
            self._name, ends[None], _COLOUR, thickness=3.0, thickness_units="screen"
        )
        balls = self._scene.add_point_cloud(
            f"{self._name}/ends", ends, _COLOUR, point_size=_SIZE * distance, point_shape="circle"
        )
        if self._label is not None:
            self._label.remove()
        self._nodes, self._label = [line, balls], None

    def label(self, text: str) -> None:
        """Writes something at the middle of the line; nothing while there is one point."""
        if len(self.points) < 2:
            return
        if self._label is None:
            middle = np.mean(self._drawn, axis=0)
            self._label = self._scene.add_label(
                f"{self._name}/length",
                text,
                position=middle,
                anchor="bottom-center",
                font_screen_scale=_LETTERS,
            )
            self._nodes.append(self._label)
        self._label.text = text

    def show(self, cameras: Cameras) -> None:
        """Other cameras are shown: what was marked by others' is hidden."""
        self._shown = cameras
        for node in self._nodes:
            node.visible = cameras == self._cameras


def distance_of(marks: Sequence[Point]) -> float | None:
    """Between two marks, in their world's unit; None where there are not two."""
    return math.dist(*marks) if len(marks) == 2 else None
