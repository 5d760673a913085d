"""Which worker has which stream: a row a stream, looked up, never computed from its name."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from svggt.settings import StreamSettings


@dataclass(frozen=True)
class Location:
    """One stream.

    Attributes:
        worker: name of the worker that has it.
        epoch: how often it was opened; only the newest counts.
        settings: how it is computed now.
        beside: it is a comparison's.
        last_frame: number of the newest frame that it took; -1 before the first.
        snapshot: the newest file that it can go on from, in the folder of its frames.
        memory_bytes: of its cached token memory after that frame.
    """

    worker: str
    epoch: int
    settings: StreamSettings
    beside: bool
    last_frame: int = -1
    snapshot: Path | None = None
    memory_bytes: int = 0


class Directory:
    """The rows of one page's streams."""

    def __init__(self) -> None:
        self._rows: dict[str, Location] = {}
        self._lock = threading.Lock()

    def __getitem__(self, stream_id: str) -> Location:
        return self._rows[stream_id]

    def get(self, stream_id: str) -> Location | None:
        """A stream's row; None if it has none."""
        return self._rows.get(stream_id)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._rows))

    @property
    def memory_bytes(self) -> int:
        """Of all streams' cached token memories."""
        with self._lock:
            return sum(row.memory_bytes for row in self._rows.values())

    def by_worker(self) -> dict[str, list[tuple[str, int]]]:
        """Names and epochs of the streams that each worker has."""
        there = defaultdict[str, list[tuple[str, int]]](list)
        with self._lock:
            for stream_id, row in self._rows.items():
                there[row.worker].append((stream_id, row.epoch))
        return there

    def put(self, stream_id: str, row: Location) -> None:
        """A stream is there now."""
        with self._lock:
            self._rows[stream_id] = row

    def note(self, stream_id: str, epoch: int, /, **changed: Any) -> None:
        """Attributes that changed of a stream under an epoch; nothing if that is past."""
        with self._lock:
            row = self._rows.get(stream_id)
            if row is not None and row.epoch == epoch:
                self._rows[stream_id] = replace(row, **changed)

    def remove(self, stream_id: str) -> Location | None:
        """A stream has ended; its row, if it had one."""
        with self._lock:
            return self._rows.pop(stream_id, None)
