"""Cameras of the scene: a few of the way's frustums, the shown frame's with its picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray

from svggt.prediction import FramePrediction
from svggt.scene.point_layers import put

Array = NDArray[Any]

MOST = 12
"""Frustums of older frames."""

LENGTH = 0.03
"""Of a frustum, by the distance to what is looked at."""

_SHOWN, _OTHERS = (249, 115, 22), (150, 163, 184)
_THUMBNAIL = 128  # pixels


class Frustums:
    """Every frame's at first, then every 2nd, every 4th, as many as `MOST`.

    Args:
        scene: the viser server's scene.
        parent: node that they hang on.
        distance: to what is looked at, in the scene's unit.
        chosen: is told the number of a frame whose frustum somebody clicked.
    """

    def __init__(
        self, scene: viser.SceneApi, parent: str, distance: float, chosen: Callable[[int], None]
    ) -> None:
        self._scene, self._parent, self._scale = scene, parent, LENGTH * distance
        self._chosen = chosen
        self._every = 1
        self._handles: dict[int, viser.CameraFrustumHandle] = {}
        self._poses: dict[int, Array] = {}  # as they were put
        self._shown: viser.CameraFrustumHandle | None = None

    def add(self, number: int, prediction: FramePrediction) -> None:
        """One more frame, if it is one of those kept."""
        if number % self._every:
            return
        handle = self._draw(f"{number}", prediction, _OTHERS)

        @handle.on_click
        async def _(_: viser.SceneNodePointerEvent) -> None:
            self._chosen(number)

        self._handles[number] = handle
        if len(self._handles) > MOST:
            self._every *= 2
            for other in [n for n in self._handles if n % self._every]:
                self._handles.pop(other).remove()
                self._poses.pop(other, None)

    def show(self, prediction: FramePrediction) -> None:
        """The frame shown now gets the frustum with its picture."""
        if self._shown is None:
            self._shown = self._draw("shown", prediction, _SHOWN)
        self._shown.image = _thumbnail(prediction)

    def place(self, poses: Array, shown: int, others: bool, inside: bool) -> None:
        """Puts all where cameras stand.

        Args:
            poses: (N, 3, 4) world_from_cam of all frames.
            shown: number of the frame shown now.
            others: show the others too, up to it.
            inside: the view is a camera's own; none is shown.
        """
        for number, handle in self._handles.items():
            before = self._poses.get(number)
            if before is None or not np.array_equal(poses[number], before):
                put(handle, poses[number])
                self._poses[number] = poses[number]
            wanted = others and not inside and number < shown
            if handle.visible != wanted:
                handle.visible = wanted
        if self._shown is not None:
            put(self._shown, poses[shown])
            if self._shown.visible == inside:
                self._shown.visible = not inside

    def _draw(
        self, name: str, prediction: FramePrediction, color: tuple[int, int, int]
    ) -> viser.CameraFrustumHandle:
        height, width = prediction.depth.shape
        return self._scene.add_camera_frustum(
            f"{self._parent}/frustums/{name}",
            fov=float(2 * np.arctan(height / 2 / prediction.intrinsics[1, 1])),
            aspect=width / height,
            scale=self._scale,
            thickness=1.0,
            thickness_units="screen",
            color=color,
            image=_thumbnail(prediction),
            format="jpeg",
            jpeg_quality=70,
        )


def _thumbnail(prediction: FramePrediction) -> NDArray[np.uint8]:
    step = max(1, -(-prediction.image.shape[1] // _THUMBNAIL))
    return prediction.image[::step, ::step]
