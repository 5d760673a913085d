"""Two scenes that are looked at from one camera: whoever turns one turns the other.

A browser that was moved says so, as if its visitor had done it, and a slow one says it seconds
later. So what a scene's browser was told is remembered: the same view, said back, is an echo.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from functools import partial

import viser

from svggt.scene.camera_view import CameraView
from svggt.scene.scene import Scene

_REMEMBERED_SECONDS = 10.0
_SETTLES_SECONDS = 2.0  # a new browser looks elsewhere once more, after its first answer


class Echoes:
    """What a browser was told to look at and may say back."""

    def __init__(self) -> None:
        self._told: deque[tuple[float, CameraView]] = deque(maxlen=256)

    def tell(self, look: CameraView) -> None:
        """Remembers a view that is sent to the browser."""
        self._told.append((time.monotonic(), look))

    def heard(self, look: CameraView) -> bool:
        """Whether what the browser says is an echo; it answers in order, older views go."""
        since = time.monotonic() - _REMEMBERED_SECONDS
        for place, (told, one) in enumerate(self._told):
            if told > since and one.like(look):
                for _ in range(place):
                    self._told.popleft()
                return True
        return False


class CameraSync:
    """Keeps the cameras of two scenes together until they part.

    Args:
        one: a scene.
        other: in the same world.
    """

    def __init__(self, one: Scene, other: Scene) -> None:
        # Callbacks outlive a pair: what they hold must not keep a closed scene.
        self._scenes: tuple[Scene, Scene] | None = (one, other)
        self._echoes = (Echoes(), Echoes())
        self._arrives = [0.0, 0.0]  # until when a new browser's views are not its visitor's
        self._waiting = [False, False]  # to hear where it looks when that is over
        camera = one.eye.camera
        self._look = (
            None if camera is None else CameraView.of(camera).turned(one.levelling.inverse())
        )
        for which, scene in enumerate(self._scenes):
            scene.eye.in_step = True
            scene.eye.on_move(partial(self._arrived, which), partial(self._moved, which))

    def part(self) -> None:
        """Each goes its own way from now on."""
        for scene in self._scenes or ():
            scene.eye.in_step = False
        self._scenes = None

    def _arrived(self, which: int) -> None:
        """Who comes later looks from where both do."""
        if self._look is not None:
            self._arrives[which] = time.monotonic() + _REMEMBERED_SECONDS
            self._tell(which, self._look)

    def _moved(self, which: int, camera: viser.CameraHandle) -> None:
        if self._scenes is None:
            return
        look, now = CameraView.of(camera), time.monotonic()
        if self._echoes[which].heard(look):
            self._arrives[which] = min(self._arrives[which], now + _SETTLES_SECONDS)
        elif now > self._arrives[which]:
            self._look = look.turned(self._scenes[which].levelling.inverse())
            self._tell(1 - which, self._look)
        elif not self._waiting[which]:  # its view when that is over is its visitor's
            self._waiting[which] = True
            loop, seconds = asyncio.get_running_loop(), self._arrives[which] - now
            loop.call_later(seconds, self._arrival_over, which, camera)

    def _arrival_over(self, which: int, camera: viser.CameraHandle) -> None:
        self._waiting[which] = False
        self._moved(which, camera)

    def _tell(self, which: int, look: CameraView) -> None:
        """Turns one of them to a view of the world that both show, before either levels it."""
        if self._scenes is None:
            return
        scene = self._scenes[which]
        turned = look.turned(scene.levelling)
        self._echoes[which].tell(turned)
        scene.eye.look_as(turned)
