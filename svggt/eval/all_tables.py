"""All published tables in one run, which a later one goes on from."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from svggt.engine.checkpoints import LoadedModel
from svggt.errors import ModelOverflow
from svggt.eval.datasets import DatasetName
from svggt.eval.evaluation import Evaluation
from svggt.eval.options import TableOptions, WayOptions
from svggt.eval.protocol import Task
from svggt.eval.published import PUBLISHED
from svggt.eval.table import file_name

FAILURES = (ValueError, OSError, ModelOverflow, torch.OutOfMemoryError)
"""Of a table: bad input, a damaged file, and what a device does not take."""

_ROOM = 100_000_000  # bytes for rows and tables, which are small


def all_tables(
    root: Path, out: Path, way: WayOptions, tell: Callable[[str], object]
) -> tuple[Path, dict[str, str]]:
    """Computes every published table whose data set is there, if the device has room.

    Args:
        root: has a folder a data set, named as `DatasetName`.
        out: for rows and tables.
        way: how frames are computed.
        tell: told what is missing, before the first frame.

    Returns:
        The file of all tables, one after another, and those that could not be computed, with why.

    Raises:
        ValueError: there is no data set, no room, or no weights.
    """
    plans, missing = _plans(root, out, way)
    if not plans:
        raise ValueError(f"{root} has no data set that is complete: see docs/evaluation.md")
    out.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(out).free < _ROOM:
        raise ValueError(f"the disk of {out} is full: tables need {_ROOM // 10**6} MB")
    model = way.load()
    fitting = list(_that_fit(plans, model, missing))
    for title, reason in missing.items():
        tell(f"{title}: {reason}\n")
    frames = sum(sum(plan.num_frames) for plan in fitting)
    tell(f"Tables: {len(fitting)}, of {frames} frames, on {model.device.name}: {model.note}\n")
    tables, texts = out / f"{file_name('tables', way.config('pose').title)}.md", []
    tables.write_text(_missing(missing), "utf-8")
    for plan in fitting:
        try:
            texts.append(plan.run(model).markdown())
        except FAILURES as error:  # of this data set: the others go on
            missing[plan.title] = str(error)
            tell(f"{plan.title}: {error}\n")
        tables.write_text("\n".join([*texts, _missing(missing)]), "utf-8")
    return tables, missing


def _that_fit(
    plans: list[Evaluation], model: LoadedModel, missing: dict[str, str]
) -> Iterator[Evaluation]:
    """Plans that a device has room for; of others it is noted why not."""
    for plan in plans:
        try:
            plan.check_device(model)
        except FAILURES as error:
            missing[plan.title] = str(error)
        else:
            yield plan


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
