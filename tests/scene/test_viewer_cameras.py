"""Browsers that come while a scene grows: what each is told, by what it says, over a socket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

import msgspec
import numpy as np
import pytest
import viser
import websockets.sync.client as sockets
from viser._messages import ViewerCameraMessage

from svggt.scene.camera_view import CameraView
from svggt.scene.viewer_cameras import ViewerCameras
from tests.conftest import wait_for

VISERS_OWN, ASIDE = (3.0, -3.0, 3.0), (0.0, 0.0, -9.0)


def whole(far: float) -> Callable[[float], CameraView]:
    """All of a scene in sight: a narrow window from farther."""

    def seen_by(aspect: float) -> CameraView:
        up = np.array([0.0, -1.0, 0.0])
        return CameraView(np.array([0.0, 0.0, -far / aspect]), np.zeros(3), up, 1.0)

    return seen_by


class Browser:
    """One that says what a test has it say, of a window twice as wide as high."""

    def __init__(self, server: viser.ViserServer, socket: sockets.ClientConnection) -> None:
        self._server, self._socket = server, socket

    def says(self, position: tuple[float, ...] | np.ndarray) -> None:
        """It looks from there to the middle."""
        x, y, z = map(float, position)
        message = ViewerCameraMessage(
            (1.0, 0.0, 0.0, 0.0), (x, y, z), 1.0, 0.01, 1e3, 200, 400, (0.0,) * 3, (0.0, -1.0, 0.0)
        )
        content = {"type": "ViewerCameraMessage", **asdict(message)}
        self._socket.send(msgspec.msgpack.encode(content))
        time.sleep(0.1)  # the server hears it

    def is_told(self, view: CameraView) -> None:
        """Waits until that is where the server takes it to be."""
        wait_for(lambda: self._clients and view.like(CameraView.of(self._clients[-1].camera)))

    @property
    def _clients(self) -> list[viser.ClientHandle]:
        return list(self._server.get_clients().values())


@pytest.fixture
def server() -> Iterator[viser.ViserServer]:
    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    yield server
    server.stop()


@contextmanager
def browser(server: viser.ViserServer) -> Iterator[Browser]:
    address = f"ws://127.0.0.1:{server.get_port()}"
    protocols = [f"viser-v{viser.__version__}"]
    with sockets.connect(address, subprotocols=protocols, max_size=None) as socket:  # type: ignore[arg-type]
        yield Browser(server, socket)


@pytest.fixture
def cameras(server: viser.ViserServer) -> ViewerCameras:
    """Of a scene whose overview is from 4, through a square window."""
    cameras = ViewerCameras(server)
    cameras.fly(whole(4.0))
    return cameras


def test_a_browser_that_says_one_thing_only_sees_the_whole(server, cameras) -> None:
    with browser(server) as one:
        one.says(whole(4.0)(1.0).position)
        one.is_told(whole(4.0)(2.0))


def test_a_browser_that_begins_is_not_taken_for_moved(server, cameras) -> None:
    with browser(server) as one:
        one.says(VISERS_OWN)
        cameras.fly(whole(6.0), unmoved=True)  # the last flight there is
        one.says(VISERS_OWN)
        one.says(whole(4.0)(1.0).position)  # that was where new ones began when it came
        one.is_told(whole(6.0)(2.0))


def test_what_a_browser_is_told_as_it_begins_holds(server, cameras) -> None:
    with browser(server) as one:
        one.says(VISERS_OWN)
        cameras.look_through(np.eye(3, 4), viser.transforms.SO3.identity(), (1.0, 0.5), 4.0)
        inside = CameraView.of(next(iter(server.get_clients().values())).camera)
        one.says(VISERS_OWN)
        one.says(whole(4.0)(1.0).position)
        one.is_told(inside)


def test_a_browser_that_comes_back_is_taken_along_still(server, cameras) -> None:
    with browser(server) as one:
        one.says(whole(4.0)(1.0).position)
        one.is_told(whole(4.0)(2.0))
    wait_for(lambda: not server.get_clients())
    with browser(server) as again:
        again.says(whole(4.0)(2.0).position)  # its window was narrow, unlike those that begin
        cameras.fly(whole(6.0), unmoved=True)
        again.is_told(whole(6.0)(2.0))


def test_a_browser_that_comes_back_from_elsewhere_stays_there_until_it_is_asked(
    server, cameras
) -> None:
    with browser(server) as one:
        one.says(ASIDE)
        cameras.fly(whole(6.0), unmoved=True)
        time.sleep(1.0)
        assert server.get_clients()[0].camera.position[2] == ASIDE[2]
        cameras.fly(whole(6.0))
        one.is_told(whole(6.0)(2.0))
