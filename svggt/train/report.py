"""What training did, as a picture: curves of one or more logs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from svggt.train.figures import NAMES, Figures
from svggt.train.runs import Log, read_log
from svggt.train.students import Results, figures_by

Colour = NDArray[np.float64]

_SMOOTH = 40  # points that a curve is left with at least
_PANELS = 3  # in a row


def write_report(folders: list[Path], out: Path) -> None:
    """A PNG with a panel for every loss and figure; each folder is a curve."""
    logs = {folder.name: read_log(folder / "log.csv") for folder in folders}
    names = list(dict.fromkeys(name for log in logs.values() for name in log))
    hidden = {"step", "rotation", "motion"}
    plot_curves(logs, [name for name in names if name not in hidden], out)


def plot_curves(logs: dict[str, Log], names: list[str], out: Path) -> None:
    """Panels of curves against the step, smoothed.

    Args:
        logs: label to its log.
        names: columns of the log, a panel each.
        out: the PNG to write.
    """
    columns = min(_PANELS, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.5 * columns, 3.2 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    colours = dict(zip(logs, colormaps["tab20"](range(20)), strict=False))
    for name, panel in zip(names, axes, strict=False):
        for label, log in logs.items():
            if name in log:
                _curve(panel, log["step"], log[name], colours[label])
        if all((log[name] > 0).all() for log in logs.values() if name in log):
            panel.set_yscale("log")
        panel.set_title(name, fontsize=10)
        panel.set_xlabel("step", fontsize=8)
        panel.grid(alpha=0.3)
    for panel in axes[len(names) :]:
        panel.remove()
    if len(logs) > 1:
        lines = [Line2D([], [], color=colour, label=label) for label, colour in colours.items()]
        figure.legend(handles=lines, loc="outside upper center", ncols=2 * columns, fontsize=8)
    figure.savefig(out, dpi=110)


def _curve(panel: Axes, steps: NDArray, values: NDArray, colour: Colour) -> None:
    size = max(1, len(values) // _SMOOTH)
    whole = len(values) // size * size
    middle, low, high = (
        reduce(values[:whole].reshape(-1, size), axis=1) for reduce in (np.median, np.min, np.max)
    )
    at = steps[:whole].reshape(-1, size).mean(axis=1)
    panel.plot(at, middle, color=colour)
    panel.fill_between(at, low, high, color=colour, alpha=0.12, linewidth=0)


def plot_results(results: Results, begun: Figures, out: Path) -> None:
    """A panel a figure: every seed a dot, the weights that all began from a line."""
    names = list(dict.fromkeys(name for name, _ in results))
    plot = Figure(figsize=(3.2 * len(NAMES), 1.2 + 0.35 * len(names)), layout="constrained")
    for figure, panel in zip(NAMES, plot.subplots(1, len(NAMES), sharey=True), strict=True):
        for place, name in enumerate(names):
            values = [getattr(each, figure) for each in figures_by(results, name)]
            panel.plot(values, [place] * len(values), "o", alpha=0.6)
            panel.plot(np.mean(values), place, "k|", markersize=14)
        panel.axvline(getattr(begun, figure), color="grey", linewidth=1, linestyle="--")
        panel.set_title(figure)
        panel.grid(alpha=0.3)
    plot.axes[0].set_yticks(range(len(names)), names)
    plot.axes[0].invert_yaxis()
    plot.savefig(out, dpi=110)
