"""Words for `svggt.train` that make the most of so many seconds, from what steps were measured.

`python -m benchmarks.plan_training FOLDER --seconds 1500`: reads plain.json and compiled.json of
`benchmarks.training`, and prints the scale, whether to compile, and how many steps there will be.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

_SLOW = 300.0  # milliseconds: a larger batch than that costs too many steps
_WORTH = 0.9  # of a step's time, from which compiling is worth its start


def plan(plain: list[dict], compiled: list[dict], seconds: float) -> str:
    """Options: the largest scale that is not slow, compiled where that pays.

    Args:
        plain: rows of `benchmarks.training`.
        compiled: rows with --compile; none where it failed.
        seconds: of training in all.
    """
    quick = [row for row in plain if row["ms a step"] <= _SLOW] or plain[:1]
    chosen = max(quick, key=lambda row: row["scale"])
    words, step = ["--scale", f"{chosen['scale']:.0f}"], chosen["ms a step"]
    same = [row["ms a step"] for row in compiled if row["scale"] == chosen["scale"]]
    if same and same[0] <= _WORTH * step:
        words, step = [*words, "--compile", "rendering"], same[0]
    return " ".join([*words, "--total", f"{1000 * seconds / step:.0f}"])


def main() -> None:
    """Prints the plan."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan_training")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    asked = parser.parse_args()
    plain, compiled = (
        json.loads(path.read_text("utf-8")) if path.is_file() else []
        for path in (asked.folder / "plain.json", asked.folder / "compiled.json")
    )
    rates = "--lr 6e-4 --relative 3"
    sys.stdout.write(f"{plan(plain, compiled, asked.seconds)} {rates}\n")


if __name__ == "__main__":
    main()
