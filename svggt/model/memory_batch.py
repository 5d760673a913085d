"""The memories of several streams as one, for a step that they take together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from svggt.model.layers import Attend
from svggt.model.memory import Memory


class MemoryBatch:
    """Each stream sees its own tokens only; the rest of the network sees one batch.

    Args:
        memories: one for each clip of the batch, which ask for the same (`scores_residual`); or
            one for all.
    """

    def __init__(self, memories: Sequence[Memory]) -> None:
        self._memories = memories

    @property
    def first_frames(self) -> tuple[int, ...]:
        """Number of the next frame in each."""
        return tuple(memory.num_frames for memory in self._memories)

    @property
    def scores_residual(self) -> bool:
        """See `Memory`."""
        return self._memories[0].scores_residual

    def global_attend(self, grid: tuple[int, int]) -> Callable[[int, Tensor | None], Attend]:
        """See `Memory`."""
        ways = [memory.global_attend(grid) for memory in self._memories]

        def attend(layer: int, residual: Tensor | None) -> Attend:
            if residual is None or len(ways) == 1:
                own = [residual] * len(ways)
            else:
                own = residual.split(1)
            return _apart([way(layer, each) for way, each in zip(ways, own, strict=True)])

        return attend

    def camera_attend(self) -> Callable[[int, int], Attend]:
        """See `Memory`."""
        ways = [memory.camera_attend() for memory in self._memories]
        return lambda number, block: _apart([way(number, block) for way in ways])


def _apart(ways: list[Attend]) -> Attend:
    """Each clip of a batch attends in its own way; no two need to see as much."""
    if len(ways) == 1:
        return ways[0]

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        clips = zip(ways, q.split(1), k.split(1), v.split(1), strict=True)
        return torch.cat([way(*clip) for way, *clip in clips])

    return attend
