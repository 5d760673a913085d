"""A whole run drawn as surfels: once no frame comes, since browsers sort all of them anew."""

from __future__ import annotations

import numpy as np
import viser

from svggt.scene.confirmed_points import ConfirmedPoints
from svggt.scene.surfels import Surfels
from svggt.view_options import ViewOptions

MOST_SURFELS = 800_000
"""Of a scene; they are 32 bytes each for a browser."""

_MOST_NODES = 60  # of a longer run frames are drawn that lie as far from each other
_OPACITY = 0.95
_WIDEST = 100.0  # times the median: what is wider does not fit 16 bits


class SurfelNodes:
    """One node a frame, in the world.

    Args:
        scene: the viser server's scene.
        name: what the nodes' names begin with.
    """

    def __init__(self, scene: viser.SceneApi, name: str) -> None:
        self._scene, self._name = scene, name
        self._drawn: tuple[object, ...] | None = None  # by which flags they are
        self._nodes: dict[int, viser.GaussianSplatHandle] = {}  # by frame

    def draw(self, points: ConfirmedPoints, count: int, look: ViewOptions) -> None:
        """Draws them, hidden, unless they are there; takes seconds. Unwanted, they go.

        Args:
            points: of the run's frames.
            count: frames of the run.
            look: what is shown, and how.
        """
        if look.draw_as == "points":
            self.clear()
        wanted = look.cameras, look.confirmed, look.far, look.sky
        if not _are_wanted(look) or self._drawn == wanted or not count:
            return
        numbers = np.unique(np.linspace(0, count - 1, min(count, _MOST_NODES)).round().astype(int))
        made = list(points.surfels(numbers.tolist(), MOST_SURFELS, look))
        self.clear()  # not before: the view must not go blank meanwhile
        self._nodes = {number: self._add(number, surfels) for number, surfels in made}
        self._drawn = wanted

    def show(self, moment: int, look: ViewOptions) -> bool:
        """Shows frames up to a moment; whether any of them takes the points' place."""
        last = moment if _are_wanted(look) else -1
        for number, node in self._nodes.items():
            if node.visible != (number <= last):
                node.visible = number <= last
        return any(number <= last for number in self._nodes)

    def clear(self) -> None:
        """Takes them out of the scene."""
        for node in self._nodes.values():
            node.remove()
        self._nodes, self._drawn = {}, None

    def _add(self, number: int, surfels: Surfels) -> viser.GaussianSplatHandle:
        # viser's covariances are of 16 bits, which are exact enough about 1: the node's unit is one
        # surfel's width. What is much wider (hills behind a room) is narrowed.
        widths = np.sqrt(np.trace(surfels.covariances, axis1=1, axis2=2))
        unit = float(np.median(widths))
        narrowed = np.minimum(1, _WIDEST * unit / widths) / unit
        return self._scene.add_gaussian_splats(
            f"{self._name}/{number}",
            centers=surfels.centres / unit,
            covariances=surfels.covariances * narrowed[:, None, None] ** 2,
            rgbs=surfels.colors,
            opacities=np.full((len(surfels), 1), _OPACITY),
            scale=unit,
            visible=False,
        )


def _are_wanted(look: ViewOptions) -> bool:
    return look.draw_as == "surfels" and look.show == "all frames"
