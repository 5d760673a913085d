"""The node that all others hang on: it keeps the world level."""

from __future__ import annotations

from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray
from viser import transforms

from svggt.scene.frame_poses import UP

_STEP = 1.0  # degrees; smaller corrections of the horizon are not worth a move
_LOOKED = 0.05  # of a squared sine: what the mean up counts beside the axes to the right
_UPRIGHT = 0.7  # cosine to the mean up; less is no direction up, but one that cameras rolled about


def upright(world_from_cam: NDArray[Any]) -> NDArray[Any]:
    """(3,) the world's up by cameras (N, 3, 4), which people point up or down but seldom roll.

    So their axes to the right lie level; up is the direction that these span least. Where cameras
    hardly turned, it is the one of those that is nearest to their mean up.
    """
    right, up = world_from_cam[:, :, 0], (world_from_cam[:, :, :3] @ UP).mean(axis=0)
    up /= np.linalg.norm(up) + 1e-12
    spanned = right.T @ right / len(right) + _LOOKED * (np.eye(3) - np.outer(up, up))
    least = np.linalg.eigh(spanned)[1][:, 0]
    least *= np.sign(least @ up)
    return least if least @ up > _UPRIGHT else up


class Horizon:
    """Turns the world so that cameras stand upright in it.

    Args:
        scene: the viser server's scene, empty.
    """

    def __init__(self, scene: viser.SceneApi) -> None:
        self.levelling = transforms.SO3.identity()
        self._node = scene.add_frame("/level", show_axes=False)

    def level(self, world_from_cam: NDArray[Any]) -> None:
        """Follows cameras (N, 3, 4), if that is worth a move."""
        level = levelled_by(world_from_cam)
        change = level @ self.levelling.inverse()
        if np.degrees(np.linalg.norm(change.log())) > _STEP:
            self._node.wxyz, self.levelling = level.wxyz, level


def levelled_by(world_from_cam: NDArray[Any]) -> transforms.SO3:
    """What turns a world so that cameras (N, 3, 4) stand upright in it."""
    return turn(upright(world_from_cam), UP)


def turn(source: NDArray[Any], target: NDArray[Any]) -> transforms.SO3:
    """The smallest rotation that brings one direction to another."""
    source = source / np.linalg.norm(source)
    axis = np.cross(source, target)
    sine, cosine = np.linalg.norm(axis), float(source @ target)
    if sine < 1e-9:
        return transforms.SO3.identity()
    return transforms.SO3.exp(axis / sine * np.arctan2(sine, cosine))
