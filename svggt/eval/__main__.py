"""`python -m svggt.eval NAME --help`: see each function for what it reports."""

from __future__ import annotations

import dataclasses
import sys
from json import dumps
from pathlib import Path
from statistics import median
from typing import Annotated, Literal

import tyro

from svggt.data.layouts import open_sequence
from svggt.engine.checkpoints import load_model
from svggt.engine.devices import choose_device
from svggt.eval.cameras import frames_of, head_figures, refined_figures
from svggt.eval.smoke import BOUNDS, office_frames, office_truth, smoke_figures


def smoke(model: str = "embedded") -> int:
    """Check weights on the shipped office clip against its ground truth: PASS or FAIL.

    Args:
        model: a preset or a path to weights.
    """
    loaded = load_model(model, choose_device())
    figures = smoke_figures(loaded, office_frames(loaded.input_width), office_truth())
    bounds = BOUNDS.get(model, BOUNDS["streamvggt-1b"])
    passed = True
    sys.stdout.write(f"{model} on {loaded.device.name}; bounds: {bounds.source}\n")
    for name, bound in dataclasses.asdict(bounds.figures).items():
        value = getattr(figures, name)
        passed &= value <= bound
        sys.stdout.write(f"{name:10} {value:.3f}  {'ok' if value <= bound else 'ABOVE'} {bound}\n")
    sys.stdout.write("PASS\n" if passed else "FAIL\n")
    return 0 if passed else 1


def cameras(
    folder: Annotated[Path, tyro.conf.Positional],
    model: str = "embedded",
    cameras: Literal["head", "refined"] = "refined",
    every: int = 1,
    seeds: int = 5,
    json: bool = False,
) -> int:
    """Rotation, path and depth of a stream against the ground truth of a folder.

    Args:
        folder: a sequence in a layout of TUM RGB-D, ScanNet, 7-Scenes or CUT3R, or a plain
            folder with images/, depth/ and poses.txt.
        model: a preset or a path to weights.
        cameras: the camera head's, or refined by tracking.
        every: take every n-th frame.
        seeds: runs with different RANSAC seeds; the median of each figure is reported.
        json: print machine-readable figures.
    """
    loaded, sequence = load_model(model, choose_device()), open_sequence(folder).thinned(every)
    frames, truth = frames_of(sequence, loaded.input_width), sequence.truth
    if cameras == "head":
        figures = [head_figures(loaded, frames, truth)]
    else:
        figures = [refined_figures(loaded, frames, truth, seed) for seed in range(seeds)]
    rows = [dataclasses.asdict(figure) for figure in figures]
    report = {
        "windows": {
            size: {k: median(row["windows"][size][k] for row in rows) for k in ("rotation", "ate")}
            for size in rows[0]["windows"]
        }
    } | {name: median(row[name] for row in rows) for name in rows[0] if name != "windows"}
    if json:
        sys.stdout.write(dumps(report) + "\n")
        return 0
    for size, quotient in report["windows"].items():
        sys.stdout.write(f"{size:>4}  {quotient['rotation']:.3f} / {quotient['ate']:.3f}\n")
    for name in [name for name in report if name != "windows"]:
        sys.stdout.write(f"{name:14} {report[name]:.3f}\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(tyro.extras.subcommand_cli_from_dict({"smoke": smoke, "cameras": cameras}))
    except ValueError as error:  # bad input; its message says what to do
        sys.exit(f"svggt: {error}")
