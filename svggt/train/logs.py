"""The log of a training run: a line a step."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Log = dict[str, NDArray[np.float64]]
"""Column to its values, a step each."""


def read_log(path: Path) -> Log:
    """A run's log.csv, or a variant's curve.

    Raises:
        ValueError: there is none, or it has no step yet.
    """
    if not path.is_file():
        raise ValueError(f"{path} is not there: name a folder that training has written to")
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if None not in row.values()]  # whole ones
    if not rows:
        raise ValueError(f"{path} has no step yet: train for a while first")
    log = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    if "rotation" in log:
        log["rotation / motion"] = log["rotation"] / np.maximum(log["motion"], 1e-3)
    return log
