"""A node of the scene that holds points in bands, so that flags choose among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray
from viser import transforms

from svggt.scene.clouds import NUM_BANDS, Cloud
from svggt.view_options import MOST_CONFIRMED, ViewOptions

Array = NDArray[Any]
_ONE = np.ones(3)


class PointLayers:
    """One cloud a band, under one frame.

    Args:
        scene: the viser server's scene.
        name: the node's name.
        clouds: one a band, in the node's own coordinates; see `fill`.
        point_size: that closes the gaps, in the scene's unit.
        look: what is shown.
    """

    def __init__(
        self,
        scene: viser.SceneApi,
        name: str,
        clouds: list[Cloud],
        point_size: float,
        look: ViewOptions,
    ) -> None:
        self._size = point_size
        self._frame = scene.add_frame(name, show_axes=False, visible=False)
        self._look = look
        self._centre = _centre(clouds)
        self._pose, self._stretch = np.eye(3, 4), _ONE
        self._empty = [not len(cloud) for cloud in clouds]
        self._clouds = [
            scene.add_point_cloud(
                f"{name}/{band}",
                *self._sent(cloud),
                position=self._centre,
                point_size=point_size * look.point_size,
                point_shape="rounded",
                point_shading="flat",
                visible=self._chosen(band),
            )
            for band, cloud in enumerate(clouds)
        ]

    @property
    def visible(self) -> bool:
        """Whether any of it is shown."""
        return self._frame.visible

    @property
    def num_points(self) -> int:
        """In all bands."""
        clouds = zip(self._clouds, self._empty, strict=True)
        return sum(len(handle.points) for handle, empty in clouds if not empty)

    def fill(self, clouds: list[Cloud]) -> None:
        """Sends other points in place of those there."""
        self._centre = _centre(clouds)
        self._empty = [not len(cloud) for cloud in clouds]
        for handle, cloud in zip(self._clouds, clouds, strict=True):
            handle.points, handle.colors = self._sent(cloud)
            handle.position = self._stretch * self._centre
        self.look(self._look)

    def place(self, pose: Array, stretch: Array = _ONE) -> None:
        """Puts the node at a (3, 4), its points multiplied by (3,) in its own axes."""
        if not np.array_equal(pose, self._pose):
            put(self._frame, pose)
            self._pose = pose
        if not np.array_equal(stretch, self._stretch):
            for handle in self._clouds:
                handle.scale = tuple(stretch.tolist())
                handle.position = stretch * self._centre
            self._stretch = stretch

    def show(self, visible: bool) -> None:
        """Flips the whole node."""
        if self._frame.visible != visible:
            self._frame.visible = visible

    def look(self, look: ViewOptions) -> None:
        """Flips bands, and sets the size of points."""
        self._look = look
        for band, handle in enumerate(self._clouds):
            if handle.visible != self._chosen(band):
                handle.visible = self._chosen(band)
            if handle.point_size != self._size * look.point_size:
                handle.point_size = self._size * look.point_size

    def remove(self) -> None:
        """Takes it out of the scene."""
        self._frame.remove()

    def placed(self, pose: Array, stretch: Array = _ONE) -> list[Cloud]:
        """Its points as they would be in the world from a place; see `place`."""
        return [
            Cloud(
                handle.points[empty:].astype(np.float64) + self._centre, handle.colors[empty:]
            ).moved(pose, stretch)
            for handle, empty in zip(self._clouds, self._empty, strict=True)
        ]

    def _chosen(self, band: int) -> bool:
        if self._empty[band]:
            return False
        return (
            self._look.far
            if band == NUM_BANDS - 1
            else MOST_CONFIRMED - band >= self._look.confirmed
        )

    def _sent(self, cloud: Cloud) -> tuple[Array, NDArray[np.uint8]]:
        """What goes to the browser, whose client takes no cloud without a point."""
        if not len(cloud):
            return np.zeros((1, 3), np.float32), np.zeros((1, 3), np.uint8)
        return cloud.points - self._centre, cloud.colors  # float16 is finer near 0


def _centre(clouds: list[Cloud]) -> Array:
    points = np.concatenate([cloud.points for cloud in clouds])
    return points.mean(axis=0).astype(np.float64) if len(points) else np.zeros(3)


def put(node: viser.SceneNodeHandle, world_from_cam: Array) -> None:
    """Moves a node to a (3, 4)."""
    node.wxyz = transforms.SO3.from_matrix(world_from_cam[:, :3]).wxyz
    node.position = world_from_cam[:, 3]
