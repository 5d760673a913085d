"""All points of a run's frames, as they are drawn.

The newest frames are nodes at their cameras' poses that hold points in the camera's own
coordinates, so that a corrected pose moves a node and sends no point twice. Older ones are merged
into blocks; a moment that blocks hide is read from the archive. At rest surfels may stand for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import viser

from svggt.prediction import FramePrediction
from svggt.refine.correction import Correction
from svggt.scene.blocks import FEW, Blocks
from svggt.scene.clouds import NUM_BANDS, Cloud
from svggt.scene.confirmed_points import ConfirmedPoints, Frames
from svggt.scene.frame_poses import FramePoses
from svggt.scene.overlay_clouds import OverlayClouds
from svggt.scene.partial_block import PartialBlock
from svggt.scene.point_layers import PointLayers
from svggt.scene.surfel_nodes import SurfelNodes
from svggt.view_options import ViewOptions

RECENT = 12
"""Newest frames that are never merged."""


class RunPoints:
    """Points of a run, frame by frame.

    Args:
        scene: the viser server's scene.
        name: what the nodes' names begin with.
        frames: where frames are read again.
        placings: every frame's camera; grows here, and is corrected here.
        most: points of a frame.
        look: what is shown.

    Attributes:
        recent: nodes of the newest frames.
        blocks: of older ones.
        part: frames of a block that is shown in part.
        surfels: that stand for all of them.
        under: another run's points in the same scene.
    """

    def __init__(
        self,
        scene: viser.SceneApi,
        name: str,
        frames: Frames,
        placings: list[FramePoses],
        most: int,
        look: ViewOptions,
    ) -> None:
        self._scene, self._name, self._placings, self._look = scene, name, placings, look
        self._made = ConfirmedPoints(frames, placings, most)
        self._unsettled: set[int] = set()
        self.recent: dict[int, PointLayers] = {}
        self.blocks = Blocks()
        self.part = PartialBlock(self._layers("part", [Cloud.empty()] * NUM_BANDS))
        self.surfels = SurfelNodes(scene, f"{name}/surfels")
        self.under = OverlayClouds(scene, f"{name}/underlay")

    @property
    def layers(self) -> list[PointLayers]:
        """All nodes of points."""
        return [*self.recent.values(), *self.blocks.bands, self.part.bands]

    def add(self, prediction: FramePrediction, correction: Correction | None) -> None:
        """Draws a frame, and merges the oldest; surfels are of the frames there were."""
        self.surfels.clear()
        number = len(self._placings)
        held = self._made.add(number, prediction)
        self._placings.append(FramePoses.of(held, correction))
        if correction is None or not correction.settled:
            self._unsettled.add(number)
        self.recent[number] = self._layers(f"frames/{number}", self._made.made(number))
        self._place(number)
        while len(self.recent) >= RECENT + FEW:
            frames = self.blocks.take(self.recent, self._placings, self._layers)
            self._unsettled.difference_update(frames)
            self._made.keep(frames.stop)

    def correct(self, corrections: Sequence[Correction]) -> None:
        """Moves nodes and blocks; points of depth that has settled are sent once more."""
        for correction in corrections:
            self._placings[correction.frame].correction = correction
        for correction in corrections:
            number = correction.frame
            if correction.settled and number in self._unsettled:
                self._placings[number].sent = correction
                self._unsettled.remove(number)
                self.recent[number].fill(self._made.made(number))
            if number in self.recent:
                self._place(number)
        self.blocks.follow(corrections)

    def look(self, look: ViewOptions) -> None:
        """Sets which bands are shown, their points' size, and by which cameras frames stand."""
        before, self._look = self._look, look
        for layers in self.layers:
            layers.look(look)
        self.under.look(look)
        if before.cameras != look.cameras:
            for number in self.recent:
                self._place(number)
            self.part.forget()

    def show(self, moment: int, lasts: bool) -> None:
        """Shows the nodes of a moment, and hides the others.

        Args:
            moment: number of the frame shown.
            lasts: the frame before it stays as well: a browser needs a moment to build a cloud,
                and the view must not go blank meanwhile.
        """
        alone = self._look.show == "one frame"
        first = moment - lasts if alone else 0
        self.under.show(first, moment)
        if self.surfels.show(moment, self._look):
            moment = -1
        for number, layers in self.recent.items():
            layers.show(first <= number <= moment)
        hidden = self.blocks.flip(self._look.cameras, moment, alone)
        self.part.show(hidden, lambda number: self._made.read(number, self._look.cameras))

    def draw_surfels(self) -> None:
        """Makes them where they are wanted and not there; takes seconds."""
        self.surfels.draw(self._made, len(self._placings), self._look)

    def rest(self) -> None:
        """No frame follows for now: what was held of them goes, surfels are made."""
        self._made.rest()
        self.surfels.clear()
        self.draw_surfels()

    def redraw(
        self, on_frame: Callable[[], None], drawing: Callable[[], AbstractContextManager[object]]
    ) -> None:
        """Merges blocks anew, after all cameras moved.

        Args:
            on_frame: told of each frame that is read; what it raises ends it half done.
            drawing: held while nodes change.
        """
        for block in [block for block in self.blocks if "refined" in block.bands]:
            frames = self._made.read_all(block.frames, "refined", on_frame)
            with drawing():
                block.refill(frames, self._placings)
        with drawing():
            for number, layers in self.recent.items():
                self._placings[number].sent = self._placings[number].correction
                layers.fill(self._made.made(number))
                self._place(number)
            self.part.forget()

    def _layers(self, name: str, clouds: list[Cloud]) -> PointLayers:
        return PointLayers(self._scene, f"{self._name}/{name}", clouds, self._look)

    def _place(self, number: int) -> None:
        """Puts a recent frame where the cameras shown say."""
        placing, cameras = self._placings[number], self._look.cameras
        self.recent[number].place(placing.pose(cameras), placing.stretch(cameras))
