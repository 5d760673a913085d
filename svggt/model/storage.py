"""How kept keys and values lie in memory: as they are computed, in bfloat16, or in 8 bits.

In 8 bits keys have a scale per channel of a frame and values one per token, symmetric (KIVI,
Liu et al. 2024: keys have outliers in few channels, values do not).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Storage = Literal["computed", "bfloat16", "int8"]

_GROWTH = 1.5
_LARGEST = 127


class TokenBuffer(ABC):
    """Tokens (B, heads, N, head_dim), written a frame at a time."""

    @abstractmethod
    def write(self, tokens: Tensor, start: int, capacity: int | None = None) -> None:
        """Puts a frame's tokens at a position, in place of what was there.

        Args:
            tokens: (B, heads, P, head_dim); all frames have as many.
            start: a multiple of P.
            capacity: tokens to make room for at first; None grows as they come.
        """

    @abstractmethod
    def read(self, end: int) -> Tensor:
        """The tokens before a position, as they were computed or nearly."""

    @abstractmethod
    def save(self) -> dict[str, Tensor]:
        """All that it holds, by name; tensors that later writes change. Empty before a write."""

    @abstractmethod
    def load(self, saved: dict[str, Tensor]) -> None:
        """Holds what `save` returned, instead of what is there."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes allocated."""


class PlainBuffer(TokenBuffer):
    """As they are, or in fewer bits of the same number format.

    Args:
        dtype: kept; None: that of the tokens.
    """

    def __init__(self, dtype: torch.dtype | None = None) -> None:
        self._dtype = dtype
        self._kept: Tensor | None = None
        self._computed = torch.float32

    def write(self, tokens: Tensor, start: int, capacity: int | None = None) -> None:
        self._computed = tokens.dtype
        kept = tokens.to(self._dtype or tokens.dtype)
        self._kept = _written(self._kept, kept, start, capacity)

    def read(self, end: int) -> Tensor:
        assert self._kept is not None
        return self._kept[:, :, :end].to(self._computed)  # a view where nothing is converted

    def save(self) -> dict[str, Tensor]:
        if self._kept is None:
            return {}
        return {"kept": self._kept, "computed": self._kept.new_empty(0, dtype=self._computed)}

    def load(self, saved: dict[str, Tensor]) -> None:
        self._kept = saved.get("kept")
        self._computed = saved["computed"].dtype if saved else torch.float32

    @property
    def nbytes(self) -> int:
        return _bytes(self._kept)


class Int8Buffer(TokenBuffer):
    """In 8 bits with scales.

    Args:
        per_channel: one scale a channel of a frame, else one a token.
    """

    def __init__(self, per_channel: bool) -> None:
        self._dim = 2 if per_channel else 3
        self._kept: Tensor | None = None
        self._scales: Tensor | None = None
        self._tokens = 1  # of a frame
        self._computed = torch.float32

    def write(self, tokens: Tensor, start: int, capacity: int | None = None) -> None:
        self._computed, self._tokens = tokens.dtype, tokens.shape[2]
        scales = tokens.float().abs().amax(dim=self._dim, keepdim=True).clamp_min(1e-8) / _LARGEST
        kept = (tokens.float() / scales).round().to(torch.int8)
        self._kept = _written(self._kept, kept, start, capacity)
        rows = scales.shape[2]  # 1 or P
        places = None if capacity is None else capacity * rows // self._tokens
        start_row = start * rows // self._tokens
        self._scales = _written(self._scales, scales.half(), start_row, places)

    def read(self, end: int) -> Tensor:
        assert self._kept is not None and self._scales is not None
        kept = self._kept[:, :, :end].to(self._computed)
        if self._dim == 3:
            return kept * self._scales[:, :, :end].to(self._computed)
        frames = end // self._tokens
        scales = self._scales[:, :, :frames].to(self._computed)
        shaped = kept.unflatten(2, (frames, self._tokens)) * scales[:, :, :, None]
        return shaped.flatten(2, 3)

    def save(self) -> dict[str, Tensor]:
        if self._kept is None or self._scales is None:
            return {}
        return {
            "kept": self._kept,
            "scales": self._scales,
            "tokens": torch.tensor(self._tokens),
            "computed": self._kept.new_empty(0, dtype=self._computed),
        }

    def load(self, saved: dict[str, Tensor]) -> None:
        self._kept, self._scales = saved.get("kept"), saved.get("scales")
        self._tokens = int(saved["tokens"]) if saved else 1
        self._computed = saved["computed"].dtype if saved else torch.float32

    @property
    def nbytes(self) -> int:
        return _bytes(self._kept) + _bytes(self._scales)


@dataclass(frozen=True, eq=False)
class KeysAndValues:
    """What one layer keeps."""

    keys: TokenBuffer
    values: TokenBuffer

    @classmethod
    def of(cls, storage: Storage) -> KeysAndValues:
        """Empty."""
        if storage == "int8":
            return cls(Int8Buffer(per_channel=True), Int8Buffer(per_channel=False))
        dtype = torch.bfloat16 if storage == "bfloat16" else None
        return cls(PlainBuffer(dtype), PlainBuffer(dtype))

    def write(self, keys: Tensor, values: Tensor, start: int, capacity: int | None = None) -> None:
        """Puts a frame's at a position; see `TokenBuffer.write`."""
        self.keys.write(keys, start, capacity)
        self.values.write(values, start, capacity)

    def read(self, end: int) -> tuple[Tensor, Tensor]:
        """Those before a position."""
        return self.keys.read(end), self.values.read(end)

    def save(self) -> dict[str, Tensor]:
        """See `TokenBuffer.save`."""
        both = {"keys": self.keys, "values": self.values}
        return {f"{k}.{name}": t for k, buffer in both.items() for name, t in buffer.save().items()}

    def load(self, saved: dict[str, Tensor]) -> None:
        """See `TokenBuffer.load`."""
        self.keys.load(named_under("keys.", saved))
        self.values.load(named_under("values.", saved))

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self.keys.nbytes + self.values.nbytes


def named_under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those whose names begin so, by the rest of their names."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _written(buffer: Tensor | None, new: Tensor, start: int, capacity: int | None) -> Tensor:
    """Writes at `start`, into a larger copy of the buffer where it does not fit."""
    end = start + new.shape[2]
    if buffer is None or buffer.shape[2] < end:
        room = capacity or (end if buffer is None else max(end, int(_GROWTH * buffer.shape[2])))
        grown = new.new_empty(*new.shape[:2], room, new.shape[3])
        if buffer is not None:
            grown[:, :, :start] = buffer[:, :, :start]
        buffer = grown
    buffer[:, :, start:end] = new
    return buffer


def _bytes(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.nbytes
