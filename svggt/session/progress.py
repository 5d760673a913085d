"""What is known of a run at one moment."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from svggt.prediction import FramePrediction, MemoryMap
from svggt.refine.correction import Correction
from svggt.store.recording import RunState


@dataclass(frozen=True)
class Progress:
    """What a session can say of its run at one moment.

    Attributes:
        version: grows with every change.
        state: the run's.
        message: one sentence for people; a remedy where something failed; empty while frames
            come, whose number says enough.
        note: what else there is to say while it runs.
        total: frames expected; None if nobody knows.
        length_s: of the clip that they come from, seconds, if it says.
        latest: the newest prediction.
        tracking: the newest frame's refined camera; None where nothing is refined.
        loops: frames that were recognised in old ones, with those: loops that were closed.
        adjusted: share of the adjustment of all cameras that is done; None before and after it.
        memory: what the stream keeps of each frame, as it was lately; None where nobody knows.
        memory_changes: frames from which it remembered otherwise, with how.
        step_seconds: model time of every frame so far.
        elapsed_s: since the run began, until now or until it ended.
    """

    version: int = 0
    state: RunState = "empty"
    message: str = "Choose an example or upload a clip, then press Start."
    note: str = ""
    total: int | None = None
    length_s: float | None = None
    latest: FramePrediction | None = None
    tracking: Correction | None = None
    loops: Mapping[int, int] = field(default_factory=dict)
    adjusted: float | None = None
    memory: MemoryMap | None = None
    memory_changes: tuple[tuple[int, str], ...] = ()
    step_seconds: tuple[float, ...] = ()
    elapsed_s: float = 0.0

    @property
    def can_resume(self) -> bool:
        """Whether a run ended before its clip did."""
        return self.state in ("stopped", "failed", "interrupted") and self.frames_done > 0

    @property
    def share(self) -> float | None:
        """How much is done, 0 to 1, of all cameras or of the clip; None if unknown."""
        if self.adjusted is not None:
            return self.adjusted
        if self.total:
            return min(1.0, self.frames_done / self.total)
        if self.length_s and self.latest is not None:
            return min(1.0, self.latest.time_s / self.length_s)
        return None

    @property
    def frames_done(self) -> int:
        """Frames in the scene."""
        return len(self.step_seconds)

    @property
    def interrupted(self) -> str:
        """What is said of the run if its server ended before it did."""
        if not self.frames_done:
            return "Interrupted before its first frame. Press Start once more."
        return f"Interrupted after {self.count}. Press Resume to continue."

    @property
    def count(self) -> str:
        """Frames in the scene, for people."""
        return f"{self.frames_done} frame" + ("" if self.frames_done == 1 else "s")


class Board:
    """Where progress is read: a frozen value that is replaced by the next one."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._lock = (
            threading.Lock()
        )  # a run publishes from two threads, and its owner from another

    def publish(self, **changes: object) -> None:
        """Replaces it by one with changes."""
        with self._lock:
            version = self.progress.version + 1
            self.progress = replace(self.progress, version=version, **changes)

    def clear(self) -> None:
        """For a new run."""
        self.progress = Progress(version=self.progress.version)


def closed_loops(corrections: Iterable[Correction]) -> dict[int, int]:
    """Frames that were recognised in old ones, with those."""
    return {c.frame: c.closes for c in corrections if c.closes is not None}
