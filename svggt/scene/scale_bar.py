"""A bar on the floor before a scene, and how long it is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray

from svggt.scene.frame_poses import UP
from svggt.scene.overview import Overview

Array = NDArray[Any]

_COLOUR = (176, 186, 204)
_SHARE = 0.5  # of the scene's reach that it has at most
_TICK = 0.06  # of its length, half of the stroke at either end
_LETTERS = 1.2  # times viser's own
_ASPECTS = (0.6, 2.2)  # of a phone's window and a desktop's
_UNCOVERED = np.array([[-0.85, -0.5], [0.85, 0.4]])  # of them, where no controls lie
_RINGS, _ANGLES = (0.4, 0.7, 1.0), 16  # places about the middle, in the scene's reach
_LOOKED_AT = 500  # points of the scene that may cover it
_NICE = (1.0, 2.0, 5.0)
_SMALL = ((1000.0, "km"), (1.0, "m"), (0.01, "cm"), (0.001, "mm"))  # metres of each


class ScaleBar:
    """Its length is a round number of metres; of the scene's own unit where nobody measured.

    Args:
        scene: the viser server's scene, whose root is level.
        name: the node's name.
        visible: whether it is shown at first.
    """

    def __init__(self, scene: viser.SceneApi, name: str, visible: bool) -> None:
        self._scene, self._name, self._visible = scene, name, visible
        self._nodes: list[viser.SceneNodeHandle] = []

    def lie(self, whole: Overview, metres: float | None) -> None:
        """Lies where it is seen from the overview, and little of the scene is before it.

        Args:
            whole: of the scene.
            metres: that the scene's unit is; None: nobody knows.
        """
        length, text = round_length(_SHARE * whole.reach, metres)
        half = length / 2 * whole.across
        middle = free_place(whole, half)
        ends = np.stack([middle - half, middle + half])
        tick = _TICK * length * np.cross(whole.across, UP)
        strokes = np.stack([ends, *([end - tick, end + tick] for end in ends)])
        line = self._scene.add_line_segments(
            self._name,
            strokes.astype(np.float32),
            _COLOUR,
            thickness=2.0,
            thickness_units="screen",
            visible=self._visible,
        )
        label = self._scene.add_label(
            f"{self._name}/length",
            text,
            position=middle,
            anchor="top-center",
            font_screen_scale=_LETTERS,
            visible=self._visible,
        )
        self._nodes = [line, label]

    def show(self, visible: bool) -> None:
        """Flips it."""
        self._visible = visible
        for node in self._nodes:
            node.visible = visible


def free_place(whole: Overview, half: Array) -> Array:
    """(3,) on the floor about a scene's middle, for the middle of a bar.

    Args:
        whole: of the scene.
        half: (3,) from the bar's middle to its end.
    """
    angle = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    around = np.stack([np.cos(angle), np.zeros_like(angle), np.sin(angle)], axis=1)
    places = whole.middle + whole.reach * np.concatenate([ring * around for ring in _RINGS])
    places = np.where(UP == 0, places, whole.floor)
    bars = np.stack([places - half, places, places + half])
    seen = whole.seen[:: -(-len(whole.seen) // _LOOKED_AT)]
    # Best is what lies farthest from the scene in all windows; what sticks out of one is worse.
    free = np.full(len(places), np.inf)
    for aspect in _ASPECTS:
        view = whole.seen_by(aspect)
        bar, points = (view.in_window(each, aspect) for each in (bars, seen))
        out = np.maximum(_UNCOVERED[0] - bar, bar - _UNCOVERED[1]).max(axis=(0, 2))
        apart = (bar[:, :, None] - points) * (aspect, 1.0)
        near = np.linalg.norm(apart, axis=-1).min(axis=(0, 2))
        free = np.minimum(free, np.where(out > 0, -out, near))
    return places[free.argmax()]


def round_length(most: float, metres: float | None) -> tuple[float, str]:
    """The longest round length: 1, 2 or 5 times a power of ten.

    Args:
        most: that it may have, in the scene's unit.
        metres: that this unit is; None: nobody knows.

    Returns:
        It in the scene's unit, and as a text with its own.
    """
    known = metres or 1.0
    longest = most * known
    decade = 10.0 ** math.floor(math.log10(longest))
    length = max(n * decade for n in _NICE if n * decade <= longest * (1 + 1e-9))
    if metres is None:
        return length, f"{length:g} unit" + ("" if length == 1 else "s")
    size, name = next((s for s in _SMALL if length > s[0] * (1 - 1e-9)), _SMALL[-1])
    return length / known, f"{length / size:g} {name}"
