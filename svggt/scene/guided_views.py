"""Browsers that are taken along, until their visitor moves them.

A browser says where it looks, also where it was told to, and a slow one seconds later. So all views
that it was told lately are remembered: whoever looks from elsewhere was moved by hand.
"""

from __future__ import annotations

import threading
import time
from collections import deque

import viser

from svggt.scene.camera_view import CameraView

_STEPS = 12  # of a flight
_SECONDS = 0.8
_REMEMBERED = 64  # views of one browser: of several flights


class GuidedViews:
    """What each browser was told to look at."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun: deque[CameraView] = deque(maxlen=_REMEMBERED)  # views that new ones begin at
        self._told: dict[int, deque[CameraView]] = {}
        self._targets: dict[int, CameraView] = {}  # of flights under way

    def begin_at(self, view: CameraView) -> None:
        """Says where new browsers look from."""
        self._begun.append(view)

    def arrive(self, client: viser.ClientHandle) -> None:
        """A browser came, which loaded one of the first views."""
        with self._lock:
            self._told[client.client_id] = deque(self._begun, _REMEMBERED)

    def leave(self, client: viser.ClientHandle) -> None:
        """A browser went."""
        with self._lock:
            self._told.pop(client.client_id, None)
            self._targets.pop(client.client_id, None)

    def is_unmoved(self, client: viser.ClientHandle) -> bool:
        """Whether a browser looks from where it was told to."""
        now = CameraView.of(client.camera)
        with self._lock:
            return any(view.like(now) for view in self._told.get(client.client_id, ()))

    def put(self, client: viser.ClientHandle, view: CameraView, chosen: bool = False) -> None:
        """Puts a browser there at once.

        Args:
            client: the browser.
            view: where it looks from.
            chosen: by its visitor: it is not taken along from there.
        """
        with self._lock:
            self._targets.pop(client.client_id, None)
            self._told[client.client_id] = deque([] if chosen else [view], _REMEMBERED)
            _send(client, view)

    def fly(self, client: viser.ClientHandle, target: CameraView) -> None:
        """Takes a browser there step by step; whoever moves it ends that."""
        start = CameraView.of(client.camera)
        with self._lock:
            told = self._told.setdefault(client.client_id, deque(maxlen=_REMEMBERED))
            told.append(start)
            self._targets[client.client_id] = target
        flight = threading.Thread(target=self._step, args=(client, start, target), daemon=True)
        flight.start()

    def _step(self, client: viser.ClientHandle, start: CameraView, target: CameraView) -> None:
        for step in range(1, _STEPS + 1):
            moved = not self.is_unmoved(client)
            with self._lock:
                if moved or self._targets.get(client.client_id) is not target:
                    return
                way = step / _STEPS
                view = start.towards(target, way * way * (3 - 2 * way))
                self._told[client.client_id].append(view)
                _send(client, view)
            time.sleep(_SECONDS / _STEPS)


def _send(client: viser.ClientHandle, view: CameraView) -> None:
    with client.atomic():
        camera = client.camera
        camera.fov, camera.up_direction = float(view.fov), view.up
        camera.position, camera.look_at = view.position, view.target
