"""Offline VGGT beside a stream: the same frames at once, computed while the stream goes on.

It takes the frames that are there when it begins, in the gaps that streams leave on the device,
and draws them in a scene of its own, brought to the stream's world by one Sim(3).
"""

from __future__ import annotations

import dataclasses
import logging
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from svggt import geometry
from svggt.agreement import Agreement, agree, similarity_of, world_points
from svggt.comparison import Way, run_way
from svggt.exports.frames import PosedFrame, Shots
from svggt.failures import sentence_of
from svggt.geometry import Similarity
from svggt.scene import Scene
from svggt.scene.pair import Pair
from svggt.settings import StreamSettings
from svggt.store.recording import Recording
from svggt.workers import LocalWorker

log = logging.getLogger(__name__)

State = Literal["running", "finished", "cancelled", "failed"]


class Cancelled(Exception):
    """Nobody wants it any more."""


@dataclass(frozen=True)
class BesideProgress:
    """How far the offline run is.

    Attributes:
        state: of it.
        message: for people; a remedy where something failed.
        frames: that it takes.
        offline_s: model time, waiting for the stream's turns included; 0 until it is there.
        streamed_s: model time of the newest of these frames when it was streamed.
        agreement: of the stream with it.
    """

    state: State
    message: str
    frames: int
    offline_s: float = 0.0
    streamed_s: float = 0.0
    agreement: Agreement | None = None


class Beside:
    """One offline run beside a session's, begun when it is made.

    Args:
        worker: computes it.
        settings: of the stream, whose weights and heads it shares.
        streamed: the stream's recording, which may go on meanwhile.
        folder: for its own; made anew.
        scene: of the stream; both look from one camera.

    Attributes:
        scene: its own.
    """

    def __init__(
        self,
        worker: LocalWorker,
        settings: StreamSettings,
        streamed: Recording,
        folder: Path,
        scene: Scene,
    ) -> None:
        self._worker, self._settings, self._streamed = worker, settings, streamed
        self._recording = Recording(folder)
        self._recording.clear()
        self._cancelled = threading.Event()
        self._look = scene.flags
        self.scene = Scene(self._recording.frames)
        self._pair = Pair(scene, self.scene)
        count = len(streamed.frames)
        message = f"Offline over {count} frames at once."
        self.progress = BesideProgress("running", message, count)
        self._thread = threading.Thread(target=self._run, name="beside")
        self._thread.start()

    def cancel(self) -> None:
        """Ends it between two pieces of its pass; the stream goes on."""
        self._cancelled.set()

    def close(self) -> None:
        """Ends it and its scene, and removes its files."""
        self.cancel()
        self._thread.join()
        self._pair.part()
        self.scene.close()
        shutil.rmtree(self._recording.folder, ignore_errors=True)

    def _run(self) -> None:
        try:
            self._publish(**self._compute())
        except Cancelled:
            self._publish(state="cancelled", message="Cancelled.")
        except Exception as error:  # the thread is the last to see it
            log.exception("an offline run failed")
            self._publish(state="failed", message=sentence_of(error))

    def _compute(self) -> dict[str, object]:
        count, cameras = self.progress.frames, self._look.cameras
        frames = [self._streamed.frames.frame(number) for number in range(count)]
        started = time.perf_counter()
        way = Way("offline", self._settings, cameras)
        run_way(self._worker, way, frames, self._recording, self._check)
        seconds = time.perf_counter() - started
        ones = list(Shots.of(self._streamed, cameras, self._check_frame))[:count]
        others = list(Shots.of(self._recording, cameras, self._check_frame))
        self._draw(ones, others)
        return {
            "state": "finished",
            "message": f"Offline saw {count} frames at once.",
            "offline_s": seconds,
            "streamed_s": ones[-1].prediction.seconds,
            "agreement": agree(ones, others),
        }

    def _draw(self, ones: list[PosedFrame], others: list[PosedFrame]) -> None:
        to_stream = similarity_of(
            np.concatenate([world_points(other) for other in others]),
            np.concatenate([world_points(one) for one in ones]),
        )
        self.scene.reset(len(others))
        self.scene.look(self._look)
        for shot in others:
            self._check()
            moved = brought(shot, to_stream)
            self._recording.frames.add(moved.prediction)  # what its timeline shows again
            self.scene.add(moved.prediction, moved.correction)
        self.scene.settle()

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled

    def _check_frame(self, number: int) -> None:
        self._check()

    def _publish(self, **changes: object) -> None:
        self.progress = dataclasses.replace(self.progress, **changes)


def brought(shot: PosedFrame, similarity: Similarity) -> PosedFrame:
    """A frame in another world: its pose goes along, its depth takes the other scale."""
    prediction, correction = shot.prediction, shot.correction
    pose = similarity.pose(prediction.world_from_cam)
    scale = similarity.scale
    prediction = dataclasses.replace(
        prediction,
        cam_from_world=geometry.invert(pose),
        depth=(scale * prediction.depth).astype(np.float32),
        world_points=None,  # of the other world
        world_points_conf=None,
    )
    if correction is not None:  # it corrects the depth that is there now
        correction = dataclasses.replace(
            correction, world_from_cam=similarity.pose(correction.world_from_cam)
        )
    return PosedFrame(prediction, correction)
