"""Two scenes that are looked at from one camera: whoever turns one turns the other.

A browser that was moved says so, as if its visitor had done it, and a slow one says it seconds
later, after views of before. So until a browser has said back the last view that it was told,
whatever it says is of its way there; what it says after that is its visitor's.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

import viser

from svggt.scene.camera_view import CameraView
from svggt.scene.scene import Scene

_ANSWERS_SECONDS = 10.0  # who has said nothing back for so long was moved on the way
_SETTLES_SECONDS = 2.0  # a new browser looks elsewhere once more, after its first answer


class Follower:
    """What a browser was told to look at and has not said back yet."""

    def __init__(self) -> None:
        self._told: CameraView | None = None
        self._until = 0.0  # when what it says is its visitor's, whatever it was told
        self._is_new = False

    def tell(self, look: CameraView, is_new: bool = False) -> None:
        """Remembers the view that is sent to the browser: the last one, for now.

        Args:
            look: the view.
            is_new: the browser has just come.
        """
        self._told, self._is_new = look, is_new
        self._until = time.monotonic() + _ANSWERS_SECONDS

    def hears(self, look: CameraView) -> bool:
        """Whether what the browser says is of its way to what it was told."""
        if self._told is None or not self.seconds_left:
            return False
        if look.like(self._told):
            if self._is_new:
                self._until = min(self._until, time.monotonic() + _SETTLES_SECONDS)
            else:
                self._told, self._until = None, 0.0
            self._is_new = False
        return True

    @property
    def seconds_left(self) -> float:
        """How long it may be on its way still."""
        return max(0.0, self._until - time.monotonic())


class CameraSync:
    """Keeps the cameras of two scenes together until they part.

    Args:
        one: a scene.
        other: in the same world.
    """

    def __init__(self, one: Scene, other: Scene) -> None:
        # Callbacks outlive a pair: what they hold must not keep a closed scene.
        self._scenes: tuple[Scene, Scene] | None = (one, other)
        self._followers = (Follower(), Follower())
        self._waiting = [False, False]  # to hear where it looks when it has had its time
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
            self._tell(which, self._look, is_new=True)

    def _moved(self, which: int, camera: viser.CameraHandle) -> None:
        if self._scenes is None:
            return
        look = CameraView.of(camera)
        if not self._followers[which].hears(look):
            self._look = look.turned(self._scenes[which].levelling.inverse())
            self._tell(1 - which, self._look)
        elif not self._waiting[which]:
            self._waiting[which] = True
            self._wait(which, camera)

    def _wait(self, which: int, camera: viser.CameraHandle) -> None:
        """Hears a browser once more when it has had its time: it may have fallen silent."""
        seconds = self._followers[which].seconds_left
        asyncio.get_running_loop().call_later(seconds, self._waited, which, camera)

    def _waited(self, which: int, camera: viser.CameraHandle) -> None:
        if self._followers[which].seconds_left > 0:  # it was told again, or answered and settles
            self._wait(which, camera)
            return
        self._waiting[which] = False
        if self._scenes is None or self._look is None:
            return
        shared = self._look.turned(self._scenes[which].levelling)
        if not CameraView.of(camera).like(shared):  # its visitor's
            self._moved(which, camera)

    def _tell(self, which: int, look: CameraView, is_new: bool = False) -> None:
        """Turns one of them to a view of the world that both show, before either levels it."""
        if self._scenes is None:
            return
        scene = self._scenes[which]
        turned = look.turned(scene.levelling)
        self._followers[which].tell(turned, is_new)
        scene.eye.look_as(turned)
