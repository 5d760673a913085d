"""Keep everything, in buffers that grow geometrically."""

from __future__ import annotations

from torch import Tensor

from svggt.model.memory import FrameTokens, LayerMemory

_GROWTH = 1.5


class FullMemory(LayerMemory):
    """All tokens of all frames. What is staged lies behind the committed part of the buffers."""

    def __init__(self) -> None:
        self._keys: Tensor | None = None
        self._values: Tensor | None = None
        self._length = 0  # committed tokens
        self._staged = 0  # tokens behind them

    def stage(
        self, queries: Tensor, keys: Tensor, values: Tensor, frame: FrameTokens
    ) -> tuple[Tensor, Tensor]:
        start = self._length + self._staged
        end = start + keys.shape[2]
        self._keys = _write(self._keys, keys, start)
        self._values = _write(self._values, values, start)
        self._staged = end - self._length
        return self._keys[:, :, :end], self._values[:, :, :end]

    def commit(self) -> None:
        self._length += self._staged
        self._staged = 0

    def rollback(self) -> None:
        self._staged = 0

    @property
    def nbytes(self) -> int:
        return sum(x.nbytes for x in (self._keys, self._values) if x is not None)


def _write(buffer: Tensor | None, new: Tensor, start: int) -> Tensor:
    """Writes tokens at `start`, into a larger copy of the buffer where they do not fit."""
    end = start + new.shape[2]
    if buffer is None or buffer.shape[2] < end:
        capacity = end if buffer is None else max(end, int(_GROWTH * buffer.shape[2]))
        grown = new.new_empty(*new.shape[:2], capacity, new.shape[3])
        if buffer is not None:
            grown[:, :, :start] = buffer[:, :, :start]
        buffer = grown
    buffer[:, :, start:end] = new
    return buffer
