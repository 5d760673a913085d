"""Who computes on a device: streams first, and a long pass in the gaps that they leave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

POLL_SECONDS = 0.1
"""Between two looks of one who waits whether it was cancelled meanwhile."""


class DeviceLock:
    """One at a time. The foreground (streams) goes before the background (passes that can wait)."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy = self._in_foreground = False
        self._waiting = 0  # in the foreground
        self._in_background = 0  # turns, whether they compute or wait, and who waits for a gap

    @property
    def gap_is_wanted(self) -> bool:
        """Whether somebody in the background computes, or waits until no stream does."""
        return self._in_background > 0

    @contextmanager
    def foreground(self) -> Iterator[None]:
        """A turn as soon as the device is free."""
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: not self._busy)
            finally:
                self._waiting -= 1
            self._busy = self._in_foreground = True
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def background(self, check: Callable[[], None] = lambda: None) -> Iterator[Callable[[], bool]]:
        """A long turn. What it yields lets those go first who wait: call it often.

        It returns whether somebody did.

        Args:
            check: called while the turn is waited for; may raise to end that.
        """
        with self._wanting_gap():
            self._enter_background(check)
            held = True

            def yield_device() -> bool:
                nonlocal held
                if not self._waiting:
                    return False
                self._leave()
                held = False
                self._enter_background(check)
                held = True
                return True

            try:
                yield yield_device
            finally:
                if held:
                    self._leave()

    def wait_for_gap(self, check: Callable[[], None] = lambda: None) -> None:
        """Waits until no stream computes or waits, and takes no turn."""
        with self._wanting_gap(), self._changed:
            while self._in_foreground or self._waiting:
                self._changed.wait(POLL_SECONDS)
                check()

    @contextmanager
    def _wanting_gap(self) -> Iterator[None]:
        with self._changed:
            self._in_background += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_background -= 1

    def _enter_background(self, check: Callable[[], None]) -> None:
        with self._changed:
            while self._busy or self._waiting:
                self._changed.wait(POLL_SECONDS)
                check()
            self._busy = True

    def _leave(self) -> None:
        with self._changed:
            self._busy = self._in_foreground = False
            self._changed.notify_all()
