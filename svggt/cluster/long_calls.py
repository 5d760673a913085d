"""Calls of seconds to minutes that tell how far they are, and can be ended from far away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from svggt.errors import Cancelled

_ANSWER_SECONDS = 60.0  # until whoever asked is taken for gone


class LongCall:
    """One such call, as the process sees it that computes."""

    def __init__(self) -> None:
        self.told: float | None = None
        """What it said last: a share, or the number that it asks about."""
        self._ended, self._answered = threading.Event(), threading.Event()

    def tell(self, told: float = 0.0) -> None:
        """Says how far it is.

        Raises:
            Cancelled: nobody waits for it any more.
        """
        self.told = told
        if self._ended.is_set():
            raise Cancelled

    def ask(self, told: float) -> None:
        """Says something that must be agreed to before it goes on.

        Raises:
            Cancelled: it was refused, or nobody answers.
        """
        self.told = told
        if not self._answered.wait(_ANSWER_SECONDS) or self._ended.is_set():
            raise Cancelled

    def end(self) -> None:
        """Nobody waits for it any more, or what it asked is refused."""
        self._ended.set()
        self._answered.set()

    def agree(self) -> None:
        """What it asked is agreed to."""
        self._answered.set()


class LongCalls:
    """Those under way, by name."""

    def __init__(self) -> None:
        self._jobs: dict[str, LongCall] = {}

    def get(self, name: str) -> LongCall | None:
        """One under way; None if it is not, yet or any more."""
        return self._jobs.get(name)

    @contextmanager
    def running(self, name: str) -> Iterator[LongCall]:
        """A block that computes one."""
        self._jobs[name] = LongCall()
        try:
            yield self._jobs[name]
        finally:
            del self._jobs[name]
