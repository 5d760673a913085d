"""A whole run drawn as surfels: once no frame comes, since browsers sort all of them anew."""

from __future__ import annotations

import contextlib

import numpy as np
import viser

from svggt.scene.confirmed_points import ConfirmedPoints
from svggt.scene.surfels import Surfels
from svggt.view_options import Cameras, ViewOptions

MOST_SURFELS = 800_000
"""Of a scene; they are 32 bytes each for a browser."""

_MOST_NODES = 60  # of a longer run every n-th frame is drawn
_OPACITY = 0.95


class SurfelNodes:
    """One node a frame, in the world.

    Args:
        scene: the viser server's scene.
        name: what the nodes' names begin with.
    """

    def __init__(self, scene: viser.SceneApi, name: str) -> None:
        self._scene, self._name = scene, name
        self._drawn: tuple[Cameras, int, bool, bool] | None = None  # by which they are
        self._nodes: dict[int, viser.GaussianSplatHandle] = {}  # by frame

    def flip(self, points: ConfirmedPoints, look: ViewOptions, count: int, moment: int) -> bool:
        """Shows frames up to a moment, drawn if they are wanted and are not there.

        Args:
            points: of the run's frames.
            look: what is shown, and how.
            count: frames of the run; 0 while they come.
            moment: number of the frame shown.

        Returns:
            Whether they take the place of points.
        """
        if look.draw_as == "points" or not count:
            self.clear()
            return False
        wanted = look.cameras, look.confirmed, look.far, look.sky
        if self._drawn != wanted:
            self.clear()
            self._draw(points, look, count)
            self._drawn = wanted
        takes_place = look.show == "all frames"
        for number, node in self._nodes.items():
            if node.visible != (takes_place and number <= moment):
                node.visible = takes_place and number <= moment
        return takes_place

    def clear(self) -> None:
        """Takes them out of the scene."""
        for node in self._nodes.values():
            node.remove()
        self._nodes, self._drawn = {}, None

    def _draw(self, points: ConfirmedPoints, look: ViewOptions, count: int) -> None:
        every = -(-count // _MOST_NODES)
        numbers = range((count - 1) % every, count, every)  # the last is one
        for number in numbers:
            with contextlib.suppress(KeyError, ValueError):  # gone or damaged, as was told
                surfels = points.surfels(number, MOST_SURFELS // len(numbers), look)
                if len(surfels):
                    self._nodes[number] = self._add(number, surfels)

    def _add(self, number: int, surfels: Surfels) -> viser.GaussianSplatHandle:
        # viser's covariances are of 16 bits, which are exact enough about 1: the node's unit is one
        # surfel's width.
        unit = float(np.sqrt(np.median(np.trace(surfels.covariances, axis1=1, axis2=2))))
        return self._scene.add_gaussian_splats(
            f"{self._name}/{number}",
            centers=surfels.centres / unit,
            covariances=surfels.covariances / unit**2,
            rgbs=surfels.colors,
            opacities=np.full((len(surfels), 1), _OPACITY),
            scale=unit,
        )
