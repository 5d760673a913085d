"""The published-size network on a GPU: the newest frame's latency, streaming and offline.

`python -m benchmarks.gpu [--json FILE]`: 1.2 B random weights, 518x392, bfloat16, all heads. In
under five minutes; without a GPU it says so and exits 0.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from svggt.model.chunks import Chunks
from svggt.model.config import ModelConfig
from svggt.model.memory import CachePolicy, Memory
from svggt.model.network import VGGT
from svggt.model.policies import full, window

_SIZE = (392, 518)
_WARM = 24
_MEASURED = 40
_OFFLINE = (1, 10, 25, 50, 100)
_AT_ONCE = Chunks(frames=10)  # of the dense heads' maps


def network_on(device: torch.device, config: ModelConfig) -> VGGT:
    """Random weights; the aggregator in bfloat16, the heads in float32, as presets are loaded."""
    with device:
        network = VGGT(config)
    network.aggregator.to(torch.bfloat16)
    return network.eval().requires_grad_(False)


def milliseconds(call: Callable[[], object], device: torch.device) -> float:
    """Until the device has done it."""
    _wait(device)
    started = time.perf_counter()
    call()
    _wait(device)
    return 1000 * (time.perf_counter() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@torch.inference_mode()
def streamed(network: VGGT, policy: CachePolicy, frame: Tensor, frames: int) -> list[float]:
    """Milliseconds of every frame of a stream, all heads, its figures still on the device."""
    memory = Memory(network.config, policy)

    def step() -> None:
        network.step(frame, memory, points=True)
        memory.commit()

    return [milliseconds(step, frame.device) for _ in range(frames)]


@torch.inference_mode()
def replayed(network: VGGT, policy: CachePolicy, frame: Tensor) -> float:
    """Milliseconds of one steady step captured as a CUDA graph: a step without the host's work.

    A replay writes to the ring slot that was captured, so this is a bound, not yet a stream.
    """
    memory = Memory(network.config, policy)
    for _ in range(_WARM):
        network.step(frame, memory, points=True)
        memory.commit()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        network.step(frame, memory, points=True)
    return statistics.median(milliseconds(graph.replay, frame.device) for _ in range(_MEASURED))


@torch.inference_mode()
def difference_on_host(network: VGGT, frame: Tensor) -> float:
    """Of depth between tokens kept on the device and on the host, which should be none."""
    memories = [Memory(network.config, window(4, kept)) for kept in ("computed", "host")]
    largest = 0.0
    for number in range(8):
        shown = frame.roll(20 * number, dims=-1)
        ours, theirs = (network.step(shown, memory, points=False).depth for memory in memories)
        largest = max(largest, float((ours - theirs).abs().amax()))
        for memory in memories:
            memory.commit()
    return largest


@torch.inference_mode()
def offline(network: VGGT, frame: Tensor, frames: int) -> float:
    """Milliseconds until offline VGGT has answered for so many frames, the newest one too."""
    clip = frame.expand(-1, frames, -1, -1, -1)
    calls = [
        milliseconds(lambda: network(clip, causal=False, chunks=_AT_ONCE), frame.device)
        for _ in range(2)
    ]
    return calls[-1]


def measure(device: torch.device, config: ModelConfig, size: tuple[int, int]) -> dict:
    """All figures, in milliseconds."""
    network = network_on(device, config)
    frame = torch.rand(1, 1, 3, *size, device=device)
    bounded = streamed(network, window(16), frame, _WARM + _MEASURED)[_WARM:]
    on_host = streamed(network, window(16, "host"), frame, _WARM + _MEASURED)[_WARM:]
    growing = streamed(network, full(), frame, max(_OFFLINE))
    figures: dict = {
        "window 16: median": statistics.median(bounded),
        "window 16: p95": statistics.quantiles(bounded, n=20)[-1],
        "window 16, tokens on the host: median": statistics.median(on_host),
        "the host's depth, largest difference": difference_on_host(network, frame),
    }
    if device.type == "cuda":
        try:
            figures["window 16: one captured step"] = replayed(network, window(16), frame)
        except RuntimeError as error:  # not every operation can be captured
            figures["window 16: one captured step"] = f"not captured: {error}".splitlines()[0]
    for frames in _OFFLINE:
        near = growing[max(0, frames - 5) : frames] if frames > 1 else growing[:1]
        figures[f"full memory, frame {frames}"] = statistics.median(near)
        figures[f"offline, {frames} frames"] = offline(network, frame, frames)
    return figures


def main() -> None:
    """Prints the figures, and writes them where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--json", type=Path, help="file to write")
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        sys.stdout.write("no GPU here: nothing was measured\n")
        return
    device = torch.device("cuda")
    figures = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "size": f"{_SIZE[1]}x{_SIZE[0]}",
        **measure(device, ModelConfig(), _SIZE),
        "peak GB": torch.cuda.max_memory_allocated() / 1e9,
    }
    for name, value in figures.items():
        shown = f"{value:9.4g}" if isinstance(value, float) else value
        sys.stdout.write(f"{name:38} {shown}\n")
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
