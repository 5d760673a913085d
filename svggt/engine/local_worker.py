"""Where streams live: here, in this process.

A session has at most one frame in the queue for the device: its next one, once the last one is
predicted. They are taken in that order, each with waiting ones of others that can go along.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from svggt.engine.adjuster import Adjuster
from svggt.engine.device_queue import DeviceQueue, Measured
from svggt.engine.model_registry import ModelRegistry
from svggt.engine.offline import predict_clip, track_point
from svggt.engine.open_streams import Ahead, OpenStream, Parking, cached_bytes, new_stream
from svggt.engine.snapshot import read as read_snapshot
from svggt.engine.snapshot import write as write_snapshot
from svggt.engine.step_queue import StepQueue
from svggt.engine.worker import Load, Pass, RefinedClip, Step
from svggt.errors import BadInput, MemoryFull, SnapshotRefused
from svggt.media.frames import Frame
from svggt.model.chunks import Chunks
from svggt.model.policies import policy_of
from svggt.prediction import FramePrediction, MemoryMap, PointTrack
from svggt.refine.correction import Correction
from svggt.refine.refiner import Refiner
from svggt.refine.solver import ProcessSolver, SolverProcess, WaitingSolver
from svggt.refine.tracking import Sightings
from svggt.settings import BudgetError, StreamSettings

_FRAMES_A_PIECE = 1  # of a pass over a whole clip: a stream waits for one at most


class LocalWorker:
    """Streams in this process, over weights that they share.

    Args:
        models: the weights.
        cache_bytes: for the cached token memories of all streams together; streams that have not
            stepped for longest wait on disk where it is exceeded, with identical results.

    Attributes:
        models: the weights.
        loses_streams: they live as long as this process.
        num_frames: predicted so far.
        model_seconds: that they took.
    """

    loses_streams = False

    def __init__(
        self,
        models: ModelRegistry,
        cache_bytes: int = 8_000_000_000,
    ) -> None:
        self.models = models
        self._streams: dict[str, OpenStream] = {}
        self._windows, self._device = SolverProcess(), DeviceQueue()
        self._steps = StepQueue(self._device)
        self._adjuster = Adjuster()
        self.num_frames, self.model_seconds = 0, 0.0
        self._parking = Parking(cache_bytes)

    @property
    def num_streams(self) -> int:
        """Streams open."""
        return len(self._streams)

    @property
    def cache_bytes(self) -> int:
        """Bytes allocated for the cached token memories of all streams that are not parked."""
        return cached_bytes(self._streams.values())

    def load(self) -> Load:
        """What it carries now."""
        return Load(self.num_streams, self.cache_bytes, self.num_frames, self.model_seconds)

    def open(
        self,
        settings: StreamSettings,
        beside: bool = False,
        snapshot: Path | None = None,
        again: str = "",
    ) -> str:
        """Begins a stream and returns its id.

        Args:
            settings: how it is computed.
            beside: it is compared with another one: it gives way to streams, has half of their
                memory at most, and waits for its windows.
            snapshot: a file to go on from; see `snapshot`.
            again: a stream of ours whose place it takes; it ends.

        Raises:
            KeyError: no such model is loaded.
            SnapshotRefused: the file is damaged, or of another stream.
        """
        self.close(again)
        stream_id = again or secrets.token_hex(8)
        stream = new_stream(self.models[settings.model], settings)
        refined = None if snapshot is None else read_snapshot(snapshot, stream, settings)
        if refined is not None and refined.frames:
            refined.note_moved(0)  # what was told since may be of another world: adjusted cameras
        solver = (WaitingSolver if beside else ProcessSolver)(self._windows)
        refiner = None
        if settings.refine:
            refiner = Refiner(solver, state=refined, field_of_view=settings.field_of_view)
        self._streams[stream_id] = OpenStream(settings, stream, refiner, beside)
        return stream_id

    def snapshot(self, stream_id: str, path: Path) -> None:
        """Writes a stream to a file that `open` goes on from, bit for bit; waits for its window.

        Raises:
            KeyError: the stream was closed.
            OSError: the file cannot be written.
        """
        running = self._streams[stream_id]
        with running.stepping:
            assert running.ahead is None, "no snapshot was to come before the next frame"
            self._parking.bring_back(running)
            running.ask_refiner(lambda refiner: refiner.settle_window())
            refined = None if running.refiner is None else running.refiner.state
            write_snapshot(path, running.stream, refined, running.settings)

    def step(
        self, stream_id: str, frame: Frame, then: Callable[[], Frame | None] = lambda: None
    ) -> Step:
        """Waits for the device's turn, then takes in one frame; see `Stream.step`.

        Cameras are refined on the caller's thread: landmarks are followed while the device
        predicts, the rest is done while it serves others, or predicts the next frame.

        Args:
            stream_id: the stream's.
            frame: the one that comes now.
            then: says the one that will come next, without a snapshot before it; None: it is not
                known yet.

        Raises:
            KeyError: the stream was closed. A worker never starts an empty one in its place.
            BadInput: the budget of the memory does not hold two of these frames.
            MemoryFull: no memory is left for a stream to grow, also after others were parked on
                disk; it stays as it is.
        """
        running = self._streams[stream_id]
        with running.stepping:
            try:
                return self._step(running, frame, then)
            except BudgetError as error:
                raise BadInput(f"{error}.") from None

    def _step(self, running: OpenStream, frame: Frame, then: Callable[[], Frame | None]) -> Step:
        followed = None
        if running.beside:
            self._make_ready(running)
            step = partial(running.stream.step, frame)
            done = self._device.in_gaps(running.stream.model, lambda turn: step(Chunks(None, turn)))
        else:
            predicting = self._predicting(running, frame)
            followed = running.ask_refiner(lambda refiner: refiner.follow(frame.grey))
            done = predicting.result()
            self._look_ahead(running, then)
        prediction = replace(done.result, seconds=done.seconds, peak_bytes=done.peak_bytes)
        self.num_frames += 1
        self.model_seconds += done.seconds
        corrections = running.ask_refiner(
            lambda refiner: refiner.add(frame.grey, prediction, followed)
        )
        running.stream.correct(corrections or [])
        seen = running.ask_refiner(lambda refiner: refiner.state.sightings)
        return Step(prediction, corrections or [], seen)

    def _make_ready(self, running: OpenStream) -> None:
        """Makes sure that a stream is in memory, and has room to grow."""
        self._parking.make_room(running, self._streams.values())
        self._parking.bring_back(running)
        running.used_s = time.monotonic()

    def _predicting(self, running: OpenStream, frame: Frame) -> Future[Measured[FramePrediction]]:
        """What will be said of a frame, which may have been asked for ahead."""
        ahead, running.ahead = running.ahead, None
        if ahead is not None:
            assert ahead.frame is frame, "another frame was to come next"
            if running.stream.heeds_cameras:  # its memory was changed since, and is told of them
                self._parking.bring_back(running)
            return ahead.predicting
        self._make_ready(running)
        return self._steps.submit(running.stream, frame)

    def _look_ahead(self, running: OpenStream, then: Callable[[], Frame | None]) -> None:
        """Asks for the next frame while the newest one's camera is refined.

        Not where what it says depends on that camera, nor where others wait for a gap.
        """
        if running.stream.heeds_cameras or self._device.gap_is_wanted or (frame := then()) is None:
            return
        running.look()
        with suppress(MemoryFull, OSError, SnapshotRefused):  # its own step says so
            running.ahead = Ahead(frame, self._predicting(running, frame))

    def change_memory(
        self, stream_id: str, settings: StreamSettings, record: Callable[[int], None]
    ) -> None:
        """Remembers by other settings from the next frame on; what is kept is carried over.

        Args:
            stream_id: the stream's.
            settings: of which memory, window, budget and storage count.
            record: told the number of that frame before it counts; what it raises undoes it.

        Raises:
            KeyError: the stream was closed.
            BudgetError: the budget is too small for its frames, if there was one; the stream is
                as it was.
            MemoryFull: the device is; the stream is as it was.
        """
        running = self._streams[stream_id]
        with running.stepping:
            running.wait()
            self._parking.bring_back(running)
            changed, stream = running.settings.with_memory_of(settings), running.stream
            if changed != running.settings:  # blocks would begin anew
                changing = partial(stream.with_policy, policy_of(changed))
                try:
                    stream = self._device.submit(stream.model, changing).result().result
                except torch.OutOfMemoryError:
                    raise MemoryFull("no room for the other memory beside this one") from None
            record(stream.num_frames)
            running.settings, running.stream = changed, stream

    def memory_map(self, stream_id: str) -> MemoryMap | None:
        """What a stream keeps of each frame; None before its first, and while it is parked.

        Raises:
            KeyError: the stream was closed.
        """
        running = self._streams[stream_id]
        with running.stepping:
            return running.stream.memory_map() if running.ahead is None else running.map

    def finalize(self, stream_id: str) -> list[Correction]:
        """Corrections that are still on their way after the last frame; waits for them."""
        refiner = self._streams[stream_id].refiner
        return [] if refiner is None else refiner.settle()

    def adjust(
        self, stream_id: str, on_share: Callable[[float], None] = lambda share: None
    ) -> list[Correction]:
        """Corrections of all cameras, adjusted at once after `finalize`; see `Refiner.adjust`.

        Args:
            stream_id: the stream's.
            on_share: told how much is done, 0 to 1; what it raises ends it, and nothing moves.
        """
        refiner = self._streams[stream_id].refiner
        return [] if refiner is None else self._adjuster.adjust(refiner, on_share)

    def close(self, stream_id: str) -> None:
        """Ends a stream and frees its memory; closing twice is harmless."""
        running = self._streams.pop(stream_id, None)
        if running is not None and running.parked is not None:
            running.parked.unlink(missing_ok=True)

    def track(self, model: str, shown: list[FramePrediction], pixel: tuple[int, int]) -> PointTrack:
        """Follows a pixel when the device's turn comes; see `offline.track_point`.

        Raises:
            KeyError: no such model is loaded.
            ValueError: it has no track head.
        """
        loaded = self.models[model]
        tracking = self._device.submit(loaded, partial(track_point, loaded, shown, pixel))
        return tracking.result().result

    def predict_clip(
        self,
        settings: StreamSettings,
        frames: list[Frame],
        causal: bool,
        on_turn: Callable[[], None] = lambda: None,
    ) -> Pass:
        """All frames in one pass, on the caller's thread, in the gaps that streams leave.

        Args:
            settings: model, and whether the point head is run.
            frames: the clip's, of one size.
            causal: the batch form of a stream; else what offline VGGT does.
            on_turn: called between two pieces; may raise to end the pass.

        Raises:
            KeyError: no such model is loaded.
        """
        model = self.models[settings.model]

        def compute(turn: Callable[[], None]) -> list[FramePrediction]:
            chunks = Chunks(_FRAMES_A_PIECE, turn)
            return predict_clip(model, frames, causal, settings.points, chunks)

        done = self._device.in_gaps(model, compute, on_turn)
        return Pass(done.result, done.seconds, done.peak_bytes)

    def refine_clip(
        self,
        settings: StreamSettings,
        frames: list[Frame],
        predictions: list[FramePrediction],
        on_turn: Callable[[], None] = lambda: None,
    ) -> RefinedClip:
        """Refined cameras of a clip that was predicted at once.

        Args:
            settings: what is known of the lens.
            frames: the clip's.
            predictions: one a frame.
            on_turn: called with every frame; may raise to end it.
        """
        solver, made, seen = WaitingSolver(self._windows), list[Correction](), list[Sightings]()
        refiner = Refiner(solver, field_of_view=settings.field_of_view)
        for frame, prediction in zip(frames, predictions, strict=True):
            self.wait_for_gap(on_turn)
            made += refiner.add(frame.grey, prediction)
            seen.append(refiner.state.sightings)
        made += refiner.settle()
        return RefinedClip(made + self._adjuster.adjust(refiner, lambda share: on_turn()), seen)

    def wait_for_gap(self, check: Callable[[], None]) -> None:
        """Waits until no stream computes: on a CPU all work beside them takes of what they need.

        Args:
            check: called at least once; may raise to end it.
        """
        self._device.wait_for_gap(check)

    def shutdown(self) -> None:
        """Ends all streams, the device's thread and the process of windows."""
        self._streams.clear()
        self._windows.close()
        self._device.shutdown()
        self._parking.close()
