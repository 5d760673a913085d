"""Another run's points in the same scene, a node a frame, so that both show the same moment."""

from __future__ import annotations

import viser

from svggt.scene.clouds import Cloud
from svggt.view_options import ViewOptions

_MOST = 200  # nodes; of a longer run every n-th frame is drawn


class OverlayClouds:
    """Clouds in the world, one a frame.

    Args:
        scene: the viser server's scene.
        name: what the nodes' names begin with.
    """

    def __init__(self, scene: viser.SceneApi, name: str) -> None:
        self._scene, self._name = scene, name
        self._clouds: dict[int, viser.PointCloudHandle] = {}  # by frame
        self._sizes: dict[int, float] = {}

    def add(self, number: int, frames: int, cloud: Cloud, look: ViewOptions) -> None:
        """Draws a frame's points.

        Args:
            number: the frame's, from 0.
            frames: how many the run has; many share the nodes.
            cloud: in the world; viser takes none without a point.
            look: what is shown.
        """
        if number % -(-frames // _MOST) or not len(cloud):
            return
        self._sizes[number] = cloud.size
        self._clouds[number] = self._scene.add_point_cloud(
            f"{self._name}/{number}",
            cloud.points,
            cloud.colors,
            point_size=cloud.size * look.point_size,
            point_shape="circle",
            point_shading="flat",
        )

    def show(self, first: int, last: int) -> None:
        """Flips frames, so that those from one to another are seen."""
        for number, cloud in self._clouds.items():
            if cloud.visible != (first <= number <= last):
                cloud.visible = first <= number <= last

    def look(self, look: ViewOptions) -> None:
        """Sets the size of points."""
        for number, cloud in self._clouds.items():
            cloud.point_size = self._sizes[number] * look.point_size
