"""Which device the model runs on, and in which numbers. Decided here and nowhere else."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import TypeVar

import torch
import torch.nn.functional as F

from svggt.settings import Precision

Result = TypeVar("Result")

_TOKENS, _WIDTH = 181, 256  # of the embedded weights

PRODUCT_FLOPS = 2 * _TOKENS * 4 * _WIDTH * _WIDTH
"""Of the product that a CPU is judged by."""

_TRIES = 20
_FASTER = 1.5  # times: less is not worth the rounding
_LAYERS, _LEAST_TRIES, _LAYERS_SECONDS = 4, 3, 0.04  # of a trial of threads
_NEARLY = 1.2  # times as long as with more threads: a core for all else is worth that


@dataclass(frozen=True)
class Device:
    """A device and how the network's backbone computes on it.

    The camera head stays float32, as in the published code; so do the dense heads, but on a CPU.

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

    @property
    def is_cpu(self) -> bool:
        """Whether it computes on one, wherever weights are put first."""
        return self.free_bytes is None and self.torch.type == "cpu"

    def place(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """A weight of the network as it is computed with here."""
        dense = name.startswith(("depth_head.", "point_head.")) and "output_conv2.2" not in name
        reduced = name.startswith("aggregator.") or (dense and self.is_cpu)
        placed = weight.to(self.torch, self.dtype if reduced else torch.float32)
        if self.is_cpu and placed.dim() == 4:  # convolutions are a third faster so
            placed = placed.contiguous(memory_format=torch.channels_last)
        return placed


def choose_device(precision: Precision = "auto") -> Device:
    """The best device at hand: CUDA, then MPS, then the CPU.

    bf16 where the GPU has it, fp16 on older ones (a T4; an overflow is caught per step); on a CPU
    bf16 where that is measured to be faster than float32.
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
    auto = torch.bfloat16 if precision == "auto" and _has_fast_bfloat16() else torch.float32
    return Device(torch.device("cpu"), _dtype(precision, auto), f"{cores} CPU cores", None)


def enough_threads(device: Device, width: int) -> int:
    """The fewest threads of a CPU that compute nearly as fast as all that there are.

    What is left over is the tracker's and the browser's. In float32 all are taken: the last bits
    of a sum depend on their number, and such results are the same in every process.

    Args:
        device: where a network computes.
        width: of its tokens.
    """
    if device.is_cpu and device.dtype == torch.bfloat16:
        return _measured_threads(width)
    return all_threads()


@cache
def all_threads() -> int:
    """That this process may compute with: a core each, or what OpenMP was told."""
    return torch.get_num_threads()


def use_threads(count: int) -> None:
    """Lets the thread that calls compute with so many; others that compute already keep theirs."""
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


def in_passing(compute: Callable[[], Result]) -> Result:
    """Computes in a thread that ends.

    OpenMP keeps helpers for every thread that has computed; where there are more of them than
    cores they sleep after each operation, which makes a step half as fast.
    """
    with ThreadPoolExecutor(1) as passing:
        return passing.submit(compute).result()


@cache
def _has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies in bfloat16 itself; else it is slower than float32."""
    usual, reduced = (
        in_passing(partial(product_seconds, dtype)) for dtype in (torch.float32, torch.bfloat16)
    )
    return reduced < usual / _FASTER


@cache
def _measured_threads(width: int) -> int:
    most = all_threads()
    counts = sorted({*(2**power for power in range(most.bit_length())), most})
    return fewest({n: in_passing(partial(_layers_seconds, width, n)) for n in counts})


def fewest(seconds: Mapping[int, float]) -> int:
    """The fewest threads that are nearly as fast as any other number of them.

    Args:
        seconds: of the same work, by the number of threads.
    """
    return min(n for n, took in seconds.items() if took <= _NEARLY * min(seconds.values()))


@torch.inference_mode()
def _layers_seconds(width: int, threads: int) -> float:
    """Seconds of a few layers like a frame's, of products and of what lies between; the best."""
    use_threads(threads)
    dtype = torch.bfloat16
    up = torch.ones(4 * width, width, dtype=dtype) / width
    down, norm = up.T.contiguous(), torch.ones(width, dtype=dtype)
    took, ends = list[float](), time.perf_counter() + _LAYERS_SECONDS
    while len(took) < _LEAST_TRIES or time.perf_counter() < ends:
        x, started = torch.ones(_TOKENS, width, dtype=dtype), time.perf_counter()
        for _ in range(_LAYERS):
            wide = F.gelu(F.linear(F.layer_norm(x, (width,), norm), up))
            x = x + F.linear(wide, down)
        took.append(time.perf_counter() - started)
    return min(took)


def product_seconds(dtype: torch.dtype) -> float:
    """Seconds of one product on the CPU, as large as a frame's are; the best of a few."""
    x = torch.ones(_TOKENS, _WIDTH, dtype=dtype)
    weight = torch.ones(4 * _WIDTH, _WIDTH, dtype=dtype)
    best = math.inf
    for _ in range(_TRIES):
        started = time.perf_counter()
        F.linear(x, weight)
        best = min(best, time.perf_counter() - started)
    return best


def _dtype(precision: Precision, auto: torch.dtype) -> torch.dtype:
    return auto if precision == "auto" else getattr(torch, precision)
