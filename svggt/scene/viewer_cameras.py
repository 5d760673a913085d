"""The browsers' views of a scene: the first one, and through a frame's camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray
from viser import transforms

from svggt.scene.camera_view import FIELD_OF_VIEW, CameraView
from svggt.scene.frame_poses import UP
from svggt.scene.guided_views import GuidedViews

Array = NDArray[Any]

READ_ONLY = "/reader"
"""Path that a reader's browser is connected by."""

_RESHAPED = 0.05  # of a window's aspect
_SQUARE = 1.0  # aspect of a browser that is not there yet


@dataclass(frozen=True, eq=False)
class Browser:
    """Where a browser looks from.

    Attributes:
        world_from_cam: (3, 4), OpenCV's axes.
        focal: over the view's height.
    """

    world_from_cam: Array
    focal: float


class ViewerCameras:
    """Moves the cameras of all browsers of a server.

    Args:
        server: whose browsers.

    Attributes:
        in_step: another scene is looked at from the same place: nobody is moved unasked.
    """

    def __init__(self, server: viser.ViserServer) -> None:
        self._server, self.in_step = server, False
        self._guided = GuidedViews()
        self._whole: Callable[[float], CameraView] | None = None  # where the last flight went

        @server.on_client_connect
        async def _(client: viser.ClientHandle) -> None:  # before anybody tells it anything
            self._guided.arrive(client)
            self._guided.hear(client, client.camera.position)
            fitted = 0.0  # the aspect of its window when it was

            @client.camera.on_update
            async def _(camera: viser.CameraHandle) -> None:
                self._guided.hear(client, camera.position)

            @client.camera.on_update
            def _(_: viser.CameraHandle) -> None:
                nonlocal fitted
                reshaped = abs(fitted / _aspect(client) - 1) > _RESHAPED
                if reshaped and self._guided.is_unmoved(client):
                    fitted = _aspect(client)
                    self._fit(client)

        @server.on_client_disconnect
        def _(client: viser.ClientHandle) -> None:
            self._guided.leave(client)

    @property
    def num_browsers(self) -> int:
        """Connected."""
        return len(self._server.get_clients())

    def begin(self, pose: Array, distance: float) -> None:
        """The first view: just behind a camera (3, 4), looking past it at a distance."""
        rotation = transforms.SO3.from_matrix(pose[:, :3])
        camera = transforms.SE3.from_rotation_and_translation(rotation, pose[:, 3])
        behind, past = np.array([0.0, -0.2, -0.5]), np.array([0.0, 0.0, 1.0])
        first = CameraView(camera @ behind * distance, camera @ past * distance, UP, FIELD_OF_VIEW)
        self.begin_at(first)
        self._whole = None
        for client in self._server.get_clients().values():
            self._guided.put(client, first)

    def fly(self, seen_by: Callable[[float], CameraView], unmoved: bool = False) -> None:
        """Takes browsers to a view, within a second; new ones begin there.

        Args:
            seen_by: the view of a browser by the aspect of its window.
            unmoved: only those that no visitor has moved.
        """
        if unmoved and self.in_step:
            return
        self.fit(seen_by)
        for client in self._server.get_clients().values():
            if not unmoved or self._guided.is_unmoved(client):
                self._guided.fly(client, seen_by(_aspect(client)))

    def fit(self, seen_by: Callable[[float], CameraView]) -> None:
        """Says what new browsers, and those whose window takes another shape, see; see `fly`."""
        self.begin_at(seen_by(_SQUARE))
        self._whole = seen_by

    def _fit(self, client: viser.ClientHandle) -> None:
        """The whole scene in sight of a window that is new, or has another shape now."""
        whole = None
        # Others may be taken along elsewhere meanwhile, which must not be undone here.
        while self._whole is not whole and not self.in_step:
            whole = self._whole
            if whole is not None:
                self._guided.put(client, whole(_aspect(client)), unmoved=True)

    def begin_at(self, view: CameraView) -> None:
        """New browsers begin there."""
        self._guided.begin_at(view)
        initial = self._server.initial_camera
        initial.position, initial.look_at, initial.fov = view.position, view.target, view.fov

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
        target = place + distance * (turned @ np.array([0.0, 0.0, 1.0]))
        for client in self._server.get_clients().values():
            down = max(field[1], field[0] / _aspect(client))
            view = CameraView(place, target, turned @ UP, float(2 * np.arctan(down)))
            self._guided.put(client, view, chosen=True)

    @property
    def camera(self) -> viser.CameraHandle | None:
        """Of an owner's browser; None where none is there."""
        return next((client.camera for client in self.owners), None)

    @property
    def owners(self) -> list[viser.ClientHandle]:
        """Their browsers, none of them a reader's."""
        return [c for c in self._server.get_clients().values() if not self._looks_on(c)]

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
        self,
        arrived: Callable[[viser.ClientHandle], None],
        moved: Callable[[viser.ClientHandle], None],
    ) -> None:
        """Tells of owners' browsers, now and later: that one came, and where it looks from."""

        @self._server.on_client_connect
        async def _(client: viser.ClientHandle) -> None:
            if self._looks_on(client):
                return
            arrived(client)

            @client.camera.on_update
            async def _(_: viser.CameraHandle) -> None:
                moved(client)

    def look_as(self, client: viser.ClientHandle, look: CameraView) -> None:
        """Puts a browser where another scene's is."""
        self._guided.put(client, look, chosen=True)

    def _looks_on(self, client: viser.ClientHandle) -> bool:
        """Whether a browser is a reader's: viser knows of no users, its connection of its path."""
        connections = self._server._websock_server._live_connections
        request = getattr(connections.get(client.client_id), "request", None)
        return request is not None and request.path == READ_ONLY


def _aspect(client: viser.ClientHandle) -> float:
    """Of a browser's window, width over height."""
    return max(client.camera.aspect, 0.1)
