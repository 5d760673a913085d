"""Tokens on their way from host memory to the device, while it computes something else."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


class HostCopy:
    """A copy that has begun.

    Args:
        parts: (B, heads, slots, any) each, in host memory; what is written to them from now on may
            be in it or not.
        end: slots that were written, which are copied.
        device: where they are wanted. Beside a CPU they are there already: nothing is copied.
    """

    def __init__(self, parts: list[Tensor], end: int, device: torch.device) -> None:
        self._arrived: torch.Event | None = None
        if device.type != "cuda":
            self._parts = [part.to(device) for part in parts]
            return
        beside = _stream_beside(device)
        with torch.cuda.stream(beside):
            self._parts = [torch.empty_like(part, device=device) for part in parts]
            for there, part in zip(self._parts, parts, strict=True):
                # A head at a time: a device copies by itself only what lies in one piece.
                for row, kept in zip(there.flatten(0, 1), part.flatten(0, 1), strict=True):
                    row[:end].copy_(kept[:end], non_blocking=True)
        self._arrived = beside.record_event()

    def parts(self) -> list[Tensor]:
        """On the device; what computes with them waits until they are there, the host does not."""
        if self._arrived is not None:
            computing = torch.cuda.current_stream(self._parts[0].device)
            computing.wait_event(self._arrived)
            for part in self._parts:  # their memory was taken by the other stream
                part.record_stream(computing)
            self._arrived = None
        return self._parts


def host_buffer(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Host memory, not set: of a kind that a device copies from by itself, if it has such."""
    return torch.empty(shape, dtype=dtype, pin_memory=device.type == "cuda")


def on_host(part: Tensor, device: torch.device) -> Tensor:
    """A copy in such memory, for a device."""
    return host_buffer(tuple(part.shape), part.dtype, device).copy_(part)


@lru_cache(maxsize=8)
def _stream_beside(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
