"""A comparison's frames as its scene shows them: B's in A's world, in colours that tell.

Overlaid, both runs are in one scene, A orange and B blue; as a difference, B's points have the
colour of their distance from where A has the same pixel.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
from cmap import Colormap
from numpy.typing import NDArray

from svggt import geometry
from svggt.compare.agreement import pixel_points
from svggt.geometry import Similarity
from svggt.prediction import FramePrediction
from svggt.scene.clouds import Cloud, stride_of
from svggt.scene.posed_frame import PosedFrame
from svggt.scene.scene import POINT_BUDGET
from svggt.scene.sky import sky_of
from svggt.store.posed_frames import PosedFrames

Picture = NDArray[np.uint8]

Paint = Literal["side by side", "swipe", "overlay", "difference"]
"""How both are shown: in two views, beside each other or one over the other, or in one scene."""

IN_ONE: tuple[Paint, ...] = ("overlay", "difference")
"""Those that colour B's scene, which holds both runs."""

INKS = ("#d9661f", "#2f5d8a")
"""Of A and B, wherever they are told apart."""

PATH_INKS: dict[str, str] = dict(zip(("A", "B", "truth"), (*INKS, "#1f7a4d"), strict=True))
"""Of cameras' paths, by their names."""

DIFFERENCE_TOP = 0.2
"""Of the depth: the distance that has the last colour."""

_DIFFERENCE = Colormap("turbo")


class AlignedFrames:
    """B's frames, in A's world and painted.

    Args:
        a: one run.
        b: the other one, of the same frames.
        to_a: brings B's world to A's.

    Attributes:
        paint: how what is read from now on is coloured.
    """

    def __init__(self, a: PosedFrames, b: PosedFrames, to_a: Similarity) -> None:
        self._a, self._b, self._to_a = a, b, to_a
        self.paint: Paint = "side by side"

    def __len__(self) -> int:
        return self._b.count

    def shot(self, number: int) -> PosedFrame:
        """A frame of B.

        Raises:
            KeyError: there is none of that number.
        """
        shot = brought(self._b.shot(number), self._to_a)
        if self.paint not in IN_ONE:
            return shot
        image = tinted(shot.prediction.image, INKS[1])
        if self.paint == "difference":
            image = coloured(distances(self._a.shot(number), shot))
        painted = dataclasses.replace(shot.prediction, image=image, sky=sky_of(shot.prediction))
        return dataclasses.replace(shot, prediction=painted)

    def pair(self, number: int) -> tuple[PosedFrame, PosedFrame]:
        """A frame of both in A's world, as it is.

        Raises:
            KeyError: there is none of that number.
        """
        return self._a.shot(number), brought(self._b.shot(number), self._to_a)

    def load(self, number: int) -> FramePrediction:
        """What a scene reads of a frame; see `shot`."""
        return self.shot(number).prediction

    def under(self, number: int) -> Cloud:
        """A's points of a frame in its world, for an overlay."""
        cloud = self._a.cloud(number, self._stride(number, POINT_BUDGET // 2))
        return dataclasses.replace(cloud, colors=tinted(cloud.colors, INKS[0]))

    def clouds(self, number: int, budget: int) -> tuple[Cloud, Cloud]:
        """Both runs' points of a frame in A's world, where all frames share so many points."""
        stride = self._stride(number, budget)
        cloud = self._b.cloud(number, stride)
        moved = dataclasses.replace(
            cloud, points=self._to_a.points(cloud.points), size=self._to_a.scale * cloud.size
        )
        return self._a.cloud(number, stride), moved

    def _stride(self, number: int, budget: int) -> int:
        return stride_of(self._a.shot(number).prediction.depth.size, budget // len(self))


def brought(shot: PosedFrame, similarity: Similarity) -> PosedFrame:
    """A frame in another world: its pose goes along, its depth takes the other scale."""
    prediction, correction = shot.prediction, shot.correction
    pose = similarity.pose(prediction.world_from_cam)
    scale, points = similarity.scale, prediction.world_points
    prediction = dataclasses.replace(
        prediction,
        cam_from_world=geometry.invert(pose),
        depth=(scale * prediction.depth).astype(np.float32),
        world_points=None if points is None else similarity.points(points).astype(np.float32),
    )
    if correction is not None:  # it corrects the depth that is there now
        correction = dataclasses.replace(
            correction, world_from_cam=similarity.pose(correction.world_from_cam)
        )
    return PosedFrame(prediction, correction)


def distances(one: PosedFrame, other: PosedFrame) -> NDArray[Any]:
    """(H, W) between the points of the same pixels in one world, over the first one's depth."""
    apart = np.linalg.norm(pixel_points(one) - pixel_points(other), axis=2)
    return apart / one.depth


def coloured(relative: NDArray[Any]) -> Picture:
    """Distances (H, W) over the depth as colours, from 0 to `DIFFERENCE_TOP`."""
    shares = np.clip(relative / DIFFERENCE_TOP, 0, 1)
    return (255 * np.asarray(_DIFFERENCE(shares))[..., :3]).astype(np.uint8)


def tinted(colours: Picture, ink: str) -> Picture:
    """Colours (..., 3) as shades of one ink, light where they were."""
    light = colours.mean(axis=-1, keepdims=True) / 255
    red_green_blue = np.array([int(ink[i : i + 2], 16) for i in (1, 3, 5)])
    return (red_green_blue * (0.45 + 0.55 * light) + 60 * light).clip(0, 255).astype(np.uint8)
