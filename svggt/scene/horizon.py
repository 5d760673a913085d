"""The node that all others hang on: it keeps the world level."""

from __future__ import annotations

from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray
from viser import transforms

from svggt.scene.placing import UP, turn

_STEP = 1.0  # degrees; smaller corrections of the horizon are not worth a move


class Horizon:
    """Turns the world so that the cameras' mean up is up.

    Args:
        scene: of the viser server, empty.
    """

    def __init__(self, scene: viser.SceneApi) -> None:
        self.levelling = transforms.SO3.identity()
        self._node = scene.add_frame("/level", show_axes=False)

    def level(self, mean_up: NDArray[Any]) -> None:
        """Follows the cameras' mean up, if that is worth a move."""
        level = turn(mean_up, UP)
        change = level @ self.levelling.inverse()
        if np.degrees(np.linalg.norm(change.log())) > _STEP:
            self._node.wxyz, self.levelling = level.wxyz, level
