"""Tokens on their way from host memory to the device, while it computes something else."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


class HostCopy:
    """A copy that has begun.

    Args:
        parts: in host memory; what is written to them from now on may be in it or not.
        device: where they are wanted. Beside a CPU they are there already: nothing is copied.
    """

    def __init__(self, parts: list[Tensor], device: torch.device) -> None:
        self._arrived: torch.Event | None = None
        if device.type != "cuda":
            self._parts = [part.to(device) for part in parts]
            return
        beside = _stream_beside(device)
        with torch.cuda.stream(beside):
            self._parts = [part.to(device, non_blocking=True) for part in parts]
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


@lru_cache(maxsize=8)
def _stream_beside(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
