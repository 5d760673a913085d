"""What is around a scene: a dark backdrop, on which points of any colour are seen, and a floor
with a scale bar."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import viser

from svggt.scene.overview import Overview
from svggt.scene.scale_bar import ScaleBar
from svggt.view_options import Cameras

_ABOVE, _BELOW = (44, 52, 66), (14, 17, 23)  # of the backdrop
_ROWS, _COLUMNS = 256, 2  # of its picture, which is stretched to the view

_LINES = 8.0  # from the middle to where it ends, about
_ENDS = 3.0  # times the scene's reach
_CELL, _SECTION = (52, 61, 77), (74, 86, 106)
_MOVED = 0.02  # of the reach; less is not worth a message
_TURNED = 0.98  # cosine of the side that it is looked at from; likewise


class Surroundings:
    """A gradient behind all, and under it a level grid that fades away, with a scale bar.

    Args:
        scene: the viser server's scene, empty, whose root is level.
        floor: whether the grid and the bar are shown at first.
    """

    def __init__(self, scene: viser.SceneApi, floor: bool) -> None:
        column = np.linspace(_ABOVE, _BELOW, _ROWS).round().astype(np.uint8)
        backdrop = np.repeat(column[:, None], _COLUMNS, axis=1)
        scene.set_background_image(backdrop, format="png")
        self._scene, self._visible = scene, floor
        self._lock = threading.Lock()  # a run adds while its visitor measures
        self._grid: viser.GridHandle | None = None
        self._bar = ScaleBar(scene, "/scale", floor)
        self._lies: tuple[Overview, Cameras] | None = None
        self._metres: Mapping[Cameras, float] = MappingProxyType({})

    def lie(self, whole: Overview, cameras: Cameras) -> None:
        """The floor lies under what was seen; its cells and the bar are as large as that asks for.

        Args:
            whole: of the scene.
            cameras: which are shown.
        """
        with self._lock:
            if self._lies is not None and self._lies[1] == cameras and _alike(self._lies[0], whole):
                return
            self._lies = whole, cameras
            self._draw_grid(whole.floor, whole.reach)
            self._bar.lie(whole, self._metres.get(cameras))

    def measure_in(self, metres: Mapping[Cameras, float]) -> None:
        """Says how many metres the scene's unit is, by the cameras it was measured with."""
        with self._lock:
            self._metres = metres
            if self._lies is not None:
                whole, cameras = self._lies
                self._bar.lie(whole, metres.get(cameras))

    def show(self, visible: bool) -> None:
        """Flips grid and bar."""
        self._visible = visible
        self._bar.show(visible)
        if self._grid is not None:
            self._grid.visible = visible

    def _draw_grid(self, height: float, reach: float) -> None:
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


def _alike(before: Overview, now: Overview) -> bool:
    """Whether a floor that was drawn for one overview does for another."""
    moved = max(abs(now.floor - before.floor), abs(now.reach - before.reach))
    moved = max(moved, float(np.abs(now.middle - before.middle).max()))
    return moved < _MOVED * now.reach and float(now.away @ before.away) > _TURNED
