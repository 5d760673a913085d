"""Does a teacher help? Students that learn what it says, what is true, or both (paper, table 6)."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np

from svggt.model.network import VGGT
from svggt.train.distil import teacher_of
from svggt.train.figures import NAMES
from svggt.train.options import BESIDE_TRUTH
from svggt.train.students import (
    STUDENT,
    Results,
    Student,
    begun_at,
    plot_results,
    table,
    teach_all,
)

_SURE = 2.0  # standard errors of a difference from which it counts


def run_ablation(network: VGGT, steps: int, seeds: int, folder: Path) -> str:
    """Teaches, plots, and says what came of it.

    Args:
        network: teacher and beginning of every student.
        steps: of each student.
        seeds: of each way.
        folder: for results.csv and results.png.

    Returns:
        A table in Markdown, and a sentence a figure.
    """
    folder.mkdir(parents=True, exist_ok=True)
    teacher = teacher_of(copy.deepcopy(network))
    students = [
        Student("truth alone", replace(STUDENT, truth=1.0, taught=0.0)),
        Student("teacher alone", STUDENT, teacher),
        Student("both", replace(STUDENT, truth=1.0, taught=BESIDE_TRUTH), teacher),
    ]
    results = teach_all(students, network, steps, seeds, folder / "results.csv")
    begun = begun_at(network)
    plot_results(results, begun, folder / "results.png")
    rows = {"before": lambda figure: f"{getattr(begun, figure):.3f}"}
    for student in students:
        rows[student.name] = _cells(results, student.name)
    verdicts = [
        f"{way} against truth alone, {figure}: {verdict(results, way, figure)}"
        for way in ("teacher alone", "both")
        for figure in NAMES
    ]
    return "\n".join([table(rows), "", *verdicts])


def verdict(results: Results, way: str, figure: str, other: str = "truth alone") -> str:
    """Better, worse or inconclusive: the mean difference of paired seeds by its standard error."""
    seeds = sorted({seed for name, seed in results if name == way})
    differences = [
        getattr(results[way, seed], figure) - getattr(results[other, seed], figure)
        for seed in seeds
    ]
    mean = float(np.mean(differences))
    error = float(np.std(differences, ddof=1) / len(seeds) ** 0.5) if len(seeds) > 1 else np.inf
    if abs(mean) <= _SURE * error:
        return f"inconclusive ({mean:+.3f}, standard error {error:.3f})"
    return f"{'better' if mean < 0 else 'worse'} ({mean:+.3f}, standard error {error:.3f})"


def _cells(results: Results, name: str):
    def cell(figure: str) -> str:
        values = [getattr(r, figure) for (who, _), r in results.items() if who == name]
        return f"{np.mean(values):.3f} ± {np.std(values):.3f}"

    return cell
