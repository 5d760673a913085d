"""Does a teacher help? Students that learn what it says, what is true, or both (paper, table 6)."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import ttest_rel

from svggt.model.network import VGGT
from svggt.train.distil import teacher_of
from svggt.train.figures import NAMES
from svggt.train.options import BESIDE_TRUTH
from svggt.train.students import (
    STUDENT,
    Results,
    Student,
    StudentResult,
    begun_at,
    cell_of,
    figures_by,
    table,
    teach_all,
)

_SURE = 0.05  # chance of a difference that is none, below which it counts


def run_ablation(network: VGGT, steps: int, seeds: int, folder: Path) -> StudentResult:
    """Teaches, and says what came of it: a table, and a sentence a figure.

    Args:
        network: teacher and beginning of every student.
        steps: that each student takes.
        seeds: how many students each variant has.
        folder: for results.csv.
    """
    teacher = teacher_of(copy.deepcopy(network))
    both = replace(STUDENT, supervised_weight=1.0)
    students = [
        Student("truth alone", replace(both, distill_weight=0.0)),
        Student("teacher alone", STUDENT, teacher),
        Student("both", replace(both, distill_weight=BESIDE_TRUTH), teacher),
    ]
    results = teach_all(students, network, steps, seeds, folder / "results.csv")
    begun = begun_at(network)
    rows = {"before": cell_of(begun)}
    for student in students:
        rows[student.name] = _cells(results, student.name)
    verdicts = [
        f"{way} against truth alone, {figure}: {verdict(results, way, figure)}"
        for way in ("teacher alone", "both")
        for figure in NAMES
    ]
    return StudentResult(results, begun, "\n".join([table(rows), "", *verdicts]))


def verdict(results: Results, way: str, figure: str, other: str = "truth alone") -> str:
    """Better, worse or inconclusive: a paired t-test over seeds."""
    seeds = sorted({seed for name, seed in results if name == way})
    ours, theirs = (
        [getattr(results[name, seed], figure) for seed in seeds] for name in (way, other)
    )
    mean = float(np.mean(ours) - np.mean(theirs))
    if len(seeds) < 2:
        return f"inconclusive ({mean:+.3f}, one seed)"
    chance = float(ttest_rel(ours, theirs).pvalue)
    word = "inconclusive" if not chance < _SURE else "better" if mean < 0 else "worse"
    return f"{word} ({mean:+.3f}, p = {chance:.2f})"


def _cells(results: Results, name: str):
    def cell(figure: str) -> str:
        values = [getattr(each, figure) for each in figures_by(results, name)]
        return f"{np.mean(values):.3f} ± {np.std(values):.3f}"

    return cell
