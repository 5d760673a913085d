"""The browsers' views of a scene: the first one, and through a frame's camera."""

from __future__ import annotations

from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray
from viser import transforms

from svggt.scene.placing import UP

Array = NDArray[Any]

_FOV = np.radians(60.0)  # vertical, of the first view


class Eye:
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
            distance: of what it looks at; the view turns about it.
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
