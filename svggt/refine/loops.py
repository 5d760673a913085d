"""Loops: a keyframe that sees again what an old one saw, and how the two stand to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.geometry import Similarity, invert, rotation_angle
from svggt.refine.camera import Camera
from svggt.refine.pose import AGREES, locate
from svggt.refine.recognition import KeyframeFeatures
from svggt.refine.refine_pose import Expected
from svggt.refine.uncertain import Uncertain

Array = NDArray[Any]

_FEWEST = 30  # matches that agree, either way
_SHARE = 0.5  # of all matches
_TURN = 8.0  # degrees between what is found either way
_APART = 0.25  # of the depth, likewise
_SPREAD = (3, 4)  # cells down and across,
_CELLS = 4  # of which so many hold matches that agree


@dataclass(frozen=True)
class Loop:
    """Two keyframes that see the same.

    Attributes:
        old: index of the earlier one.
        new: of the later one.
        old_from_new: from the later camera's axes and scale into the earlier one's.
        depth: median z-depth of what both see, in the earlier one's scale.
        matches: that agree.
    """

    old: int
    new: int
    old_from_new: Similarity
    depth: float
    matches: int


@dataclass(frozen=True)
class Verify:
    """Asks whether a keyframe sees what old ones saw.

    Attributes:
        camera: of all.
        new: the keyframe.
        olds: candidates.
        scales: (1 + N,) factor of the depths of the new one, and of each old one.
        spread: standard deviation of log depths.
        seed: RANSAC's.
    """

    camera: Camera
    new: KeyframeFeatures
    olds: list[KeyframeFeatures]
    scales: Array
    spread: float
    seed: int

    def run(self) -> Loop | None:
        """The loop that most matches agree with, if any holds."""
        found = [
            self._loop(old, scale) for old, scale in zip(self.olds, self.scales[1:], strict=True)
        ]
        return max(filter(None, found), key=lambda loop: loop.matches, default=None)

    def _loop(self, old: KeyframeFeatures, scale: float) -> Loop | None:
        here, there = old.match(self.new)
        if len(here) < _FEWEST:
            return None
        pixels = old.pixels[here], self.new.pixels[there]
        depths = scale * old.depths[here], self.scales[0] * self.new.depths[there]
        # Once by the old one's depth, once by the new one's: what only one of them says is chance.
        new, seen = self._locate(pixels[0], depths[0], pixels[1])
        back, seen_back = self._locate(pixels[1], depths[1], pixels[0])
        agree = seen & seen_back
        if agree.sum() < max(_FEWEST, _SHARE * len(agree)) or not self._spread_out(
            pixels[1][agree]
        ):
            return None
        _, ahead = self.camera.carry(pixels[0], depths[0], new)
        ratio = float(np.exp(np.median(np.log(ahead[agree] / depths[1][agree]))))
        depth, other = float(np.median(depths[0][agree])), invert(back)
        turned = float(rotation_angle(new[:, :3].T @ other[:, :3]))
        apart = np.linalg.norm(new[:, 3] - ratio * other[:, 3])
        if turned > _TURN or apart > _APART * depth:
            return None
        return Loop(
            old.keyframe, self.new.keyframe, Similarity(ratio, new), depth, int(agree.sum())
        )

    def _locate(self, pixels: Array, depths: Array, seen: Array) -> tuple[Array, NDArray[np.bool_]]:
        """A camera's pose in another's axes, by pixels and depths there; which points agree."""
        points = self.camera.lift(pixels, depths, np.eye(3, 4))
        known = Uncertain(points, np.zeros_like(points), np.full(len(points), self.spread))
        expected = Expected(np.eye(3, 4), float(np.median(depths)))
        pose, lengths = locate(known, seen, self.camera, expected, self.seed)
        return pose, lengths < AGREES

    def _spread_out(self, pixels: Array) -> bool:
        """Whether matches are all over the picture, not on one thing in it."""
        at = (pixels / (2 * self.camera.centre) * _SPREAD[::-1]).astype(int)
        return len(np.unique(at, axis=0)) >= _CELLS
