"""A long pass in pieces: less memory at once, and a moment between two for others to compute.

Every piece's result is that of the whole: what mixes frames (global attention) takes queries in
pieces, never keys or values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


def _no_turn() -> None:
    pass


@dataclass(frozen=True)
class Chunks:
    """How a pass is cut.

    Attributes:
        frames: at once; None: all.
        turn: called between two pieces; may wait, or raise to end the pass.
    """

    frames: int | None = None
    turn: Callable[[], None] = _no_turn

    def spans(self, count: int) -> Iterator[slice]:
        """Which of so many frames are taken at once; with a turn after each."""
        size = self.frames or count
        for first in range(0, count, size):
            yield slice(first, first + size)
            self.turn()

    def over(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """A function of x (frames, ...) that gives a result for every frame."""
        return torch.cat([function(x[span]) for span in self.spans(len(x))])


WHOLE = Chunks()
"""All at once."""
