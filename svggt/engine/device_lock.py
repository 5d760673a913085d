"""Who computes on a device: streams first, and a long pass in the gaps that they leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_POLL_SECONDS = 0.1  # between two looks whether a wait has lost its sense


class DeviceLock:
    """One at a time. Who is waited for goes before a pass that can wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy = self._busy_with_urgent = False
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
            self._busy = self._busy_with_urgent = True
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def patient(self, check: Callable[[], None] = lambda: None) -> Iterator[Callable[[], float]]:
        """A long turn. What it yields lets those go first who wait: call it often.

        It returns the seconds that this took.

        Args:
            check: called while the turn is waited for; may raise to end that.
        """
        self._enter_patiently(check)
        held = True

        def give_way() -> float:
            nonlocal held
            if not self._urgent:
                return 0.0
            started = time.perf_counter()
            self._leave()
            held = False
            self._enter_patiently(check)
            held = True
            return time.perf_counter() - started

        try:
            yield give_way
        finally:
            if held:
                self._leave()

    def wait_for_gap(self, check: Callable[[], None] = lambda: None) -> None:
        """Waits until no stream computes or waits, and takes no turn."""
        with self._changed:
            while self._busy_with_urgent or self._urgent:
                self._changed.wait(_POLL_SECONDS)
                check()

    def _enter_patiently(self, check: Callable[[], None]) -> None:
        with self._changed:
            while self._busy or self._urgent:
                self._changed.wait(_POLL_SECONDS)
                check()
            self._busy = True

    def _leave(self) -> None:
        with self._changed:
            self._busy = self._busy_with_urgent = False
            self._changed.notify_all()
