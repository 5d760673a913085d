"""How kept tokens lie in memory: as computed, in fewer bits, or on the host.

A buffer has slots; a token may be written to any of them, so that what a policy drops leaves room
for the next frame and nothing is moved.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from svggt.model.host_copy import HostCopy, host_buffer, on_host
from svggt.settings import Storage

Slots = slice | Tensor
"""Where tokens lie: a stretch, or numbers (R, P) with R = 1 (the same in every batch and head) or
R = B * heads."""

_GROWTH = 1.5
_GROUP = 64  # channels with a scale of their own


class NumberFormat(ABC):
    """Tokens (B, heads, P, head_dim) as one or more parts (B, heads, P, any), and back."""

    @abstractmethod
    def encode(self, tokens: Tensor) -> list[Tensor]:
        """Parts, each token's by itself."""

    @abstractmethod
    def decode(self, parts: list[Tensor], dtype: torch.dtype) -> Tensor:
        """Nearly the tokens that were encoded."""


@dataclass(frozen=True)
class Plain(NumberFormat):
    """As they are, or in another floating-point format.

    Attributes:
        dtype: kept; None: that of the tokens.
    """

    dtype: torch.dtype | None = None

    def encode(self, tokens: Tensor) -> list[Tensor]:
        return [tokens.to(self.dtype or tokens.dtype)]

    def decode(self, parts: list[Tensor], dtype: torch.dtype) -> Tensor:
        return parts[0].to(dtype)  # the part itself where nothing is converted


class Int8(NumberFormat):
    """Eight bits, symmetric, a half-precision scale for each group of 64 channels of a token."""

    def encode(self, tokens: Tensor) -> list[Tensor]:
        grouped = _grouped(tokens.float())
        scales = (grouped.abs().amax(dim=-1).clamp_min(1e-6) / 127).half()
        kept = (grouped / scales.float()[..., None]).round().clamp(-127, 127)
        return [kept.flatten(-2).to(torch.int8), scales]

    def decode(self, parts: list[Tensor], dtype: torch.dtype) -> Tensor:
        kept, scales = parts
        return (_regrouped(kept.to(dtype), scales) * scales.to(dtype)[..., None]).flatten(-2)


class Int4(NumberFormat):
    """Four bits, two channels a byte, from the least to the greatest of each group of 64."""

    def encode(self, tokens: Tensor) -> list[Tensor]:
        grouped = _grouped(tokens.float())
        least, greatest = grouped.amin(dim=-1).half(), grouped.amax(dim=-1)
        steps = ((greatest - least.float()).clamp_min(1e-6) / 15).half()
        kept = ((grouped - least.float()[..., None]) / steps.float()[..., None]).round()
        whole = kept.clamp(0, 15).flatten(-2).to(torch.uint8)
        return [whole[..., 0::2] | whole[..., 1::2] << 4, steps, least]

    def decode(self, parts: list[Tensor], dtype: torch.dtype) -> Tensor:
        packed, steps, least = parts
        whole = torch.stack([packed & 15, packed >> 4], dim=-1).flatten(-2).to(dtype)
        kept = _regrouped(whole, steps)
        return (kept * steps.to(dtype)[..., None] + least.to(dtype)[..., None]).flatten(-2)


