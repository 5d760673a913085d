"""What a comparison is of, and how far it is, as plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from svggt.compare.result import ComparisonResult
from svggt.compare.run_config import Latency, RunConfig
from svggt.data.truth import TruthFile
from svggt.scene.scene import Scene
from svggt.store.recording import Recording

ComparisonState = Literal["running", "finished", "cancelled", "failed"]


@dataclass(frozen=True)
class ComparisonRequest:
    """What a run is compared with.

    Attributes:
        way: of the other run, B.
        every: begin it again with every so many frames that the stream has; None: once, over the
            frames that are there.
        frames: the first so many at most; None: all.
    """

    way: RunConfig
    every: int | None = None
    frames: int | None = None


@dataclass(frozen=True)
class ReferenceRun:
    """A session's run, A.

    Attributes:
        way: how it is made.
        recording: of it; it may go on meanwhile.
        scene: of it.
        running: whether more frames come.
        expected: frames that it has at most when it has ended.
        has_room: whether the disk takes more.
        truth: where its clip's lies.
    """

    way: RunConfig
    recording: Recording
    scene: Scene
    running: Callable[[], bool]
    expected: int
    has_room: Callable[[], bool]
    truth: TruthFile | None


@dataclass(frozen=True)
class ComparisonProgress:
    """How far a comparison is.

    Attributes:
        version: grows with every change.
        state: of it.
        message: for people; a remedy where something failed.
        latencies: of B so far.
        outcome: of the newest round; None before the first one has ended.
    """

    version: int
    state: ComparisonState
    message: str
    latencies: tuple[Latency, ...] = ()
    outcome: ComparisonResult | None = None
