"""What is around a scene: a dark backdrop, on which points of any colour are seen, and a floor."""

from __future__ import annotations

import math

import numpy as np
import viser

_ABOVE, _BELOW = (44, 52, 66), (14, 17, 23)  # of the backdrop
_ROWS, _COLUMNS = 256, 2  # of its picture, which is stretched to the view

_LINES = 8.0  # from the middle to where it ends, about
_ENDS = 3.0  # times the scene's reach
_CELL, _SECTION = (52, 61, 77), (74, 86, 106)
_MOVED = 0.02  # of the reach; less is not worth a message


class Surroundings:
    """A gradient behind all, and under it a level grid that fades away.

    Args:
        scene: the viser server's scene, empty, whose root is level.
        grid: whether the grid is shown at first.
    """

    def __init__(self, scene: viser.SceneApi, grid: bool) -> None:
        column = np.linspace(_ABOVE, _BELOW, _ROWS).round().astype(np.uint8)
        backdrop = np.repeat(column[:, None], _COLUMNS, axis=1)
        scene.set_background_image(backdrop, format="png")
        self._scene, self._visible = scene, grid
        self._height, self._reach = math.inf, 0.0
        self._grid: viser.GridHandle | None = None

    def lie(self, height: float, reach: float) -> None:
        """The grid lies under what was seen.

        Args:
            height: along y, which points down.
            reach: of the scene around its middle, in its unit; decides the cells.
        """
        moved = max(abs(height - self._height), abs(reach - self._reach))
        if moved < _MOVED * reach:
            return
        self._height, self._reach = height, reach
        cell = 2.0 ** round(math.log2(reach / _LINES))
        self._grid = self._scene.add_grid(
            "/floor",
            plane="xz",
            position=(0.0, height, 0.0),
            cell_size=cell,
            section_size=4 * cell,
            cell_color=_CELL,
            section_color=_SECTION,
            cell_thickness=0.6,
            section_thickness=1.0,
            infinite_grid=True,
            fade_distance=_ENDS * reach,
            shadow_opacity=0.0,
            visible=self._visible,
        )

    def show(self, visible: bool) -> None:
        """Flips the grid."""
        self._visible = visible
        if self._grid is not None:
            self._grid.visible = visible
