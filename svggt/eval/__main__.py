"""`python -m svggt.eval NAME --help`: see each function for what it reports."""

from __future__ import annotations

import dataclasses
import sys

import tyro

from svggt.checkpoints import load_model
from svggt.devices import choose_device
from svggt.eval.smoke import BOUNDS, OfficeTruth, office_frames, smoke_figures


def smoke(model: str = "embedded") -> int:
    """Check weights on the shipped office clip against its ground truth: PASS or FAIL.

    Args:
        model: a preset or a path to weights.
    """
    loaded = load_model(model, choose_device())
    figures = smoke_figures(loaded, office_frames(loaded.input_width), OfficeTruth.load())
    bounds = BOUNDS.get(model, BOUNDS["streamvggt-1b"])
    passed = True
    sys.stdout.write(f"{model} on {loaded.device.name}; bounds: {bounds.source}\n")
    for name, bound in dataclasses.asdict(bounds.figures).items():
        value = getattr(figures, name)
        passed &= value <= bound
        sys.stdout.write(f"{name:10} {value:.3f}  {'ok' if value <= bound else 'ABOVE'} {bound}\n")
    sys.stdout.write("PASS\n" if passed else "FAIL\n")
    return 0 if passed else 1


if __name__ == "__main__":
    try:
        sys.exit(tyro.extras.subcommand_cli_from_dict({"smoke": smoke}))
    except ValueError as error:  # bad input; its message says what to do
        sys.exit(f"svggt: {error}")
