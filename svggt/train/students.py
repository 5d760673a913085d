"""Students that begin alike and are taught differently: the engine of two experiments.

All take the same steps on the same clips, from the same weights, with the parts frozen that the
paper freezes. A row is written as soon as a student is done, so that an experiment resumes.
"""

from __future__ import annotations

import copy
import csv
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from functools import cache
from pathlib import Path

from svggt.eval.markdown import markdown_table
from svggt.model.network import VGGT
from svggt.train.batch import ClipBatch
from svggt.train.distil import Teacher
from svggt.train.distributed import Distributed
from svggt.train.figures import NAMES, Figures, network_figures
from svggt.train.options import WAYS, TrainOptions
from svggt.train.source import Shape, held_out, rendered
from svggt.train.trainer import Trainer

SHAPE = Shape(2, 4, (84, 112))
"""Clips of a step."""

STUDENT = replace(WAYS["student"], lr=1e-4, warmup=10)

_HELD = 8  # batches
_EVALUATED = Shape(4, 8, (84, 112))


@dataclass(frozen=True)
class Student:
    """How one is taught.

    Attributes:
        name: the variant's.
        options: the trainer's.
        teacher: None: the truth alone.
    """

    name: str
    options: TrainOptions
    teacher: Teacher | None = None


@dataclass(frozen=True)
class StudentResult:
    """Of an experiment.

    Attributes:
        results: one a student and seed.
        begun: what all began with.
        text: what came of it, in Markdown.
    """

    results: Results
    begun: Figures
    text: str


Results = dict[tuple[str, int], Figures]
"""(name, seed) to what came of it."""


def teach_all(students: list[Student], network: VGGT, steps: int, seeds: int, out: Path) -> Results:
    """Teaches every student with every seed, or resumes it.

    Args:
        students: ways of teaching.
        network: that all begin from.
        steps: that each student takes.
        seeds: from which clips and their order are drawn, 0 and up.
        out: the CSV to write.
    """
    results, held = read_results(out), evaluated()
    for seed in range(seeds):
        for student in students:
            if (student.name, seed) not in results:
                figures = _taught(student, network, steps, seed, held)
                results[student.name, seed] = figures
                _append(out, student.name, seed, figures)
    return results


def read_results(path: Path) -> Results:
    """What is done already."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {
            (row["student"], int(row["seed"])): Figures(*(float(row[name]) for name in NAMES))
            for row in csv.DictReader(file)
        }


@cache
def evaluated() -> list[ClipBatch]:
    """Clips that nobody is taught on, longer than those that are."""
    return held_out(_EVALUATED, _HELD, Distributed().device)


def figures_by(results: Results, name: str) -> list[Figures]:
    """Of one way of teaching, every seed."""
    return [figures for (who, _), figures in results.items() if who == name]


def cell_of(figures: Figures) -> Callable[[str], str]:
    """A row of a table."""
    return lambda figure: f"{getattr(figures, figure):.3f}"


def begun_at(network: VGGT) -> Figures:
    """What all begin with."""
    return network_figures(network, evaluated(), causal=True)


def table(rows: dict[str, Callable[[str], str]]) -> str:
    """Markdown: a row a name, a column a figure."""
    lines = [[name, *(cell(figure) for figure in NAMES)] for name, cell in rows.items()]
    return markdown_table(["", *NAMES], lines)


def _taught(
    student: Student, network: VGGT, steps: int, seed: int, held: list[ClipBatch]
) -> Figures:
    learner = copy.deepcopy(network)
    options = replace(student.options, seed=seed, total=steps)
    source = rendered((SHAPE,), seed, Distributed().device)
    trainer = Trainer(learner, options, source, teacher=student.teacher)
    for _ in range(steps):
        trainer.take_step()
    return network_figures(learner, held, causal=True)


def _append(path: Path, name: str, seed: int, figures: Figures) -> None:
    begins = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if begins:
            writer.writerow(["student", "seed", *NAMES])
        writer.writerow([name, seed, *(f"{value:.6g}" for value in astuple(figures))])
