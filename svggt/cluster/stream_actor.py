"""What runs on each device: a `LocalWorker`, for pages in other processes and on other machines."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from svggt.cluster.long_calls import LongCalls
from svggt.engine.checkpoints import LoadedModel, chosen_model, load_model
from svggt.engine.devices import choose_device, in_passing
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.engine.weight_cache import loaders_of
from svggt.engine.worker import Load, Pass, RefinedClip, Step
from svggt.errors import Busy, StreamLost
from svggt.media.frames import Frame
from svggt.prediction import FramePrediction, MemoryMap, PointTrack
from svggt.refine.correction import Correction
from svggt.settings import Precision, StreamSettings

_FORGOTTEN_SECONDS = 300.0  # unused and not asked to be kept: the page that had it is gone
_PACKAGE = Path(__file__).parents[1]
_REFUSED = "This worker takes no further stream."
_HAS_NONE = "This worker does not have these weights."


@dataclass(frozen=True)
class Build:
    """What a worker computes with; streams move only between those that are alike.

    Attributes:
        code: hash of the package's code.
        model: weights that were asked for.
        precision: numbers that were asked for.
        weights: hash of those it has.
        dtype: numbers that it computes in.
    """

    code: str
    model: str
    precision: Precision
    weights: str
    dtype: str


@cache
def code_hash() -> str:
    """Of this process's code: versions of it do not understand each other's messages."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@dataclass
class _Kept:
    """A stream here: epoch, name within this process, whether it gives way, last use."""

    epoch: int
    local: str
    beside: bool
    used_s: float
    memory_bytes: int = 0


