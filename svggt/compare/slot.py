"""A session's comparison: begun, looked at, kept and ended."""

from __future__ import annotations

from svggt.compare.comparison import Comparison
from svggt.compare.request import ComparisonRequest, ReferenceRun
from svggt.compare.result import ComparisonResult
from svggt.compare.run_config import RunConfig
from svggt.engine.worker import Worker
from svggt.errors import BadInput
from svggt.scene.scene import Scene
from svggt.store.recording import BESIDE, About, Recording
from svggt.view_options import ViewOptions


class ComparisonSlot:
    """At most one comparison of a session's run. Not for two threads at once.

    Args:
        worker: computes it.
        recording: the session's run, A.
        scene: where it is drawn.

    Attributes:
        comparison: None if nobody asked.
    """

    def __init__(self, worker: Worker, recording: Recording, scene: Scene) -> None:
        self._worker, self._recording, self._scene = worker, recording, scene
        self.comparison: Comparison | None = None
        about, kept = recording.about, ComparisonResult.read(recording.folder / BESIDE)
        if about is not None and kept is not None:
            asked = ComparisonRequest(kept.b.way, frames=kept.frames)
            self.comparison = self._begun(about, asked, kept)

    @property
    def running(self) -> bool:
        """Whether something is computed."""
        return self.comparison is not None and self.comparison.running

    def begin(self, asked: ComparisonRequest) -> Comparison:
        """Begins another run over the frames that are there, beside the stream.

        Args:
            asked: which, and over what.

        Raises:
            BadInput: there is no frame, or frames were thinned; another comparison is under way; or
                the device does not take so many frames at once. What was compared last stays.
        """
        about, there = self._recording.about, self._scene.num_frames
        if about is None or not there:
            raise BadInput("There is nothing to compare yet. Press Start first.")
        if self.running:
            raise BadInput("A comparison is under way. Cancel it first.")
        if about.settings.model not in self._worker.models:
            raise BadInput(
                f"The run was made with {about.settings.model}, which is not loaded now. Start the "
                "server with it to compare."
            )
        if self._recording.frames.num_thinned:
            raise BadInput(
                "Frames of this scene were thinned when the disk became short, and cannot be "
                "computed again: start its clip anew to compare."
            )
        model = asked.way.settings.model
        if model in self._worker.models:  # else it is fetched first, and checked then
            height, width = self._recording.frames.load(0).depth.shape
            to_come = about.max_frames if asked.every and self._recording.running else there
            count = min(to_come, asked.frames or to_come)
            self._worker.models.check_capacity(model, (height, width), count, asked.way.at_once)
        self.end()
        self._recording.forget_comparison()
        self.comparison = self._begun(about, asked, None)
        return self.comparison

    def look(self, look: ViewOptions) -> None:
        """Sets what is shown of it."""
        if (comparison := self.comparison) is not None:
            comparison.look(look)

    def seek(self, number: int | None) -> None:
        """Shows the moment of a frame; None: always the newest."""
        if (comparison := self.comparison) is not None:
            comparison.seek(number)

    def measure(self) -> None:
        """Somebody measured, or took that back."""
        if (comparison := self.comparison) is not None:
            comparison.measure()

    def end(self) -> None:
        """Ends it and its scene; what is on disk stays."""
        if self.comparison is not None:
            self.comparison.close()
            self.comparison = None

    def _begun(
        self, about: About, asked: ComparisonRequest, kept: ComparisonResult | None
    ) -> Comparison:
        cameras = self._scene.flags.cameras if kept is None else kept.a.way.cameras
        way = RunConfig("streaming", about.settings, cameras)
        truth = about.clip.truth if about.clip is not None else None
        expected = about.max_frames if self._recording.running else self._scene.num_frames
        a = ReferenceRun(way, self._recording, self._scene, expected, truth)
        return Comparison(self._worker, asked, a, self._recording.beside, kept)
