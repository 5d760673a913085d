"""A comparison's numbers as people read them: on the page and in the report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from svggt.compare.agreement import Agreement
from svggt.compare.result import ComparisonResult, RunResult

NONE = "–"


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        name: what the figure is.
        values: A's and B's, or one of both.
    """

    name: str
    values: tuple[str, ...]


def costs(outcome: ComparisonResult) -> list[Row]:
    """Time and memory of both."""
    titles = {
        "newest frame": lambda side: _ms(side.latencies[-1].seconds),
        "newest frame, p95": _p95,
        "all that was computed": _total,
        "cache memory": lambda side: _megabytes(side.latencies[-1].memory_bytes),
        "peak memory, all included": lambda side: _megabytes(side.peak_bytes),
    }
    return [Row(name, (of(outcome.a), of(outcome.b))) for name, of in titles.items()]


def accuracies(outcome: ComparisonResult) -> list[Row]:
    """Of both against the truth; empty where there is none."""
    a, b = outcome.a.accuracy, outcome.b.accuracy
    if a is None or b is None:
        return []
    pairs = zip(_said(a).items(), _said(b).values(), strict=True)
    return [Row(name, (one, other)) for (name, one), other in pairs]


def agreements(outcome: ComparisonResult) -> list[Row]:
    """Of A with B."""
    return [Row(name, (value,)) for name, value in _said(outcome.agreement).items()]


def sentence(outcome: ComparisonResult) -> str:
    """What it comes to: what a new frame costs either way, and how far both differ."""
    weights = (
        "Both run on one set of weights." if outcome.shares_weights else "Two sets of weights."
    )
    names = [side.way.mode for side in outcome.sides.values()]
    a, b = ("A", "B") if len(set(names)) == 1 else names
    cost_a, cost_b = (_seconds(side.latencies[-1].seconds) for side in outcome.sides.values())
    agreement = outcome.agreement
    return (
        f"After {outcome.frames} frames {b} needs {cost_b} for each new one, {a} {cost_a}; they "
        f"differ by {agreement.absrel:.1%} in depth and {agreement.rotation_deg:.1f}° in cameras. "
        f"{weights}"
    )


def plan(outcome: ComparisonResult) -> dict[str, NDArray[np.float64]]:
    """The cameras' paths (S, 2), seen from where they spread most; empty where none are kept."""
    if len(outcome.paths.get("A", ())) < 2:  # no path
        return {}
    paths = {name: np.array(path) for name, path in outcome.paths.items()}
    middle = np.concatenate(list(paths.values())).mean(axis=0)
    _, _, axes = np.linalg.svd(np.concatenate(list(paths.values())) - middle, full_matrices=False)
    return {name: (path - middle) @ axes[:2].T for name, path in paths.items()}


def _said(agreement: Agreement) -> dict[str, str]:
    """An agreement's figures by name."""
    chamfer = agreement.chamfer
    return {
        "depth, AbsRel": f"{agreement.absrel:.3f}",
        "depth within a factor of 1.25": f"{agreement.delta1:.1%}",
        "cameras, rotation": f"{agreement.rotation_deg:.2f}°",
        "cameras, translation over the path": f"{agreement.translation:.1%}",
        "cameras, ATE over the path": f"{agreement.ate:.1%}",
        "points, chamfer over the depth": NONE if chamfer is None else f"{chamfer:.1%}",
    }


def _p95(side: RunResult) -> str:
    """Of frames that came one by one: passes over more and more frames have none."""
    if side.way.mode != "streaming":
        return NONE
    return _ms(float(np.percentile([each.seconds for each in side.latencies], 95)))


def _total(side: RunResult) -> str:
    count, total = len(side.latencies), f"{side.latencies[-1].total_s:.2f} s"
    if side.way.mode == "streaming":
        return f"{total}, {count} frames"
    return f"{total}, {count} pass" + ("" if count == 1 else "es")


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def _megabytes(num_bytes: int | None) -> str:
    return f"{num_bytes / 1e6:.0f} MB" if num_bytes else NONE