class StreamActor:
    """Streams of pages elsewhere, each under an epoch: a page that was taken for lost is refused.

    Args:
        worker: what computes.
        most_bytes: of its streams' cached memories; from there on no further stream is taken.
    """

    def __init__(self, worker: LocalWorker, most_bytes: int) -> None:
        self._worker, self._most_bytes = worker, most_bytes
        self._streams: dict[str, _Kept] = {}
        self._opening, self._draining = threading.Lock(), False
        self._jobs = LongCalls()

    def load(self) -> Load:
        """What it carries now; streams that were forgotten go first."""
        with self._opening:
            oldest = time.monotonic() - _FORGOTTEN_SECONDS
            for stream_id, kept in list(self._streams.items()):
                if kept.used_s < oldest:
                    self._drop(stream_id)
            taken = sum(kept.memory_bytes for kept in self._streams.values())  # parked ones too
        room = taken < self._most_bytes and not self._draining
        return replace(self._worker.load(), takes_more=room)

    def keep(self, streams: list[tuple[str, int]]) -> None:
        """A page still has these, by name and epoch; what nobody asks to keep is forgotten."""
        with self._opening:
            for stream_id, epoch in streams:
                kept = self._streams.get(stream_id)
                if kept is not None and kept.epoch == epoch:
                    kept.used_s = time.monotonic()

    def drain(self, draining: bool = True) -> None:
        """Takes no further stream; those here move to others before their next frame."""
        self._draining = draining

    def process(self) -> int:
        """The number that its machine knows it by."""
        return os.getpid()

    def models(self) -> tuple[list[LoadedModel], list[str]]:
        """What is loaded, without the weights, and names of all that can be had."""
        models = self._worker.models
        return [model.outline() for model in models.values()], models.offered

    def fetch(self, name: str, job: str) -> None:
        """Loads a model of those offered; see `ModelRegistry.fetch`."""
        with self._jobs.running(job) as running:
            self._worker.models.fetch(name, lambda done, total: running.tell(done))

    def fit_together(self, names: tuple[str, ...]) -> bool:
        """See `ModelRegistry.fit_together`."""
        for name in names:
            self._load_model(name)
        return self._worker.models.fit_together(*names)

    def check_capacity(self, name: str, size: tuple[int, int], count: int, at_once: bool) -> None:
        """See `ModelRegistry.check_capacity`."""
        self._load_model(name)
        self._worker.models.check_capacity(name, size, count, at_once)

    def open(
        self,
        stream_id: str,
        epoch: int,
        settings: StreamSettings,
        beside: bool,
        snapshot: bytes | None,
    ) -> None:
        """Begins a stream, or goes on from a snapshot.

        Raises:
            Busy: no further one is taken.
            StreamLost: it is here already under this epoch or a later one.
            SnapshotRefused: see `LocalWorker.open`.
        """
        if not self.load().takes_more:
            raise Busy(_REFUSED)
        self._load_model(settings.model)
        with self._opening:
            if stream_id in self._streams:
                if self._streams[stream_id].epoch >= epoch:
                    raise StreamLost(f"epoch {epoch} of stream {stream_id} is past")
                self._drop(stream_id)
            with tempfile.TemporaryDirectory() as folder:
                path = None
                if snapshot is not None:
                    path = Path(folder, "snapshot")
                    path.write_bytes(snapshot)
                local = self._worker.open(settings, beside, path)
            self._streams[stream_id] = _Kept(epoch, local, beside, time.monotonic())

    def step(self, stream_id: str, epoch: int, frame: Frame) -> tuple[Step, bool]:
        """Takes one frame in; also whether the stream has to move. See `LocalWorker.step`."""
        kept = self._find(stream_id, epoch)
        compute = partial(self._worker.step, kept.local, frame)
        # What computes on the caller's thread must not stay on one of those that Ray keeps.
        step = in_passing(compute) if kept.beside else compute()
        kept.memory_bytes = step.prediction.memory_bytes
        return step, self._draining

    def snapshot(self, stream_id: str, epoch: int) -> bytes:
        """What `open` goes on from."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "snapshot")
            self._worker.snapshot(self._find(stream_id, epoch).local, path)
            return path.read_bytes()

    def change_memory(self, stream_id: str, epoch: int, settings: StreamSettings, job: str) -> None:
        """Remembers otherwise once the number of the next frame was agreed to."""
        with self._jobs.running(job) as running:
            self._worker.change_memory(self._find(stream_id, epoch).local, settings, running.ask)

    def memory_map(self, stream_id: str, epoch: int) -> MemoryMap | None:
        """What a stream keeps of each frame."""
        return self._worker.memory_map(self._find(stream_id, epoch).local)

    def finalize(self, stream_id: str, epoch: int) -> list[Correction]:
        """Corrections that come after the last frame."""
        return self._worker.finalize(self._find(stream_id, epoch).local)

    def adjust(self, stream_id: str, epoch: int, job: str) -> list[Correction]:
        """Corrections of all cameras, adjusted at once."""
        with self._jobs.running(job) as running:
            return self._worker.adjust(self._find(stream_id, epoch).local, running.tell)

    def close(self, stream_id: str, epoch: int) -> None:
        """Ends a stream, unless it has a later epoch here; closing twice is harmless."""
        with self._opening:
            kept = self._streams.get(stream_id)
            if kept is not None and kept.epoch <= epoch:
                self._drop(stream_id)

    def track(self, model: str, shown: list[FramePrediction], pixel: tuple[int, int]) -> PointTrack:
        """Follows a pixel through frames."""
        self._load_model(model)
        return self._worker.track(model, shown, pixel)

    def predict_clip(
        self, settings: StreamSettings, frames: list[Frame], causal: bool, job: str
    ) -> Pass:
        """All frames in one pass."""
        self._load_model(settings.model)
        with self._jobs.running(job) as running:
            compute = partial(self._worker.predict_clip, settings, frames, causal, running.tell)
            return in_passing(compute)

    def refine_clip(
        self,
        settings: StreamSettings,
        frames: list[Frame],
        predictions: list[FramePrediction],
        job: str,
    ) -> RefinedClip:
        """Refined cameras of a clip that was predicted at once."""
        with self._jobs.running(job) as running:
            return self._worker.refine_clip(settings, frames, predictions, running.tell)

    def told(self, job: str) -> float | None:
        """What a call under way said last."""
        running = self._jobs.get(job)
        return None if running is None else running.told

    def answer(self, job: str, agreed: bool) -> None:
        """Agrees to what a call under way asks, or ends it; one that is not yet is asked again."""
        running = self._jobs.get(job)
        if running is not None:
            (running.agree if agreed else running.end)()

    def _load_model(self, name: str) -> None:
        """Makes sure that weights are here: a worker that came back has its first ones only.

        Raises:
            Busy: it cannot have them.
            CheckpointError: see `ModelRegistry.fetch`.
        """
        try:
            self._worker.models.fetch(name, lambda done, total: None)
        except KeyError:
            raise Busy(_HAS_NONE) from None

    def _find(self, stream_id: str, epoch: int) -> _Kept:
        """A stream that is here.

        Raises:
            StreamLost: it is not here, or under another epoch. None is begun in its place.
        """
        kept = self._streams.get(stream_id)
        if kept is None or kept.epoch != epoch:
            raise StreamLost(f"epoch {epoch} of stream {stream_id} is not here")
        kept.used_s = time.monotonic()
        return kept

    def _drop(self, stream_id: str) -> None:
        self._worker.close(self._streams.pop(stream_id).local)


class DeviceActor(StreamActor):
    """One on the device that this process finds.

    Args:
        model: weights, as the command line names them; others are loaded when they are asked for.
        precision: numbers of the backbone.
        cache_bytes: see `LocalWorker`.
    """

    def __init__(self, model: str, precision: Precision, cache_bytes: int) -> None:
        device = choose_device(precision)
        first = load_model(chosen_model(model, device), device)
        models = ModelRegistry([first], loaders_of(device))
        dtype = str(device.dtype).removeprefix("torch.")
        self._build = Build(code_hash(), model, precision, first.sha256[:12], dtype)
        super().__init__(LocalWorker(models, cache_bytes), cache_bytes)

    def build(self) -> Build:
        """What it computes with."""
        return self._build
