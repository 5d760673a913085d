"""What a training step costs on the device at hand: time, clips a second, memory.

`python -m benchmarks.training [--scales 1 8] [--bf16] [--compile rendering] [--json FILE]`. A
cycle is a step of every shape of clips; rendering is timed by itself, its queue drained around it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from svggt.files import EMBEDDED_WEIGHTS
from svggt.train.options import WAYS
from svggt.train.runs import read_network
from svggt.train.source import SHAPES, rendered, scaled
from svggt.train.trainer import Trainer

_WARM = 3  # cycles


def measure(
    scale: int, changes: dict[str, Any], cycles: int, device: torch.device
) -> dict[str, float]:
    """Means over whole cycles, after those of warm-up."""
    shapes = scaled(SHAPES, scale)
    options = replace(WAYS["mixed"], **changes)
    trainer = Trainer(read_network(EMBEDDED_WEIGHTS, device), options, rendered(shapes, 0, device))
    trainer.network.train()
    rendering, source = 0.0, trainer.source

    def wait() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def timed(step: int, part: int):
        nonlocal rendering
        begun = wait()
        batch = source(step, part)
        rendering += wait() - begun
        return batch

    for _ in range(_WARM * len(shapes)):  # kernels of every size are chosen
        trainer.take_step()
    started = wait()
    for _ in range(cycles * len(shapes)):
        trainer.take_step()
    seconds = (wait() - started) / cycles / len(shapes)
    trainer.source = timed
    for _ in shapes:
        trainer.take_step()
    peak = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else float("nan")
    return {
        "scale": scale,
        "ms a step": 1000 * seconds,
        "rendering ms": 1000 * rendering / len(shapes),
        "frames a second": sum(s.clips * s.frames for s in shapes) / len(shapes) / seconds,
        "peak GB": peak,
    }


def main() -> None:
    """Prints a line a scale."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training")
    parser.add_argument("--scales", type=int, nargs="+", default=[1], help="times as many clips")
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16, but cameras")
    parser.add_argument("--compile", nargs="*", default=[], choices=["blocks", "rendering"])
    parser.add_argument("--cycles", type=int, default=1, help="steps of every shape")
    parser.add_argument("--json", type=Path, help="file to write")
    asked = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = []
    for scale in asked.scales:
        changes = {"bf16": asked.bf16, "compile": tuple(asked.compile)}
        rows.append(measure(scale, changes, asked.cycles, device))
        sys.stdout.write("  ".join(f"{name} {value:.4g}" for name, value in rows[-1].items()))
        sys.stdout.write("\n")
        sys.stdout.flush()
        if asked.json:  # now: the next scale may not fit the device
            asked.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
