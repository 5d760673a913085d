"""Browsers that are taken along, until their visitor moves them.

A browser says where it looks, also where it was told to, and a slow one seconds later. So all views
that it was told lately are remembered: whoever looks from elsewhere was moved by hand. Only the
position says so: viser sets one part of a camera after the other, and what a browser says may come
in between, so that a position and a target may be of two views.

A browser that has just come looks from viser's own places first, for seconds on a slow machine, and
then goes where new ones begin, whatever it was told meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import viser
from numpy.typing import NDArray

from svggt.scene.camera_view import CameraView

Array = NDArray[Any]

_STEPS = 12  # of a flight
_SECONDS = 0.8
_REMEMBERED = 256  # views of one browser: of many flights
_LATE_SECONDS = 30.0  # after which no browser says any more that it is where it was told to be


@dataclass
class _Guided:
    """What one browser was told.

    Attributes:
        told: views with the times when, the newest last.
        target: of the flight under way.
        chosen: its visitor chose where it looks from: it is not taken along.
        has_begun: it has said that it is where it was told to be, or where new ones begin.
        has_come: it has said that it is where new ones begin; nothing else moves it from then on.
    """

    told: deque[tuple[float, CameraView]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    target: CameraView | None = None
    chosen: bool = False
    has_begun: bool = False
    has_come: bool = False

    def tell(self, view: CameraView) -> None:
        """Remembers that it was told to look from there."""
        self.told.append((time.monotonic(), view))

    def told_lately(self) -> list[CameraView]:
        """What it may still say that it was told."""
        begin = time.monotonic() - _LATE_SECONDS
        return [view for when, view in self.told if when > begin]

    def was_told(self, position: Array) -> bool:
        """Whether it was told to be at a position (3,): last, or not long ago."""
        last = [view for _, view in list(self.told)[-1:]]
        return any(view.from_where(position) for view in (*last, *self.told_lately()))

    def is_unmoved(self, position: Array) -> bool:
        """Whether it is at a position because it was told to, not because its visitor chose."""
        return self.has_begun and not self.chosen and self.was_told(position)


class GuidedViews:
    """What each browser was told to look at."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = deque[CameraView](maxlen=_REMEMBERED)  # views that new ones begin at
        self._browsers: dict[int, _Guided] = {}

    def begin_at(self, view: CameraView) -> None:
        """Says where new browsers look from, and those that have not come yet."""
        with self._lock:
            self._begun.append(view)

    def arrive(self, client: viser.ClientHandle) -> None:
        """A browser came."""
        with self._lock:
            self._browsers[client.client_id] = _Guided()

    def leave(self, client: viser.ClientHandle) -> None:
        """A browser went."""
        with self._lock:
            guided = self._browsers.pop(client.client_id, None)
            if guided is not None:
                guided.target = None

    def hear(self, client: viser.ClientHandle, position: Array) -> None:
        """A browser says that it is at a position (3,); what it was told before it came holds."""
        with self._lock:
            guided = self._browsers.get(client.client_id)
            if guided is None or guided.has_come:
                return
            begun = next((view for view in self._begun if view.from_where(position)), None)
            guided.has_begun |= begun is not None or guided.was_told(position)
            if begun is None:
                return
            guided.has_come, early = True, guided.told_lately()
            guided.tell(begun)
            if early:
                guided.tell(early[-1])
                _send(client, early[-1])

    def is_unmoved(self, client: viser.ClientHandle) -> bool:
        """Whether it looks from where it was told to, not where its visitor chose."""
        position = client.camera.position  # what the browser says next may come in between
        with self._lock:
            guided = self._browsers.get(client.client_id)
            return guided is not None and guided.is_unmoved(position)

    def put(
        self,
        client: viser.ClientHandle,
        view: CameraView,
        chosen: bool = False,
        unmoved: bool = False,
    ) -> None:
        """Puts a browser there at once.

        Args:
            client: the browser.
            view: where it looks from.
            chosen: by its visitor: it is not taken along from there.
            unmoved: only if it still is.
        """
        position = client.camera.position
        with self._lock:
            guided = self._browsers.get(client.client_id)
            if guided is not None:  # else it is about to come, or has gone
                if unmoved and not guided.is_unmoved(position):
                    return
                guided.target, guided.chosen = None, chosen
                guided.tell(view)
            _send(client, view)

    def fly(self, client: viser.ClientHandle, target: CameraView) -> None:
        """Takes a browser there step by step, or at once as it begins; who moves it ends that."""
        start = CameraView.of(client.camera)
        with self._lock:
            guided = self._browsers.get(client.client_id)
            if guided is None:
                return
            flies = guided.has_begun
            if flies:
                guided.target, guided.chosen = target, False
                guided.tell(start)
        if not flies:
            self.put(client, target)
            return
        steps = (client, guided, start, target)
        threading.Thread(target=self._step, args=steps, daemon=True).start()

    def _step(
        self, client: viser.ClientHandle, guided: _Guided, start: CameraView, target: CameraView
    ) -> None:
        for step in range(1, _STEPS + 1):
            with self._lock:
                if guided.target is not target or not guided.was_told(client.camera.position):
                    return
                way = step / _STEPS
                view = start.towards(target, way * way * (3 - 2 * way))
                guided.tell(view)
                _send(client, view)
            time.sleep(_SECONDS / _STEPS)


def _send(client: viser.ClientHandle, view: CameraView) -> None:
    with client.atomic():
        camera = client.camera
        camera.fov, camera.up_direction = float(view.fov), view.up
        camera.position, camera.look_at = view.position, view.target
