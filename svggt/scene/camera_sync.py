"""Two scenes that are looked at from one camera: whoever turns one turns the other.

A browser that was moved says so, as if its visitor had done it, and a slow one says it seconds
later, after views of before. So until a browser has said back the last view that it was told,
whatever it says is of its way there; what it says after that is its visitor's.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from functools import partial

import numpy as np
import viser

from svggt.scene.camera_view import CameraView
from svggt.scene.scene import Scene

_ANSWERS_SECONDS = 10.0  # who has not answered for so long is told once more, then believed
_SETTLES_SECONDS = 2.0  # a new browser looks elsewhere once more, after its first answer


class Follower:
    """A browser, what it was told to look at last, and whether it has said that back.

    Attributes:
        told: the view; None once its visitor has gone elsewhere.
        told_again: it did not answer the first time.
        waits: somebody waits until it has had its time.
    """

    def __init__(self) -> None:
        self.told: CameraView | None = None
        self.told_again = self.waits = False
        self._answered, self._until = False, 0.0  # when what it says is its visitor's
        self._new_until = time.monotonic() + _ANSWERS_SECONDS

    def tell(self, look: CameraView, shown: bool = False) -> None:
        """Remembers the view that is sent to the browser.

        Args:
            look: the view.
            shown: it looks from there already, and will not answer.
        """
        self.told, self._answered = look, shown and not self.seconds_left
        self._until = 0.0 if self._answered else time.monotonic() + _ANSWERS_SECONDS

    def hears(self, look: CameraView) -> bool:
        """Whether what the browser says is of its way to what it was told, or that itself."""
        if self.told is None:
            return False
        if not look.like(self.told):
            return self.seconds_left > 0
        if not self._answered:
            now = time.monotonic()
            self._until = now + _SETTLES_SECONDS if now < self._new_until else now
            self._answered, self.told_again = True, False
        return True

    @property
    def seconds_left(self) -> float:
        """How long it may be on its way still."""
        return max(0.0, self._until - time.monotonic())

    @property
    def is_late(self) -> bool:
        """Whether it should be told again, rather than believed that its visitor moved it."""
        return self.told is not None and not self._answered and not self.told_again


class CameraSync:
    """Keeps the cameras of two scenes together until they part.

    Args:
        one: a scene.
        other: in the same world.
    """

    def __init__(self, one: Scene, other: Scene) -> None:
        # Callbacks outlive a pair: what they hold must not keep a closed scene.
        self._scenes: tuple[Scene, Scene] | None = (one, other)
        self._followers = (
            defaultdict[int, Follower](Follower),
            defaultdict[int, Follower](Follower),
        )
        camera = one.eye.camera
        self._look = (
            None if camera is None else CameraView.of(camera).turned(one.levelling.inverse())
        )
        for which, scene in enumerate(self._scenes):
            scene.eye.in_step = True
            scene.eye.on_move(partial(self._tell, which), partial(self._moved, which))

    def part(self) -> None:
        """Each goes its own way from now on."""
        for scene in self._scenes or ():
            scene.eye.in_step = False
        self._scenes = None

    def _follower(self, which: int, client: viser.ClientHandle) -> Follower:
        return self._followers[which][client.client_id]

    def _moved(self, which: int, client: viser.ClientHandle) -> None:
        scenes, look = self._scenes, CameraView.of(client.camera)
        if scenes is None:
            return
        follower = self._follower(which, client)
        if follower.hears(look):
            if follower.seconds_left and not follower.waits:
                follower.waits = True
                self._wait(which, client)
        elif follower.is_late:
            self._tell_again(which, client)
        else:
            follower.told = None
            self._look = look.turned(scenes[which].levelling.inverse())
            for each in scenes[1 - which].eye.owners:
                self._tell(1 - which, each)

    def _wait(self, which: int, client: viser.ClientHandle) -> None:
        """Looks at a browser once more when it has had its time: it may have fallen silent."""
        seconds = self._follower(which, client).seconds_left
        asyncio.get_running_loop().call_later(seconds, self._waited, which, client)

    def _waited(self, which: int, client: viser.ClientHandle) -> None:
        scenes, follower = self._scenes, self._follower(which, client)
        if scenes is None or client not in scenes[which].eye.owners:  # it has gone
            return
        if follower.seconds_left:  # it was told of another view meanwhile, or settles
            self._wait(which, client)
            return
        follower.waits = False
        if follower.told is None or CameraView.of(client.camera).like(follower.told):
            return
        if follower.told_again:
            self._moved(which, client)
        else:
            self._tell_again(which, client)

    def _tell_again(self, which: int, client: viser.ClientHandle) -> None:
        self._follower(which, client).told_again = True
        self._tell(which, client)

    def _tell(self, which: int, client: viser.ClientHandle) -> None:
        """Turns a browser to the view of the world that both show, before either levels it."""
        scenes, look = self._scenes, self._look
        if scenes is None or look is None:
            return
        turned, camera = look.turned(scenes[which].levelling), client.camera
        # viser sends nothing where its browser is said to be already.
        shown = np.allclose(camera.position, turned.position) and np.allclose(
            camera.look_at, turned.target
        )
        self._follower(which, client).tell(turned, shown)
        scenes[which].eye.look_as(client, turned)
