"""A node of the scene that holds points in bands, so that flags choose among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray
from viser import transforms

from svggt.scene.clouds import Cloud, is_shown
from svggt.view_options import ViewOptions

Array = NDArray[Any]
_ONE = np.ones(3)


class PointLayers:
    """One cloud a band, under one frame; a band without a point has no node.

    Args:
        scene: the viser server's scene.
        name: the node's name.
        clouds: one a band, in the node's own coordinates; see `fill`.
        look: what is shown.
    """

    def __init__(
        self, scene: viser.SceneApi, name: str, clouds: list[Cloud], look: ViewOptions
    ) -> None:
        self._scene, self._name = scene, name
        self._frame = scene.add_frame(name, show_axes=False, visible=False)
        self._look = look
        self._pose, self._stretch = np.eye(3, 4), _ONE
        self._handles: dict[int, viser.PointCloudHandle] = {}  # by band
        self._sizes: list[float] = []
        self.fill(clouds)

    @property
    def visible(self) -> bool:
        """Whether any of it is shown."""
        return self._frame.visible

    @property
    def num_points(self) -> int:
        """In all bands."""
        return sum(len(handle.points) for handle in self._handles.values())

    def fill(self, clouds: list[Cloud]) -> None:
        """Sends other points in place of those there."""
        self._centre = _centre(clouds)
        self._sizes = [cloud.size for cloud in clouds]
        for band, cloud in enumerate(clouds):
            if not len(cloud):
                handle = self._handles.pop(band, None)
                if handle is not None:
                    handle.remove()
                continue
            points = cloud.points - self._centre  # float16 is finer near 0
            handle = self._handles.get(band)
            if handle is None:
                self._handles[band] = self._drawn(band, points, cloud.colors)
            else:
                handle.points, handle.colors = points, cloud.colors
                handle.position = self._stretch * self._centre
        self.look(self._look)

    def place(self, pose: Array, stretch: Array = _ONE) -> None:
        """Puts the node at a (3, 4), its points multiplied by (3,) in its own axes."""
        if not np.array_equal(pose, self._pose):
            put(self._frame, pose)
            self._pose = pose
        if not np.array_equal(stretch, self._stretch):
            self._stretch = stretch
            for handle in self._handles.values():
                handle.scale = tuple(stretch.tolist())
                handle.position = stretch * self._centre
            self.look(self._look)

    def show(self, visible: bool) -> None:
        """Flips the whole node."""
        if self._frame.visible != visible:
            self._frame.visible = visible

    def look(self, look: ViewOptions) -> None:
        """Flips bands, and sets the size of points."""
        self._look = look
        for band, handle in self._handles.items():
            if handle.visible != is_shown(band, look):
                handle.visible = is_shown(band, look)
            if handle.point_size != self._size(band):
                handle.point_size = self._size(band)

    def remove(self) -> None:
        """Takes it out of the scene."""
        self._frame.remove()

    def placed(self, pose: Array, stretch: Array = _ONE) -> list[Cloud]:
        """Its points as they would be in the world from a place; see `place`."""
        return [
            Cloud(
                handle.points.astype(np.float64) + self._centre, handle.colors, self._sizes[band]
            ).moved(pose, stretch)
            if (handle := self._handles.get(band)) is not None
            else Cloud.empty()
            for band in range(len(self._sizes))
        ]

    def _drawn(self, band: int, points: Array, colors: NDArray[np.uint8]) -> viser.PointCloudHandle:
        x, y, z = self._stretch.tolist()
        return self._scene.add_point_cloud(
            f"{self._name}/{band}",
            points,
            colors,
            scale=(x, y, z),
            position=self._stretch * self._centre,
            point_size=self._size(band),
            point_shape="circle",
            point_shading="flat",
            visible=is_shown(band, self._look),
        )

    def _size(self, band: int) -> float:
        return self._sizes[band] * float(self._stretch[0]) * self._look.point_size


def _centre(clouds: list[Cloud]) -> Array:
    points = np.concatenate([cloud.points for cloud in clouds])
    return points.mean(axis=0).astype(np.float64) if len(points) else np.zeros(3)


def put(node: viser.SceneNodeHandle, world_from_cam: Array) -> None:
    """Moves a node to a (3, 4)."""
    node.wxyz = transforms.SO3.from_matrix(world_from_cam[:, :3]).wxyz
    node.position = world_from_cam[:, 3]
