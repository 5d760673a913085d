"""Memory at its highest while something is computed: the process's on a CPU, the GPU's on one."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_HIGH_WATER = re.compile(r"VmHWM:\s+(\d+) kB")


@dataclass
class Peak:
    """What was measured.

    Attributes:
        num_bytes: at the highest, weights and all else that is there included; None while it is
            measured, where something longer is measured already, and where nobody counts (macOS).
    """

    num_bytes: int | None = None


class PeakMemory:
    """Measures one thing at a time: there is one high-water mark, which a beginning resets."""

    def __init__(self) -> None:
        self._free = threading.Lock()

    @contextmanager
    def peak(self, device: torch.device) -> Iterator[Peak]:
        """Measures a block; within a longer block it leaves the mark alone."""
        peak = Peak()
        if not self._free.acquire(blocking=False):
            yield peak
            return
        try:
            _reset(device)
            yield peak
            peak.num_bytes = _highest(device)
        finally:
            self._free.release()


def _reset(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):
            _RESET.write_text("5")  # proc(5): sets the high-water mark to what is used now


def _highest(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        found = _HIGH_WATER.search(_STATUS.read_text())
    except OSError:
        return None
    return None if found is None else 1024 * int(found[1])
