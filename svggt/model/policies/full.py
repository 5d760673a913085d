"""Keep everything, in buffers that grow geometrically."""

from __future__ import annotations

import torch
from torch import Tensor

from svggt.model.memory import FrameTokens, LayerMemory
from svggt.model.storage import KeysAndValues, Storage


class FullMemory(LayerMemory):
    """All tokens of all frames. What is staged lies behind the committed part of the buffers.

    Args:
        storage: how they are kept.
    """

    def __init__(self, storage: Storage = "computed") -> None:
        self._kept = KeysAndValues.of(storage)
        self._length = 0  # committed tokens
        self._staged = 0  # tokens behind them

    def stage(
        self, queries: Tensor, keys: Tensor, values: Tensor, frame: FrameTokens
    ) -> tuple[Tensor, Tensor]:
        start = self._length + self._staged
        end = start + keys.shape[2]
        self._kept.write(keys, values, start)
        self._staged = end - self._length
        return self._kept.read(end)

    def commit(self) -> None:
        self._length += self._staged
        self._staged = 0

    def rollback(self) -> None:
        self._staged = 0

    def save(self) -> dict[str, Tensor]:
        return {"length": torch.tensor(self._length), **self._kept.save()}

    def load(self, saved: dict[str, Tensor]) -> None:
        self._length, self._staged = int(saved["length"]), 0
        self._kept.load(saved)

    @property
    def nbytes(self) -> int:
        return self._kept.nbytes
