"""What a comparison is of, and how far it is, as plain values."""

from __future__ import annotations

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
        way: how the other run, B, is computed.
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
        recording: where it is on disk; it may go on meanwhile.
        scene: where it is drawn.
        expected: frames that it has at most when it has ended.
        truth: where its clip's lies.
    """

    way: RunConfig
    recording: Recording
    scene: Scene
    expected: int
    truth: TruthFile | None


@dataclass(frozen=True)
class ComparisonProgress:
    """How far a comparison is.

    Attributes:
        version: grows with every change.
        state: the comparison's.
        message: for people; a remedy where something failed.
        latencies: B's so far.
        outcome: what the newest round found; None before the first one has ended.
    """

    version: int
    state: ComparisonState
    message: str
    latencies: tuple[Latency, ...] = ()
    outcome: ComparisonResult | None = None
