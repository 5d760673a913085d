"""A second run beside a session's: the same frames another way, computed while the stream goes on.

It takes what the device has left between streams, and draws its frames in a scene of its own,
brought to the stream's world by one Sim(3).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from svggt.compare.aligned_frames import IN_ONE, AlignedFrames, Paint
from svggt.compare.request import ComparisonProgress, ComparisonRequest, ReferenceRun
from svggt.compare.rerun_schedule import RerunSchedule
from svggt.compare.result import ComparisonMetrics, ComparisonResult, RunResult, Weights, compare
from svggt.compare.run_config import Latency, execute
from svggt.compare.views import SIZE, Views
from svggt.data.truth import Truth
from svggt.engine.device_lock import POLL_SECONDS
from svggt.engine.worker import Worker
from svggt.errors import BadInput, Cancelled, user_message
from svggt.media.frames import Frame
from svggt.scene.camera_sync import CameraSync
from svggt.scene.posed_frame import PosedFrame
from svggt.scene.scene import Scene
from svggt.store.posed_frames import PosedFrames
from svggt.store.recording import Recording
from svggt.view_options import ViewOptions

log = logging.getLogger(__name__)

_SMALLER = "Compare fewer frames, or with a smaller window."
_OTHERWISE = (
    "The comparison ended because something went wrong on our side; the run stays. "
    "Press Compare to try again."
)


class Comparison:
    """One run beside a session's, begun when it is made, or read from where it was kept.

    Args:
        worker: computes it.
        asked: what is compared.
        a: the session's run.
        recording: where B goes.
        outcome: what was found, of one that was kept: then nothing is computed.

    Attributes:
        asked: what is compared.
        scene: where B is drawn, in A's world.
    """

    def __init__(
        self,
        worker: Worker,
        asked: ComparisonRequest,
        a: ReferenceRun,
        recording: Recording,
        outcome: ComparisonResult | None = None,
    ) -> None:
        self.asked = asked
        self._worker, self._a, self._recording = worker, a, recording
        self._cancelled = threading.Event()
        self._drawing = threading.Lock()  # a round ends while its visitor paints
        self._shown: AlignedFrames | None = None
        self._paint: Paint = "side by side"
        self._moment: int | None = None
        self.scene = Scene(recording.frames)
        self._pair = CameraSync(a.scene, self.scene)
        self.progress = ComparisonProgress(1, "running", "Getting ready.")
        if outcome is not None:
            self._publish(outcome=outcome, latencies=outcome.b.latencies)
        self._thread = threading.Thread(target=self._run, name="comparison")
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether something is computed."""
        return self.progress.state == "running"

    @property
    def paint(self) -> Paint:
        """How its scene is drawn."""
        return self._paint

    def pair(self, number: int) -> tuple[PosedFrame, PosedFrame]:
        """A frame of both in A's world.

        Raises:
            KeyError: it was not compared, or not yet.
        """
        shown = self._shown
        if shown is None:
            raise KeyError(number)
        return shown.pair(number)

    def picture(self) -> NDArray[np.uint8]:
        """Both scenes from one camera: a watching browser's, else from behind A's.

        Raises:
            BadInput: nothing was compared yet.
        """
        outcome, shown = self.progress.outcome, self._shown
        if outcome is None or shown is None:
            raise BadInput("There is nothing to see yet. Press Compare and wait for the figures.")
        views, scene = Views(shown), self._a.scene
        browser = scene.eye.browser(scene.levelling)
        if browser is None:
            return views.behind(outcome.frames // 2)
        height, width = SIZE
        return views.picture(browser.world_from_cam, browser.focal * height / width)

    def paint_as(self, paint: Paint) -> None:
        """Draws its scene anew, where its colours change."""
        before, self._paint = self._paint, paint
        with self._drawing:
            if self._shown is not None and {before, paint} & {*IN_ONE}:
                self._draw(self._shown, lambda number: None)  # somebody waits for it

    def look(self, look: ViewOptions) -> None:
        """Sets what its scene shows; its cameras are those that were asked for.

        Where colours compare it with A, in one scene, points stay points.
        """
        draw_as = "points" if self._paint in IN_ONE else look.draw_as
        self.scene.look(replace(look, cameras=self.asked.way.cameras, draw_as=draw_as))

    def seek(self, number: int | None) -> None:
        """Shows the moment of a frame, or the nearest there is; None: always the newest."""
        self._moment = number
        if not self._drawing.locked():  # else it is shown when all frames are there
            self._seek()

    def measure(self) -> None:
        """Its scene says lengths in metres where somebody measured A's."""
        if not self._drawing.locked():  # else it does when all frames are there
            self._measure()

    def _measure(self) -> None:
        metres = self._a.recording.metres.get(self._a.way.cameras)
        self.scene.around.measure_in({} if metres is None else {self.asked.way.cameras: metres})

    def _seek(self) -> None:
        last, number = self.scene.num_frames - 1, self._moment
        self.scene.seek(None if number is None else max(0, min(number, last)))

    def cancel(self) -> None:
        """Ends it between two pieces of a pass; the stream goes on."""
        self._cancelled.set()

    def close(self) -> None:
        """Ends it and its scene; what is on disk stays."""
        self.cancel()
        self._thread.join()
        self._pair.part()
        with self._drawing:
            self._shown = None
            self.scene.close()

    def _run(self) -> None:
        kept = self.progress.outcome
        try:
            if kept is None:
                self._compute()
            else:
                self._show(kept.frames)
            self._publish(state="finished", message="")
        except Cancelled:
            self._publish(state="cancelled", message="Cancelled.")
        except BadInput as error:
            self._publish(state="failed", message=str(error))
        except Exception as error:  # the thread is the last to see it
            log.exception("a comparison failed")
            self._publish(state="failed", message=user_message(error, _SMALLER, _OTHERWISE))

    def _compute(self) -> None:
        way = self.asked.way
        model = self._worker.models.fetch(way.settings.model, self._on_bytes)
        if not self._worker.models.fit_together(model.name, self._a.way.settings.model):
            self._say(
                f"Both sets of weights do not fit on {model.device.name} together: B waits until "
                "the stream has ended, and then takes their place."
            )
            while self._a.recording.running:
                self._wait()
        for latencies in execute(self._worker, way, self._checked(), self._recording, self._check):
            self._publish(latencies=latencies)
            frames = latencies[-1].frames
            outcome = self._outcome(frames, self._show(frames), latencies)
            outcome.write(self._recording.folder)
            self._publish(outcome=outcome)

    def _checked(self) -> Iterator[list[Frame]]:
        """The frames of every round, if they fit on the device and the disk."""
        way, a = self.asked.way, self._a
        rounds = RerunSchedule(
            a.recording,
            a.expected,
            self.asked.every,
            self.asked.frames,
            self._wait_for,
        )
        for frames in rounds:
            height, width = frames[0].image.shape[:2]
            self._worker.models.check_capacity(
                way.settings.model, (height, width), len(frames), way.at_once
            )
            a.recording.check_room()
            self._say(f"{way.mode.capitalize()} over {len(frames)} frames.")
            yield frames

    def _show(self, frames: int) -> ComparisonMetrics:
        """Compares and draws the first so many frames."""
        truth = None if self._a.truth is None else Truth.load(self._a.truth)
        a, b = (
            PosedFrames.of(recording, way.cameras, self._wait_for_gap).first_of(frames)
            for recording, way in (
                (self._a.recording, self._a.way),
                (self._recording, self.asked.way),
            )
        )
        found = compare(a, b, truth)
        with self._drawing:
            self._shown = AlignedFrames(a, b, found.to_a)
            self._draw(self._shown, self._wait_for_gap)
        return found

    def _wait_for_gap(self, number: int) -> None:
        """Before a frame is read or drawn; what was begun so is ended, but faster, if cancelled."""
        with suppress(Cancelled):
            self._worker.wait_for_gap(self._check)

    def _outcome(
        self, frames: int, found: ComparisonMetrics, latencies: tuple[Latency, ...]
    ) -> ComparisonResult:
        models = self._worker.models
        a, b = (
            RunResult(way, Weights.of(models[way.settings.model]), latencies, accuracy)
            for way, latencies, accuracy in zip(
                (self._a.way, self.asked.way),
                (found.streamed, latencies),
                found.accuracies,
                strict=True,
            )
        )
        return ComparisonResult(frames, a, b, found.agreement, found.paths)

    def _draw(self, shown: AlignedFrames, on_frame: Callable[[int], None]) -> None:
        shown.paint = self._paint
        scene = self.scene
        runs = 2 if self._paint == "overlay" else 1  # which share the points
        scene.reset(runs * len(shown), shown, keep_view=scene.num_frames > 0)
        self.look(self._a.scene.flags)
        for number in range(len(shown)):
            on_frame(number)
            shot = shown.shot(number)
            scene.add(shot.prediction, shot.correction)
            if self._paint == "overlay":
                scene.lay_under(number, len(shown), shown.under(number))
        self._measure()
        scene.settle()
        self._seek()

    def _on_bytes(self, done: int, total: int) -> None:
        self._check()
        of = f" of {total / 1e9:.2f}" if total else ""
        name = self.asked.way.settings.model
        self._say(f"{name} is downloading: {done / 1e9:.2f}{of} GB.")

    def _wait_for(self, frames: int) -> None:
        self._say(f"Waiting for the stream: B begins again at frame {frames}.")
        self._wait()

    def _wait(self) -> None:
        self._check()
        time.sleep(POLL_SECONDS)

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled

    def _say(self, message: str) -> None:
        if message != self.progress.message:
            self._publish(message=message)

    def _publish(self, **changes: object) -> None:
        self.progress = replace(self.progress, version=self.progress.version + 1, **changes)
