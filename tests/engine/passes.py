"""Passes over a whole clip beside a stream."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from svggt.engine.local_worker import LocalWorker
from svggt.media.frames import Frame
from svggt.settings import StreamSettings


@contextmanager
def passing(worker: LocalWorker, settings: StreamSettings, frames: list[Frame]) -> Iterator[list]:
    """One pass after the other, cancelled at the end; yields a list that grows with each turn."""
    cancelled, pieces = threading.Event(), []

    def on_turn() -> None:
        pieces.append(1)
        if cancelled.is_set():
            raise InterruptedError

    def passes() -> None:
        with pytest.raises(InterruptedError):
            while True:
                worker.predict_clip(settings, frames, causal=False, on_turn=on_turn)

    thread = threading.Thread(target=passes)
    thread.start()
    try:
        yield pieces
    finally:
        cancelled.set()
        thread.join()
