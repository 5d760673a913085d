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
    """One that says what a test has it say."""

    def __init__(self, server: viser.ViserServer, socket: sockets.ClientConnection) -> None:
        self._server, self._socket, self._said = server, socket, 0

    def says(
        self, position: tuple[float, ...] | np.ndarray, size: tuple[int, int] = (200, 400)
    ) -> None:
        """It looks from there to the middle, through a window (height, width)."""
        x, y, z = map(float, position)
        self._said += 1
        near = 0.01 + 1e-6 * self._said  # by which the server is seen to have heard
        message = ViewerCameraMessage(
            (1.0, 0.0, 0.0, 0.0), (x, y, z), 1.0, near, 1e3, *size, (0.0,) * 3, (0.0, -1.0, 0.0)
        )
        content = {"type": "ViewerCameraMessage", **asdict(message)}
        self._socket.send(msgspec.msgpack.encode(content))
        wait_for(lambda: self._server.get_clients() and self.camera.near == near)
        time.sleep(0.1)  # whoever is told of it has done what follows

    def is_told(self, view: CameraView) -> None:
        """Waits until that is where the server takes it to be."""
        wait_for(lambda: view.like(CameraView.of(self.camera)))

    @property
    def camera(self) -> viser.CameraHandle:
        (client,) = self._server.get_clients().values()
        return client.camera


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


def look_through(cameras: ViewerCameras) -> None:
    """Through a camera inside the scene, which looks at its middle."""
    pose = np.eye(3, 4)
    pose[2, 3] = -2.0
    cameras.look_through(pose, viser.transforms.SO3.identity(), (1.0, 0.5), 2.0)


def test_a_browser_that_says_one_thing_only_sees_the_whole(server, cameras) -> None:
    with browser(server) as one:
        one.says(whole(4.0)(1.0).position)
        one.is_told(whole(4.0)(2.0))


@pytest.mark.parametrize("begins_at", [4.0, 6.0])
def test_a_browser_that_begins_is_not_taken_for_moved(server, cameras, begins_at: float) -> None:
    """Where it goes first is where new ones began when it came, or what was said of that since."""
    with browser(server) as one:
        one.says(VISERS_OWN)
        cameras.fly(whole(6.0), unmoved=True)  # the last flight there is
        one.says(VISERS_OWN)
        one.says(whole(begins_at)(1.0).position)
        one.is_told(whole(6.0)(2.0))


@pytest.mark.parametrize("answers", [False, True])
def test_what_a_browser_is_told_as_it_begins_holds(server, cameras, answers: bool) -> None:
    with browser(server) as one:
        one.says(VISERS_OWN)
        look_through(cameras)
        inside = CameraView.of(one.camera)
        if answers:
            one.says(inside.position)
        one.says(whole(4.0)(1.0).position)
        one.is_told(inside)
        one.says(whole(4.0)(1.0).position)  # by hand, now
        cameras.fly(whole(6.0), unmoved=True)
        assert one.camera.position[2] == -4.0  # it was not taken along


def test_a_browser_whose_connection_broke_stays_where_it_was_taken_by_hand(server, cameras) -> None:
    with browser(server) as one:
        one.says(ASIDE)
        cameras.fly(whole(6.0), unmoved=True)
        one.says(ASIDE)
        assert one.camera.position[2] == ASIDE[2]
        cameras.fly(whole(6.0))  # until it asks for the whole
        one.is_told(whole(6.0)(2.0))


def test_who_looks_through_a_camera_is_not_fitted_for_a_window_of_another_shape(
    server, cameras
) -> None:
    with browser(server) as one:
        one.says(whole(4.0)(1.0).position)
        one.is_told(whole(4.0)(2.0))
        look_through(cameras)
        inside = CameraView.of(one.camera)
        one.says(inside.position, size=(400, 400))
        assert np.allclose(one.camera.position, inside.position)
        cameras.fly(whole(6.0))
        one.is_told(whole(6.0)(1.0))
