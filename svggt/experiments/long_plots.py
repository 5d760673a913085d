"""Plots of long streams: what a memory costs and how wrong it is, against the frame's number."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

_BINS = 30  # of frames, each drawn by its median
_COLUMNS = (
    ("bytes", 1e-6, "memory, MB"),
    ("ms", 1.0, "a frame, ms"),
    ("absrel_frame", 1.0, "AbsRel, one scale a frame"),
    ("from_full", 1.0, "depth's difference from the full memory"),
)


def plot_runs(rows: list[dict[str, Any]], folder: Path) -> None:
    """Writes a PNG for every clip, from the CSVs that lie in the folder.

    Args:
        rows: of `svggt.experiments.long.run_all`.
        folder: of the CSVs and the plots.
    """
    for clip in dict.fromkeys(row["clip"] for row in rows):
        mine = [row for row in rows if row["clip"] == clip]
        figure = Figure(figsize=(11, 7), layout="constrained")
        axes = list(figure.subplots(2, 2).flat)
        colours = colormaps["tab10"].colors  # pyright: ignore[reportAttributeAccessIssue]
        for number, row in enumerate(mine):
            columns = _read(folder / f"{row['name']}.csv")
            label = " ".join(
                part for part in (row["policy"], row["budget"], row["storage"]) if part
            )
            for axis, (name, factor, _) in zip(axes, _COLUMNS, strict=True):
                line = "-" if number < len(colours) else "--"
                _draw(axis, factor * columns[name], line, colours[number % len(colours)], label)
        for axis, (_, _, title) in zip(axes, _COLUMNS, strict=True):
            axis.set(title=title, xlabel="frame", ylim=(0, None))
            axis.grid(alpha=0.3)
        axes[0].legend(fontsize=7)
        figure.savefig(folder / f"{clip}.png", dpi=110)


def _draw(axis: Axes, values: NDArray[Any], line: str, colour: Any, label: str) -> None:
    pieces = np.array_split(np.arange(len(values)), min(_BINS, len(values)))
    known = [(piece.mean(), values[piece][np.isfinite(values[piece])]) for piece in pieces]
    drawn = [(x, np.median(y)) for x, y in known if len(y)]
    axis.plot(*zip(*drawn, strict=True), line, color=colour, label=label, linewidth=1.2)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """Columns by name; NaN where a line says nothing."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    return {name: np.array([float(line[name] or "nan") for line in lines]) for name in lines[0]}
