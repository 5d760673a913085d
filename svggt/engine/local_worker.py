"""Where streams live: here, in this process. One thread a device runs one step at a time.

Steps queue in the order they are asked for, and a session asks for its next frame only after
the last one, so that sessions share a device in turn, frame by frame.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.device_lock import DeviceLock
from svggt.engine.offline import check_capacity, predict_clip, track_point
from svggt.engine.peak_memory import PeakMemory
from svggt.engine.stream import Stream
from svggt.engine.weight_cache import WeightCache, fit_together
from svggt.engine.worker import Pass, Step
from svggt.errors import MemoryFull
from svggt.media.frames import Frame
from svggt.model.chunks import Chunks
from svggt.model.policies import policy_of
from svggt.prediction import FramePrediction, PointTrack
from svggt.refine.correction import Correction
from svggt.refine.refiner import Refiner
from svggt.refine.solver import ProcessSolver, SolverProcess, WaitingSolver
from svggt.settings import StreamSettings

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Loader = Callable[[Callable[[int, int], None]], LoadedModel]

_POLL_SECONDS = 0.1  # between two looks at a load that is waited for
_FRAMES_A_PIECE = 1  # of a pass over a whole clip: a stream waits for one at most


@dataclass(eq=False)
class _Running:
    stream: Stream
    refiner: Refiner | None
    beside: bool


class LocalWorker:
    """Streams in this process, over weights that they share.

    Args:
        cache_bytes: for the cached token memories of all streams together.
        loaders: of weights that are loaded when they are asked for, by name.
    """

    def __init__(
        self, cache_bytes: int = 8_000_000_000, loaders: Mapping[str, Loader] | None = None
    ) -> None:
        self._cache_bytes, self._loaders = cache_bytes, dict(loaders or {})
        self._loading, self._residency = threading.Lock(), WeightCache()
        self._models: dict[str, LoadedModel] = {}
        self._streams: dict[str, _Running] = {}
        self._windows = SolverProcess()
        self._device_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="device")
        self._turns, self._meter = DeviceLock(), PeakMemory()

    @property
    def models(self) -> dict[str, LoadedModel]:
        """Loaded models by name, in the order they came."""
        return dict(self._models)

    def fit_together(self, *names: str) -> bool:
        """Whether loaded models are on the device at once; else they take turns on it."""
        return fit_together([self._models[name] for name in dict.fromkeys(names)])

    @property
    def num_streams(self) -> int:
        """Streams open."""
        return len(self._streams)

    @property
    def offered(self) -> list[str]:
        """Names of all models that can be had, loaded or not."""
        return list(dict.fromkeys([*self._models, *self._loaders]))

    def add_model(self, model: LoadedModel) -> None:
        """Offers weights to streams that are opened from now on."""
        self._models[model.name] = model

    def check_capacity(self, model: str, size: tuple[int, int], count: int, at_once: bool) -> None:
        """Says before anything starts if a loaded model cannot take a run's frames.

        Args:
            model: name of it.
            size: (H, W) of the frames.
            count: of the frames.
            at_once: they go through in one pass; else one at a time.

        Raises:
            BadInput: it takes pictures of another width, or a pass over so many would fill the
                device; the number that fits is named.
        """
        check_capacity(self._models[model], size, count if at_once else 1)

    def fetch(self, name: str, on_bytes: Callable[[int, int], None]) -> LoadedModel:
        """A model of `offered`, loaded unless it is there.

        Args:
            name: of it.
            on_bytes: told (done, total) bytes while a file downloads; may raise to end it.

        Raises:
            KeyError: nobody offers it.
            CheckpointError: it cannot be had.
        """
        while not self._loading.acquire(timeout=_POLL_SECONDS):
            on_bytes(0, 0)  # somebody else loads
        try:
            if name not in self._models:
                self.add_model(self._loaders[name](on_bytes))
            return self._models[name]
        finally:
            self._loading.release()

    def open(self, settings: StreamSettings, beside: bool = False) -> str:
        """Begins a stream and returns its id.

        Args:
            settings: of it.
            beside: it is compared with another one: it gives way to streams, has half of their
                memory at most, and waits for its windows.

        Raises:
            KeyError: no such model is loaded.
        """
        stream_id = secrets.token_hex(8)
        model = self._models[settings.model]
        stream = Stream(model, policy_of(settings), settings.points)
        solver = (WaitingSolver if beside else ProcessSolver)(self._windows)
        refiner = Refiner(solver) if settings.refine else None
        self._streams[stream_id] = _Running(stream, refiner, beside)
        return stream_id

    def step(self, stream_id: str, frame: Frame) -> Step:
        """Waits for the device's turn, then takes in one frame; see `Stream.step`.

        Cameras are refined on the caller's thread: landmarks are followed while the device
        predicts, the rest is done while it serves others.

        Raises:
            KeyError: the stream was closed. A worker never starts an empty one in its place.
            MemoryFull: no memory is left for a stream to grow; it stays as it is.
        """
        running = self._streams[stream_id]
        used = sum(each.stream.memory_bytes for each in list(self._streams.values()))
        if used > (self._cache_bytes // 2 if running.beside else self._cache_bytes):
            raise MemoryFull("the memory set aside for all streams is used up")
        if running.beside:
            prediction, followed = self._step_in_gaps(running.stream, frame), None
        else:
            predicting = self._on_device(partial(self._measured_step, running.stream, frame))
            followed = self._ask_refiner(running, lambda refiner: refiner.follow(frame.grey))
            prediction = predicting.result()
        corrections = self._ask_refiner(
            running, lambda refiner: refiner.add(frame.grey, prediction, followed)
        )
        return Step(prediction, corrections or [])

    def track(self, model: str, shown: list[FramePrediction], pixel: tuple[int, int]) -> PointTrack:
        """Follows a pixel when the device's turn comes; see `offline.track_point`.

        Raises:
            KeyError: no such model is loaded.
            ValueError: it has no track head.
        """
        return self._on_device(partial(self._track, self._models[model], shown, pixel)).result()

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
            frames: of one size.
            causal: the batch form of a stream; else what offline VGGT does.
            on_turn: called between two pieces; may raise to end the pass.

        Raises:
            KeyError: no such model is loaded.
        """

        model, waited = self._models[settings.model], 0.0
        with (
            self._turns.patient(on_turn) as give_way,
            self._meter.peak(model.device.torch) as peak,
        ):

            def turn() -> None:
                nonlocal waited
                on_turn()
                waited += self._away(give_way, model)

            self._residency.use(model)
            started, chunks = time.perf_counter(), Chunks(_FRAMES_A_PIECE, turn)
            predictions = predict_clip(model, frames, causal, settings.points, chunks)
            seconds = time.perf_counter() - started - waited
        return Pass(predictions, seconds, peak.num_bytes)

    def refine_clip(
        self,
        frames: list[Frame],
        predictions: list[FramePrediction],
        on_turn: Callable[[], None] = lambda: None,
    ) -> list[Correction]:
        """Corrections of a whole clip that was predicted at once, in the order they were made.

        Args:
            frames: of the clip.
            predictions: one a frame.
            on_turn: called with every frame; may raise to end it.
        """
        refiner, made = Refiner(WaitingSolver(self._windows)), []
        for frame, prediction in zip(frames, predictions, strict=True):
            self.wait_for_gap(on_turn)
            made += refiner.add(frame.grey, prediction)
        return made + refiner.settle()

    def wait_for_gap(self, check: Callable[[], None]) -> None:
        """Waits until no stream computes: on a CPU all work beside them takes of what they need.

        Args:
            check: called at least once; may raise to end it.
        """
        check()
        self._turns.wait_for_gap(check)

    def _step_in_gaps(self, stream: Stream, frame: Frame) -> FramePrediction:
        """A step of a stream that gives way to others between two layers."""
        model, waited = stream.model, 0.0
        with (
            self._turns.patient() as give_way,
            self._meter.peak(model.device.torch) as peak,
        ):

            def turn() -> None:
                nonlocal waited
                waited += self._away(give_way, model)

            self._residency.use(model)
            prediction = stream.step(frame, Chunks(None, turn))
        seconds = prediction.seconds - waited
        return replace(prediction, seconds=seconds, peak_bytes=peak.num_bytes)

    def _away(self, give_way: Callable[[], float], model: LoadedModel) -> float:
        """Seconds that a turn was given away for, weights brought back included."""
        left = time.perf_counter()
        if not give_way():
            return 0.0
        self._residency.use(model)  # who went first may have used others
        return time.perf_counter() - left

    def _measured_step(self, stream: Stream, frame: Frame) -> FramePrediction:
        with self._meter.peak(stream.model.device.torch) as peak:
            self._residency.use(stream.model)
            prediction = stream.step(frame)
        return replace(prediction, peak_bytes=peak.num_bytes)

    def _track(
        self, model: LoadedModel, shown: list[FramePrediction], pixel: tuple[int, int]
    ) -> PointTrack:
        self._residency.use(model)
        return track_point(model, shown, pixel)

    @staticmethod
    def _ask_refiner(
        running: _Running, question: Callable[[Refiner], Result | None]
    ) -> Result | None:
        """What a stream's refiner answers; None where it has none, or none any more."""
        if running.refiner is None:
            return None
        try:
            return question(running.refiner)
        except Exception:  # OpenCV raises its own; the stream must not end by it
            log.exception("refinement ended; the stream goes on with the camera head")
            running.refiner = None
            return None

    def _on_device(self, compute: Callable[[], Result]) -> Future[Result]:
        """Computes when the device's turn comes."""

        def in_turn() -> Result:
            with self._turns.urgent():
                return compute()

        return self._device_thread.submit(in_turn)

    def settle(self, stream_id: str) -> list[Correction]:
        """Corrections that are still on their way after the last frame; waits for them."""
        refiner = self._streams[stream_id].refiner
        return [] if refiner is None else refiner.settle()

    def close(self, stream_id: str) -> None:
        """Ends a stream and frees its memory; closing twice is harmless."""
        self._streams.pop(stream_id, None)

    def shutdown(self) -> None:
        """Ends the device thread."""
        self._streams.clear()
        self._windows.close()
        self._device_thread.shutdown(wait=True)
