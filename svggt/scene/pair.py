"""Two scenes that are looked at from one camera: whoever turns one turns the other.

A browser that is moved says so, as if its visitor had done it: the scene that was moved last by
hand leads for a moment, and what the other one says meanwhile is an echo.
"""

from __future__ import annotations

import time
from functools import partial

import viser

from svggt.scene.scene import Scene

_LEADS_SECONDS = 0.5
_ARRIVES_SECONDS = 2.0  # until a new browser looks from where it was put


class Pair:
    """Keeps the cameras of two scenes together until they part.

    Args:
        one: a scene.
        other: in the same world.
    """

    def __init__(self, one: Scene, other: Scene) -> None:
        self._leader: Scene | None = None
        self._since = 0.0
        self._parted = False
        for scene, its_other in ((one, other), (other, one)):
            scene.eye.on_move(
                partial(self._arrived, scene, its_other), partial(self._moved, scene, its_other)
            )

    def part(self) -> None:
        """Each goes its own way from now on."""
        self._parted = True

    def _arrived(self, scene: Scene, other: Scene) -> None:
        """Who comes later looks from where the other one does."""
        camera = other.eye.camera
        if self._parted or camera is None:
            return
        self._leader, self._since = other, time.monotonic() + _ARRIVES_SECONDS
        scene.eye.look_as(camera, scene.levelling @ other.levelling.inverse())

    def _moved(self, scene: Scene, other: Scene, camera: viser.CameraHandle) -> None:
        now = time.monotonic()
        follows = self._leader is not scene and now - self._since < _LEADS_SECONDS
        if self._parted or follows:
            return
        self._leader, self._since = scene, now
        other.eye.look_as(camera, other.levelling @ scene.levelling.inverse())
