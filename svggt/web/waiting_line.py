"""Who may begin now: a few at once, the others in the order they came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class WaitingLine:
    """A line in one event loop.

    Args:
        at_once: who stands first may begin, so many together.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._line: list[object] = []

    @contextmanager
    def join(self) -> Iterator[Callable[[], int]]:
        """A place in the line until the block ends.

        Yields:
            How many must begin or leave before one may; 0: one may now.
        """
        place = object()
        self._line.append(place)
        try:
            yield lambda: max(0, self._line.index(place) + 1 - self._at_once)
        finally:
            self._line.remove(place)
