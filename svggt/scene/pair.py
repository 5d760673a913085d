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
        # Callbacks outlive a pair: what they hold must not keep a closed scene.
        self._scenes: tuple[Scene, Scene] | None = (one, other)
        self._leader: int | None = None
        self._since = 0.0
        for which, scene in enumerate(self._scenes):
            scene.eye.on_move(partial(self._arrived, which), partial(self._moved, which))

    def part(self) -> None:
        """Each goes its own way from now on."""
        self._scenes = None

    def _arrived(self, which: int) -> None:
        """Who comes later looks from where the other one does."""
        if self._scenes is None:
            return
        camera = self._scenes[1 - which].eye.camera
        if camera is not None:
            self._leader, self._since = 1 - which, time.monotonic() + _ARRIVES_SECONDS
            self._follow(which, camera)

    def _moved(self, which: int, camera: viser.CameraHandle) -> None:
        now = time.monotonic()
        follows = self._leader != which and now - self._since < _LEADS_SECONDS
        if not follows:
            self._leader, self._since = which, now
            self._follow(1 - which, camera)

    def _follow(self, which: int, camera: viser.CameraHandle) -> None:
        """Turns one of them to where the other's browser looks from."""
        if self._scenes is not None:
            scene, leader = self._scenes[which], self._scenes[1 - which]
            scene.eye.look_as(camera, scene.levelling @ leader.levelling.inverse())
