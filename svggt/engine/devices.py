"""Which device the model runs on, and in which numbers. Decided here and nowhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from svggt.settings import Precision


@dataclass(frozen=True)
class Device:
    """A device and how the network's backbone computes on it.

    The heads stay float32, as in the published code; only the aggregator is reduced.

    Attributes:
        torch: the device.
        dtype: numbers of the aggregator's weights and the cached token memory.
        name: for people.
        free_bytes: free accelerator memory at start; None for a CPU.
    """

    torch: torch.device
    dtype: torch.dtype
    name: str
    free_bytes: int | None


def choose_device(precision: Precision = "auto") -> Device:
    """The best device at hand: CUDA, then MPS, then the CPU.

    bf16 where the GPU has it, fp16 on older ones (a T4; an overflow is caught per step), float32
    on a CPU.
    """
    if torch.cuda.is_available():
        newer = torch.cuda.get_device_capability()[0] >= 8  # Ampere: bf16 in hardware
        auto = torch.bfloat16 if newer else torch.float16
        free, _ = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        return Device(torch.device("cuda"), _dtype(precision, auto), name, free)
    if torch.backends.mps.is_available():
        dtype = _dtype(precision, torch.float16)
        return Device(torch.device("mps"), dtype, "Apple GPU", torch.mps.recommended_max_memory())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    dtype = _dtype(precision, torch.float32)
    return Device(torch.device("cpu"), dtype, f"{cores} CPU cores", None)


def _dtype(precision: Precision, auto: torch.dtype) -> torch.dtype:
    return auto if precision == "auto" else getattr(torch, precision)
