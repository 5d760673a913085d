"""Runs of sessions on frames from memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from svggt.errors import BadInput
from svggt.media.frames import Frame, InputLimits
from svggt.session.session import Session
from svggt.settings import StreamSettings
from tests.conftest import PATIENCE, each_frame, wait_for

SETTINGS = StreamSettings(model="tiny", memory="window", window=2)


@dataclass
class Made:
    """Frames from memory, as a clip; may fail or wait at a frame."""

    count: int
    fail_at: int | None = None
    wait_at: int | None = None
    gate: threading.Event | None = None

    cut: bool = False
    length_s: float | None = None
    limits: InputLimits = field(default_factory=lambda: InputLimits(max_frames=50))

    @property
    def total(self) -> int:
        return self.count

    def is_cut(self, taken: int) -> bool:
        return self.cut

    def frames(self, cancelled=lambda: False, note=lambda sentence: None) -> Iterator[Frame]:
        for frame in each_frame(self.count):
            if frame.number == self.fail_at:
                raise BadInput("Frame is damaged. Save it again.")
            if frame.number == self.wait_at and self.gate is not None:
                self.gate.wait(PATIENCE)
            yield frame


def run(session: Session, clip, settings: StreamSettings = SETTINGS) -> None:
    session.start(clip, settings)


def wait(session: Session, until) -> None:
    wait_for(lambda: until(session.progress), lambda: session.progress.message)


def ended(progress) -> bool:
    return progress.state not in ("running", "empty")
