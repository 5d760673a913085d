"""All published tables in one run, which a later one goes on from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from svggt.errors import ModelOverflow
from svggt.eval.datasets import DatasetName
from svggt.eval.evaluation import Evaluation
from svggt.eval.options import TableOptions, WayOptions
from svggt.eval.protocol import Task
from svggt.eval.published import PUBLISHED

TABLES = "tables.md"
"""All tables one after another, in the output's folder."""

FAILURES = (ValueError, OSError, ModelOverflow, torch.OutOfMemoryError)
"""Of a table: bad input, a damaged file, and what a device does not take."""

_ROOM = 100_000_000  # bytes for rows and tables, which are small


def all_tables(
    root: Path, out: Path, way: WayOptions, tell: Callable[[str], object]
) -> dict[str, str]:
    """Computes every published table whose data set is there.

    Args:
        root: has a folder a data set, named as `DatasetName`.
        out: for rows and tables.
        way: how frames are computed.
        tell: told what is missing, before the first frame.

    Returns:
        Tables that could not be computed, and why.

    Raises:
        ValueError: there is no data set, no room, or no weights.
    """
    plans, missing = _plans(root, out, way)
    for title, reason in missing.items():
        tell(f"{title}: {reason}\n")
    if not plans:
        raise ValueError(f"{root} has no data set that is complete: see docs/evaluation.md")
    out.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(out).free < _ROOM:
        raise ValueError(f"the disk of {out} is full: tables need {_ROOM // 10**6} MB")
    model, texts = way.load(), []
    tell(f"{len(plans)} tables on {model.device.name}, {model.note}\n")
    for plan in plans:
        try:
            texts.append(plan.run(model).markdown())
        except FAILURES as error:  # of this data set: the others go on
            missing[f"{plan.task}, {plan.dataset}"] = str(error)
            tell(f"{plan.task}, {plan.dataset}: {error}\n")
        (out / TABLES).write_text("\n".join([*texts, _missing(missing)]), "utf-8")
    return missing


def _plans(root: Path, out: Path, way: WayOptions) -> tuple[list[Evaluation], dict[str, str]]:
    plans, missing = list[Evaluation](), dict[str, str]()
    for task, dataset in PUBLISHED:
        try:
            plans.append(_plan(task, dataset, root, out, way))
        except ValueError as error:
            missing[f"{task}, {dataset}"] = str(error)
    return plans, missing


def _plan(task: Task, dataset: DatasetName, root: Path, out: Path, way: WayOptions) -> Evaluation:
    folder = root / dataset
    if not folder.is_dir():
        raise ValueError(f"{folder} is missing")
    return TableOptions(folder, dataset, out, way).plan(task)


def _missing(missing: dict[str, str]) -> str:
    """What is not among the tables."""
    return "".join(f"- no table of {title}: {reason}\n" for title, reason in missing.items())
