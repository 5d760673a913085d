"""Students that begin alike and are taught differently: the engine of two experiments.

All take the same steps on the same clips, from the same weights, with the parts frozen that the
paper freezes. A row is written as soon as a student is done, so that an experiment goes on.
"""

from __future__ import annotations

import copy
import csv
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure as Plot

from svggt.model.network import VGGT
from svggt.train.batch import ClipBatch
from svggt.train.distil import Teacher
from svggt.train.figures import NAMES, Figures, network_figures
from svggt.train.options import WAYS, TrainOptions
from svggt.train.source import HELD_OUT, Shape, rendered
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
        name: of the way.
        options: of the trainer.
        teacher: None: the truth alone.
    """

    name: str
    options: TrainOptions
    teacher: Teacher | None = None


Results = dict[tuple[str, int], Figures]
"""(name, seed) to what came of it."""


def held_out() -> list[ClipBatch]:
    """Clips that nobody is taught on, longer than those that are."""
    clips = rendered((_EVALUATED,), 0, torch.device("cpu"))
    return [clips(HELD_OUT // 1000 + number, 0) for number in range(_HELD)]


def teach_all(students: list[Student], network: VGGT, steps: int, seeds: int, out: Path) -> Results:
    """Teaches every student with every seed, or goes on with it.

    Args:
        students: ways of teaching.
        network: that all begin from.
        steps: of each.
        seeds: of clips and order, 0 and up.
        out: the CSV to write.
    """
    results, held = read_results(out), held_out()
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


def plot_results(results: Results, begun: Figures, out: Path) -> None:
    """A panel a figure: every seed a dot, the weights that all began from a line."""
    names = list(dict.fromkeys(name for name, _ in results))
    plot = Plot(figsize=(3.2 * len(NAMES), 1.2 + 0.35 * len(names)), layout="constrained")
    for figure, panel in zip(NAMES, plot.subplots(1, len(NAMES), sharey=True), strict=True):
        for place, name in enumerate(names):
            values = [getattr(r, figure) for (who, _), r in results.items() if who == name]
            panel.plot(values, [place] * len(values), "o", alpha=0.6)
            panel.plot(np.mean(values), place, "k|", markersize=14)
        panel.axvline(getattr(begun, figure), color="grey", linewidth=1, linestyle="--")
        panel.set_title(figure)
        panel.grid(alpha=0.3)
    plot.axes[0].set_yticks(range(len(names)), names)
    plot.axes[0].invert_yaxis()
    plot.savefig(out, dpi=110)


def begun_at(network: VGGT) -> Figures:
    """What all begin with."""
    return network_figures(network, held_out(), causal=True)


def table(rows: dict[str, Callable[[str], str]]) -> str:
    """Markdown: a row a name, a column a figure."""
    head = ["", *NAMES]
    lines = [head, ["---"] * len(head)]
    lines += [[name, *(cell(figure) for figure in NAMES)] for name, cell in rows.items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _taught(
    student: Student, network: VGGT, steps: int, seed: int, held: list[ClipBatch]
) -> Figures:
    learner = copy.deepcopy(network)
    options = replace(student.options, seed=seed, total=steps)
    source = rendered((SHAPE,), seed, torch.device("cpu"))
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
