"""Another run's points in the same scene, a node a frame, so that both show the same moment."""

from __future__ import annotations

import viser

from svggt.scene.clouds import Cloud
from svggt.scene.look import Look


class Underlay:
    """Clouds in the world, one a frame.

    Args:
        scene: of the viser server.
        name: of the nodes.
    """

    def __init__(self, scene: viser.SceneApi, name: str) -> None:
        self._scene, self._name, self._size = scene, name, 1.0
        self._clouds: list[viser.PointCloudHandle] = []

    @property
    def num_nodes(self) -> int:
        """Of viser."""
        return len(self._clouds)

    def add(self, cloud: Cloud, size: float, look: Look) -> None:
        """Draws the next frame's points; viser takes no empty cloud, and neither does this."""
        self._size = size
        self._clouds.append(
            self._scene.add_point_cloud(
                f"{self._name}/{len(self._clouds)}",
                cloud.points,
                cloud.colors,
                point_size=size * look.point_size,
                point_shape="rounded",
                point_shading="flat",
            )
        )

    def show(self, first: int, last: int) -> None:
        """Flips frames, so that those from one to another are seen."""
        for number, cloud in enumerate(self._clouds):
            if cloud.visible != (first <= number <= last):
                cloud.visible = first <= number <= last

    def look(self, look: Look) -> None:
        """Sets the size of points."""
        for cloud in self._clouds:
            cloud.point_size = self._size * look.point_size
