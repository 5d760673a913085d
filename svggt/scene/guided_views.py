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
from collections.abc import Iterable
from dataclasses import dataclass

import viser

from svggt.scene.camera_view import CameraView

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
        has_begun: it has said that it is where new ones begin, or elsewhere it was told to be.
        early: where it was put before that.
    """

    told: deque[tuple[float, CameraView]]
    target: CameraView | None = None
    chosen: bool = False
    has_begun: bool = False
    early: CameraView | None = None

    @classmethod
    def by(cls, begun: Iterable[CameraView]) -> _Guided:
        """One that has loaded one of several views."""
        now = time.monotonic()
        return cls(deque(((now, view) for view in begun), maxlen=_REMEMBERED))

    def tell(self, view: CameraView) -> None:
        """Remembers that it was told to look from there."""
        self.told.append((time.monotonic(), view))

    def was_told(self, camera: viser.CameraHandle) -> bool:
        """Whether it was told to be where it is: last, or not long ago."""
        position = camera.position  # what the browser says next may come in between
        begin, newest = time.monotonic() - _LATE_SECONDS, len(self.told) - 1
        lately = (view for n, (when, view) in enumerate(self.told) if n == newest or when > begin)
        return any(view.from_where(position) for view in lately)


class GuidedViews:
    """What each browser was told to look at."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = deque[CameraView](maxlen=_REMEMBERED)  # views that new ones begin at
        self._browsers: dict[int, _Guided] = {}

    def begin_at(self, view: CameraView) -> None:
        """Says where new browsers look from."""
        self._begun.append(view)

    def arrive(self, client: viser.ClientHandle) -> None:
        """A browser came, which loaded one of the first views."""
        with self._lock:
            self._browsers[client.client_id] = _Guided.by(self._begun)

    def leave(self, client: viser.ClientHandle) -> None:
        """A browser went."""
        with self._lock:
            guided = self._browsers.pop(client.client_id, None)
            if guided is not None:
                guided.target = None
                if not guided.chosen:  # it may come back, and is there still
                    self._begun.extend(view for _, view in list(guided.told)[-1:])

    def hear(self, client: viser.ClientHandle) -> None:
        """A browser says where it is; one that begins is put where it was told to be meanwhile."""
        with self._lock:
            guided = self._browsers.get(client.client_id)
            if guided is None or guided.has_begun or not guided.was_told(client.camera):
                return
            guided.has_begun = True
            if guided.early is not None:
                _send(client, guided.early)

    def is_unmoved(self, client: viser.ClientHandle) -> bool:
        """Whether it looks from where it was told to, not where its visitor chose."""
        with self._lock:
            guided = self._browsers.get(client.client_id)
            if guided is None or guided.chosen or not guided.has_begun:
                return False
            return guided.was_told(client.camera)

    def put(self, client: viser.ClientHandle, view: CameraView, chosen: bool = False) -> None:
        """Puts a browser there at once.

        Args:
            client: the browser.
            view: where it looks from.
            chosen: by its visitor: it is not taken along from there.
        """
        with self._lock:
            guided = self._browsers.get(client.client_id)
            if guided is not None:  # else it is about to come, or has gone
                guided.target, guided.chosen = None, chosen
                if not guided.has_begun:
                    guided.early = view
                guided.tell(view)
            _send(client, view)

    def fly(self, client: viser.ClientHandle, target: CameraView) -> None:
        """Takes a browser there step by step, one that begins at once; who moves it ends that."""
        start = CameraView.of(client.camera)
        with self._lock:
            guided = self._browsers.get(client.client_id)
            if guided is None:
                return
            if guided.has_begun:
                guided.target, guided.chosen = target, False
                guided.tell(start)
        if not guided.has_begun:
            self.put(client, target)
            return
        steps = (client, guided, start, target)
        threading.Thread(target=self._step, args=steps, daemon=True).start()

    def _step(
        self, client: viser.ClientHandle, guided: _Guided, start: CameraView, target: CameraView
    ) -> None:
        for step in range(1, _STEPS + 1):
            with self._lock:
                if guided.target is not target or not guided.was_told(client.camera):
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
