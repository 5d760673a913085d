"""Older frames, merged by voxels into few nodes.

Frames become blocks of `FEW`; as many blocks of a size become one of the next, as the digits of
a number do, so that the nodes of a scene grow with the logarithm of its length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.geometry import Similarity
from svggt.refine.correction import Correction
from svggt.scene.clouds import Cloud, merge
from svggt.scene.frame_poses import FramePoses
from svggt.scene.partial_block import spread
from svggt.scene.point_layers import PointLayers
from svggt.view_options import Cameras

Array = NDArray[Any]
Make = Callable[[str, list[Cloud]], PointLayers]
Placed = dict[Cameras, list[list[Cloud]]]  # for each part one cloud a band, in the world

FEW = 8


@dataclass
class PointBlock:
    """Consecutive frames in one node for each kind of cameras.

    Attributes:
        frames: their numbers.
        level: 0 for frames merged, one more for blocks merged.
        bands: by cameras; "refined" only where frames were corrected.
        anchor: the first frame's correction when it was merged; where that moves, the block does.
    """

    frames: range
    level: int
    bands: dict[Cameras, PointLayers]
    anchor: Correction | None

    def version(self, cameras: Cameras) -> PointLayers:
        """What is shown by the cameras wanted."""
        return self.bands.get(cameras, self.bands["head"])

    def show(self, cameras: Cameras, visible: bool) -> None:
        """Flips one version; the other is hidden."""
        for bands in self.bands.values():
            bands.show(visible and bands is self.version(cameras))

    def follow(self, correction: Correction) -> None:
        """Goes where the first frame's camera went, also after a segment was merged."""
        if self.anchor is not None and "refined" in self.bands:
            self.bands["refined"].place(*_moved(self.anchor, correction))

    def refill(self, frames: list[list[Cloud]], placings: list[FramePoses]) -> None:
        """Merges its frames once more, by their refined cameras.

        Args:
            frames: bands of each, in the world as it is now.
            placings: every frame's camera.
        """
        self.anchor = placings[self.frames.start].correction
        bands = self.bands["refined"]
        bands.fill([merge(band) for band in zip(*frames, strict=True)])
        bands.place(np.eye(3, 4))

    def remove(self) -> None:
        """Takes it out of the scene."""
        for bands in self.bands.values():
            bands.remove()


class Blocks(list[PointBlock]):
    """The blocks of a scene, oldest first."""

    @property
    def bands(self) -> list[PointLayers]:
        """Of all of them, by all cameras."""
        return [bands for block in self for bands in block.bands.values()]

    def take(self, recent: dict[int, PointLayers], placings: list[FramePoses], make: Make) -> range:
        """Merges the oldest frames' nodes into a block, and takes them out of the scene.

        Args:
            recent: nodes by frame, oldest first; `FEW` of them go.
            placings: every frame's camera.
            make: draws bands under a name.

        Returns:
            The frames that were merged.
        """
        oldest = {number: recent.pop(number) for number in list(recent)[:FEW]}
        block = merge_frames(oldest, placings, make)
        self.grow(block, placings, make)
        for bands in oldest.values():
            bands.remove()
        return block.frames

    def grow(self, block: PointBlock, placings: list[FramePoses], make: Make) -> None:
        """One more; where as many are of one size they become one. See `merge_frames`."""
        self.append(block)
        while len(self) >= FEW and len({each.level for each in self[-FEW:]}) == 1:
            parts = self[-FEW:]
            self[-FEW:] = [merge_blocks(parts, placings, make)]
            for part in parts:
                part.remove()

    def flip(self, cameras: Cameras, moment: int, alone: bool) -> list[int]:
        """Shows those that lie before a moment whole; returns frames to be shown in their place.

        Args:
            cameras: whose version.
            moment: number of the frame shown.
            alone: nothing but that frame.
        """
        hidden: list[int] = []
        for block in self:
            whole = block.frames.stop - 1 <= moment
            block.show(cameras, whole and not alone)
            if moment in block.frames and (alone or not whole):
                hidden = [moment] if alone else spread(range(block.frames.start, moment + 1))
        return hidden

    def follow(self, corrections: Sequence[Correction]) -> None:
        """Each goes where the camera of its first frame went."""
        newest = {correction.frame: correction for correction in corrections}
        for block in self:
            if block.frames.start in newest:
                block.follow(newest[block.frames.start])


def merge_frames(
    oldest: dict[int, PointLayers], placings: list[FramePoses], make: Make
) -> PointBlock:
    """Consecutive frames as a block.

    Args:
        oldest: their nodes, by number.
        placings: every frame's camera.
        make: draws bands under a name.
    """
    # Both versions, with the head's cameras and the refined ones, so that a flag flips between
    # them; the refined one can follow its first frame's camera later without a point being sent.
    frames = range(min(oldest), max(oldest) + 1)
    anchor = placings[frames.start].correction
    kinds: tuple[Cameras, ...] = ("head",) if anchor is None else ("head", "refined")
    placed: Placed = {
        cameras: [
            oldest[number].placed(placings[number].pose(cameras), placings[number].stretch(cameras))
            for number in frames
        ]
        for cameras in kinds
    }
    return PointBlock(frames, 0, _drawn(placed, f"blocks/0/{frames.start}", make), anchor)


def merge_blocks(parts: list[PointBlock], placings: list[FramePoses], make: Make) -> PointBlock:
    """Consecutive blocks as one of the next level; see `merge_frames`."""
    placed: Placed = {cameras: [] for cameras in parts[0].bands}
    for part in parts:
        # A block stands where its first frame stood when it was merged; what that frame has moved
        # by since is taken in now.
        newest = placings[part.frames.start].correction
        for cameras, into in placed.items():
            where = (np.eye(3, 4), np.ones(3))
            if cameras == "refined" and part.anchor is not None and newest is not None:
                where = _moved(part.anchor, newest)
            into.append(part.version(cameras).placed(*where))
    frames = range(parts[0].frames.start, parts[-1].frames.stop)
    level = parts[0].level + 1
    bands = _drawn(placed, f"blocks/{level}/{frames.start}", make)
    return PointBlock(frames, level, bands, placings[frames.start].correction)


def _drawn(placed: Placed, name: str, make: Make) -> dict[Cameras, PointLayers]:
    return {
        cameras: make(
            f"{name}/{cameras}",
            [merge(band) for band in zip(*parts, strict=True)],
        )
        for cameras, parts in placed.items()
    }


def _moved(before: Correction, after: Correction) -> tuple[Array, Array]:
    """The similarity between two corrections of a frame, as `PointLayers.place` takes it."""
    scale = float(np.exp(after.log_scale - before.log_scale))
    moves = Similarity.of_camera(after.world_from_cam, before.world_from_cam, scale)
    return moves.rigid, np.full(3, scale)