def _grouped(tokens: Tensor) -> Tensor:
    """(..., head_dim) as (..., groups, 64); fewer channels are one group."""
    size = min(_GROUP, tokens.shape[-1])
    return tokens.unflatten(-1, (tokens.shape[-1] // size, size))


def _regrouped(kept: Tensor, scales: Tensor) -> Tensor:
    return kept.unflatten(-1, (scales.shape[-1], -1))


_FORMATS: dict[Storage, NumberFormat] = {
    "computed": Plain(),
    "float32": Plain(torch.float32),
    "float16": Plain(torch.float16),
    "bfloat16": Plain(torch.bfloat16),
    "int8": Int8(),
    "int4": Int4(),
    "host": Plain(),
}


class TokenBuffer:
    """Tokens in slots.

    Args:
        storage: number format, and whether they lie in host memory.
        balanced: every channel is divided by its largest value in what is written first. Keys
            have outliers in few channels (KIVI, Liu et al. 2024, arXiv 2402.02750); a scale a
            channel would need all tokens of a group to be kept or dropped together.
    """

    def __init__(self, storage: Storage, balanced: bool) -> None:
        self._format = _FORMATS[storage]
        self._on_host = storage == "host"
        self._balanced = balanced and not isinstance(self._format, Plain)
        self._parts: list[Tensor] = []
        self._coming: HostCopy | None = None  # of the parts, to the device
        self._channels: Tensor | None = None  # (B, heads, 1, head_dim), what each is divided by
        self._like = torch.empty(0)  # of the tokens' dtype, on their device

    def write(self, tokens: Tensor, slots: Slots, capacity: int) -> None:
        """Puts tokens into slots.

        Args:
            tokens: (B, heads, P, head_dim).
            slots: P for each; those not written yet follow those that are.
            capacity: slots to make room for, if there are fewer.
        """
        self._like = tokens.new_empty(0)
        if self._balanced and self._channels is None:
            self._channels = tokens.abs().amax(dim=2, keepdim=True).clamp_min(1e-6)
        encoded = self._format.encode(tokens if self._channels is None else tokens / self._channels)
        if not self._parts or self._parts[0].shape[2] < capacity:
            self._coming = None
            self._parts = [self._grown(i, part, capacity) for i, part in enumerate(encoded)]
        if self._coming is not None:
            for kept, part in zip(self._coming.parts(), encoded, strict=True):
                _put(kept, part, slots)
        for kept, part in zip(self._parts, encoded, strict=True):
            _put(kept, part.to(kept.device), slots)

    def fetch(self, end: int) -> None:
        """Begins to bring the first slots from host memory to the device, for the next `read`."""
        if self._on_host and self._parts:
            self._coming = HostCopy(self._parts, end, self.device)

    def let_go(self) -> None:
        """What `fetch` began to bring is not read."""
        self._coming = None

    def read(self, end: int) -> Tensor:
        """The tokens of the first slots, (B, heads, end, head_dim), on the stream's device."""
        parts = self._parts if self._coming is None else self._coming.parts()
        self._coming = None
        return self._decoded([part[:, :, :end] for part in parts])

    def take(self, slots: Tensor) -> Tensor:
        """The tokens of some slots (R, P)."""
        return self._decoded([_taken(part, slots) for part in self._parts])

    def _decoded(self, parts: list[Tensor]) -> Tensor:
        if self._on_host:
            parts = [part.to(self._like.device) for part in parts]
        tokens = self._format.decode(parts, self._like.dtype)
        return tokens if self._channels is None else tokens * self._channels

    def token_bytes(self, tokens: Tensor) -> int:
        """Bytes of one slot of all batches and heads, for tokens like these."""
        return sum(part[:, :, :1].nbytes for part in self._format.encode(tokens[:, :, :1]))

    def fixed_bytes(self, tokens: Tensor) -> int:
        """Bytes beside the slots', for tokens like these."""
        return tokens[:, :, :1].nbytes if self._balanced else 0

    def save(self) -> dict[str, Tensor]:
        """All that it holds, by name; tensors that later writes change. Empty before a write."""
        saved = {f"part{i}": part for i, part in enumerate(self._parts)}
        if self._parts:
            saved["like"] = self._like
        if self._channels is not None:
            saved["channels"] = self._channels
        return saved

    def load(self, saved: dict[str, Tensor]) -> None:
        """Holds what `save` returned, instead of what is there."""
        parts = [saved[name] for name in sorted(saved) if name.startswith("part")]
        self._coming = None
        self._like, self._channels = saved.get("like", self._like), saved.get("channels")
        self._parts = [on_host(part, self.device) for part in parts] if self._on_host else parts

    @property
    def device(self) -> torch.device:
        """Of the tokens that were written, wherever they lie now."""
        return self._like.device

    @property
    def shape(self) -> torch.Size:
        """(B, heads, slots, any) of what is allocated; empty before a write."""
        return self._parts[0].shape if self._parts else torch.Size()

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        channels = 0 if self._channels is None else self._channels.nbytes
        return channels + sum(part.nbytes for part in self._parts)

    def _grown(self, number: int, like: Tensor, capacity: int) -> Tensor:
        """A larger part that begins with the one there is."""
        shape = (*like.shape[:2], capacity, like.shape[3])
        if self._on_host:
            grown = host_buffer(shape, like.dtype, self.device)
        else:
            grown = like.new_empty(shape)
        if self._parts:
            grown[:, :, : self._parts[number].shape[2]] = self._parts[number]
        return grown


class KeysAndValues:
    """What one layer keeps: two buffers with the same slots.

    Args:
        storage: of both.
    """

    def __init__(self, storage: Storage) -> None:
        self._keys = TokenBuffer(storage, balanced=True)
        self._values = TokenBuffer(storage, balanced=False)

    @property
    def rows(self) -> int:
        """Batches times heads."""
        return self._keys.shape[:2].numel()

    @property
    def device(self) -> torch.device:
        """Where the stream computes."""
        return self._keys.device

    @property
    def capacity(self) -> int:
        """Slots that are allocated."""
        return self._keys.shape[2] if self._keys.shape else 0

    def write(self, keys: Tensor, values: Tensor, slots: Slots, capacity: int) -> None:
        """See `TokenBuffer.write`."""
        self._keys.write(keys, slots, capacity)
        self._values.write(values, slots, capacity)

    def fetch(self, end: int) -> None:
        """See `TokenBuffer.fetch`."""
        self._keys.fetch(end)
        self._values.fetch(end)

    def let_go(self) -> None:
        """See `TokenBuffer.let_go`."""
        self._keys.let_go()
        self._values.let_go()

    def read(self, end: int) -> tuple[Tensor, Tensor]:
        """Those of the first slots."""
        return self._keys.read(end), self._values.read(end)

    def take(self, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Those of some slots (R, P)."""
        return self._keys.take(slots), self._values.take(slots)

    def token_bytes(self, keys: Tensor) -> int:
        """Bytes of one slot of all batches and heads, for keys and values like these."""
        return 2 * self._keys.token_bytes(keys)

    def fixed_bytes(self, keys: Tensor) -> int:
        """Bytes beside the slots', for keys like these."""
        return self._keys.fixed_bytes(keys)

    def save(self) -> dict[str, Tensor]:
        """See `TokenBuffer.save`."""
        both = {"keys": self._keys, "values": self._values}
        return {f"{k}.{name}": t for k, buffer in both.items() for name, t in buffer.save().items()}

    def load(self, saved: dict[str, Tensor]) -> None:
        """See `TokenBuffer.load`."""
        self._keys.load(named_under("keys.", saved))
        self._values.load(named_under("values.", saved))

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._keys.nbytes + self._values.nbytes


def named_under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those whose names begin so, by the rest of their names."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def grown_capacity(room: int, needed: int) -> int:
    """Slots to allocate where there is no budget: growth by half, so that copies are few."""
    return room if needed <= room else max(needed, int(_GROWTH * room))


def _put(kept: Tensor, tokens: Tensor, slots: Slots) -> None:
    if isinstance(slots, slice):
        kept[:, :, slots] = tokens
    elif len(slots) == 1:
        kept.index_copy_(2, slots[0].to(kept.device), tokens)
    else:
        kept.flatten(0, 2).index_copy_(0, _rows(kept, slots), tokens.flatten(0, 2))


def _taken(kept: Tensor, slots: Tensor) -> Tensor:
    if len(slots) == 1:
        return kept.index_select(2, slots[0].to(kept.device))
    taken = kept.flatten(0, 2).index_select(0, _rows(kept, slots))
    return taken.unflatten(0, (*kept.shape[:2], -1))


def _rows(kept: Tensor, slots: Tensor) -> Tensor:
    """Numbers of slots (B * heads, P) in the buffer's rows of all batches and heads."""
    first = torch.arange(len(slots), device=kept.device)[:, None] * kept.shape[2]
    return (slots.to(kept.device) + first).flatten()
