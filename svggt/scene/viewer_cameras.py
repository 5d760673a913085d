"""The browsers' views of a scene: the first one, and through a frame's camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray
from viser import transforms

from svggt.scene.frame_poses import UP

Array = NDArray[Any]

READ_ONLY = "/reader"
"""Path that a reader's browser is connected by."""

_FOV = np.radians(60.0)  # vertical, of the first view


@dataclass(frozen=True, eq=False)
class Browser:
    """Where a browser looks from.

    Attributes:
        world_from_cam: (3, 4), OpenCV's axes.
        focal: over the view's height.
    """

    world_from_cam: Array
    focal: float


@dataclass(frozen=True, eq=False)
class CameraView:
    """A view as browsers hold it, in their level world.

    Attributes:
        position: (3,).
        target: (3,), that it turns about.
        up: (3,).
        fov: vertical, radians.
    """

    position: Array
    target: Array
    up: Array
    fov: float

    @classmethod
    def of(cls, camera: viser.CameraHandle) -> CameraView:
        """Where a browser looks now."""
        return cls(camera.position, camera.look_at, camera.up_direction, camera.fov)

    def turned(self, turn: transforms.SO3) -> CameraView:
        """The same view of a world that is turned."""
        return CameraView(turn @ self.position, turn @ self.target, turn @ self.up, self.fov)

    def like(self, other: CameraView) -> bool:
        """Whether a visitor would say that it is the same."""
        near = 0.01 * float(np.linalg.norm(self.target - self.position))
        return bool(
            np.abs(self.position - other.position).max() < near
            and np.abs(self.target - other.target).max() < near
        )


class ViewerCameras:
    """Moves the cameras of all browsers of a server.

    Args:
        server: whose browsers.
    """

    def __init__(self, server: viser.ViserServer) -> None:
        self._server = server
        self._first: tuple[Array, Array] = (np.array([0.0, -0.2, -0.5]), np.array([0, 0, 1.0]))

    def begin(self, pose: Array, distance: float) -> None:
        """The first view: just behind a camera (3, 4), looking past it at a distance."""
        rotation = transforms.SO3.from_matrix(pose[:, :3])
        camera = transforms.SE3.from_rotation_and_translation(rotation, pose[:, 3])
        self._first = (
            camera @ np.array([0.0, -0.2, -0.5]) * distance,
            camera @ np.array([0.0, 0.0, 1.0]) * distance,
        )
        initial = self._server.initial_camera
        initial.position, initial.look_at, initial.fov = *self._first, _FOV
        self.reset()

    def reset(self) -> None:
        """Back to the first view."""
        for client in self._server.get_clients().values():
            camera = client.camera
            camera.up_direction, camera.fov = UP, _FOV
            camera.position, camera.look_at = self._first

    def look_through(
        self, pose: Array, level: transforms.SO3, field: tuple[float, float], distance: float
    ) -> None:
        """Puts the browsers where a camera is.

        Args:
            pose: world_from_cam (3, 4).
            level: that the world is turned by.
            field: tangents of half the camera's angles, across and down; all of it is in sight.
            distance: to what it looks at, in the scene's unit; the view turns about it.
        """
        turned = level @ transforms.SO3.from_matrix(pose[:, :3])
        place = level @ pose[:, 3]
        for client in self._server.get_clients().values():
            camera = client.camera
            down = max(field[1], field[0] / max(camera.aspect, 0.1))
            camera.fov = float(2 * np.arctan(down))
            camera.up_direction = turned @ UP
            camera.position = place
            camera.look_at = place + distance * (turned @ np.array([0.0, 0.0, 1.0]))

    @property
    def camera(self) -> viser.CameraHandle | None:
        """Of an owner's browser; None where none is there."""
        owners = (c for c in self._server.get_clients().values() if not self._looks_on(c))
        return next((client.camera for client in owners), None)

    def browser(self, level: transforms.SO3) -> Browser | None:
        """Where an owner's browser looks from; None where none is there.

        Args:
            level: that the world is turned by.
        """
        camera = self.camera
        if camera is None:
            return None
        turn = level.inverse() @ transforms.SO3(camera.wxyz)
        position = level.inverse() @ camera.position
        pose = np.concatenate([turn.as_matrix(), position[:, None]], axis=1)
        return Browser(pose, 0.5 / float(np.tan(camera.fov / 2)))

    def on_move(
        self, arrived: Callable[[], None], moved: Callable[[viser.CameraHandle], None]
    ) -> None:
        """Tells of owners' browsers, now and later: that one came, and where it looks from."""

        @self._server.on_client_connect
        async def _(client: viser.ClientHandle) -> None:
            if self._looks_on(client):
                return
            arrived()

            @client.camera.on_update
            async def _(camera: viser.CameraHandle) -> None:
                moved(camera)

    def look_as(self, look: CameraView) -> None:
        """Puts the owners' browsers where another scene's is."""
        for client in self._server.get_clients().values():
            if self._looks_on(client):
                continue
            with client.atomic():
                camera = client.camera
                camera.fov, camera.up_direction = look.fov, look.up
                camera.position, camera.look_at = look.position, look.target

    def _looks_on(self, client: viser.ClientHandle) -> bool:
        """Whether a browser is a reader's: viser knows of no users, its connection of its path."""
        connections = self._server._websock_server._live_connections
        request = getattr(connections.get(client.client_id), "request", None)
        return request is not None and request.path == READ_ONLY
