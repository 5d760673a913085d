"""What runs streams, wherever it lives; knows neither torch nor devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from svggt.media.frames import Frame
from svggt.prediction import FramePrediction, MemoryMap, PointTrack
from svggt.refine.correction import Correction
from svggt.refine.tracking import Sightings
from svggt.settings import StreamSettings

if TYPE_CHECKING:  # it has networks, and brings torch with it
    from svggt.engine.model_registry import ModelRegistry


@dataclass(frozen=True, eq=False)
class Step:
    """What came of one frame.

    Attributes:
        prediction: what the model says of it.
        corrections: refined cameras, this frame's and older ones'; empty where nothing is refined.
        sightings: what the refined cameras hold on to in it.
    """

    prediction: FramePrediction
    corrections: list[Correction]
    sightings: Sightings | None = None


@dataclass(frozen=True)
class Load:
    """What a worker carries.

    Attributes:
        num_streams: open.
        cache_bytes: allocated for their cached token memories, without those that are parked.
        num_frames: predicted so far.
        model_seconds: that they took.
        takes_more: whether it takes another stream.
    """

    num_streams: int
    cache_bytes: int
    num_frames: int
    model_seconds: float
    takes_more: bool = True


@dataclass(frozen=True, eq=False)
class RefinedClip:
    """Refined cameras of a clip that was predicted at once.

    Attributes:
        corrections: in the order they were made.
        sightings: one a frame: what the cameras hold on to in it.
    """

    corrections: list[Correction]
    sightings: list[Sightings]


@dataclass(frozen=True, eq=False)
class Pass:
    """What came of a whole clip at once.

    Attributes:
        predictions: one a frame.
        seconds: that it took, without waiting for streams.
        peak_bytes: the device's memory at its highest meanwhile, all included; None if unknown.
    """

    predictions: list[FramePrediction]
    seconds: float
    peak_bytes: int | None


class Worker(Protocol):
    """Streams over weights that they share; `LocalWorker` says what each call does."""

    @property
    def models(self) -> ModelRegistry:
        """The weights."""
        ...

    @property
    def loses_streams(self) -> bool:
        """Whether what runs them may be gone: every call on a stream may raise `StreamLost`."""
        ...

    def load(self) -> Load:
        """What it carries now."""
        ...

    def open(
        self,
        settings: StreamSettings,
        beside: bool = False,
        snapshot: Path | None = None,
        again: str = "",
    ) -> str:
        """Begins a stream, or goes on from a snapshot, in the place of a lost one; its id."""
        ...

    def step(
        self, stream_id: str, frame: Frame, then: Callable[[], Frame | None] = lambda: None
    ) -> Step:
        """Takes one frame into a stream, and may begin with the one that is said to come then."""
        ...

    def snapshot(self, stream_id: str, path: Path) -> None:
        """Writes a stream to a file that `open` goes on from."""

    def change_memory(
        self, stream_id: str, settings: StreamSettings, record: Callable[[int], None]
    ) -> None:
        """Remembers by other settings from the next frame on, whose number is recorded first."""

    def memory_map(self, stream_id: str) -> MemoryMap | None:
        """What a stream keeps of each frame."""
        ...

    def finalize(self, stream_id: str) -> list[Correction]:
        """Corrections that come after the last frame."""
        ...

    def adjust(
        self, stream_id: str, on_share: Callable[[float], None] = lambda share: None
    ) -> list[Correction]:
        """Corrections of all cameras, adjusted at once after the last frame."""
        ...

    def close(self, stream_id: str) -> None:
        """Ends a stream; closing twice is harmless."""

    def track(self, model: str, shown: list[FramePrediction], pixel: tuple[int, int]) -> PointTrack:
        """Follows a pixel through frames."""
        ...

    def predict_clip(
        self,
        settings: StreamSettings,
        frames: list[Frame],
        causal: bool,
        on_turn: Callable[[], None] = lambda: None,
    ) -> Pass:
        """All frames in one pass."""
        ...

    def refine_clip(
        self,
        settings: StreamSettings,
        frames: list[Frame],
        predictions: list[FramePrediction],
        on_turn: Callable[[], None] = lambda: None,
    ) -> RefinedClip:
        """Refined cameras of a clip that was predicted at once."""
        ...

    def wait_for_gap(self, check: Callable[[], None]) -> None:
        """Waits until no stream computes."""

    def shutdown(self) -> None:
        """Ends all streams."""
