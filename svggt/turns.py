"""Who computes on a device: streams first, and a long pass in the gaps that they leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """One at a time. Who is waited for goes before a pass that can wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy = False
        self._urgent = 0  # waiting

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """A turn as soon as the device is free."""
        with self._changed:
            self._urgent += 1
            try:
                self._changed.wait_for(lambda: not self._busy)
            finally:
                self._urgent -= 1
            self._busy = True
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def patient(self) -> Iterator[None]:
        """A long turn; whoever has it calls `give_way` often."""
        self._enter_patiently()
        try:
            yield
        finally:
            self._leave()

    def give_way(self) -> float:
        """Lets those go first who wait; returns the seconds that this took."""
        if not self._urgent:
            return 0.0
        started = time.perf_counter()
        self._leave()
        self._enter_patiently()
        return time.perf_counter() - started

    def _enter_patiently(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._busy and not self._urgent)
            self._busy = True

    def _leave(self) -> None:
        with self._changed:
            self._busy = False
            self._changed.notify_all()
