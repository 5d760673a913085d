"""A suite's rows: run, kept in a file as they come, and told as tables."""

from __future__ import annotations

import dataclasses
import math
import platform
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tqdm import tqdm

from svggt.engine.checkpoints import LoadedModel
from svggt.eval.cameras import run_figures
from svggt.eval.markdown import markdown_table
from svggt.eval.refined_run import refine_run
from svggt.eval.rows import add_row, read_rows
from svggt.eval.suite import SuiteClip, cached_predictions

Row = dict[str, Any]
"""Figures of one clip by name; NaN and None where the clip does not say."""

_COLUMNS = (
    ("frames", "frames", "{:.0f}"),
    ("rotation", "rotation", "{:.2f}"),
    ("ate", "ATE", "{:.2f}"),
    ("ate_spread", "+-", "{:.2f}"),
    ("degrees", "degrees", "{:.1f}"),
    ("absrel_frame", "AbsRel", "{:.2f}"),
    ("absrel_clip", "one scale", "{:.2f}"),
    ("focal", "focal", "{:.2f}"),
    ("gap", "gap", "{:.2f}"),
    ("lost", "lost", "{:.2f}"),
    ("silent", "silent", "{:.2f}"),
    ("false_alarms", "alarms", "{:.2f}"),
    ("live_rotation", "live rot", "{:.2f}"),
    ("live_ate", "live ATE", "{:.2f}"),
    ("live_silent", "live silent", "{:.2f}"),
)


def run_suite(
    model: LoadedModel, clips: Iterable[SuiteClip], seeds: int, path: Path
) -> Iterator[Row]:
    """Rows of clips; those that a file has already are taken from there.

    Args:
        model: whose predictions are refined.
        clips: in order; those that are not at hand are left out.
        seeds: runs of each, the later ones with jittered depth.
        path: JSON lines, a row each, added to as they come.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    done = {row["clip"]: row for row in read_rows(path)}
    for clip in (bar := tqdm(list(clips), unit="clip")):
        bar.set_description(clip.name)
        row = done.get(clip.name) or _row(model, clip, seeds)
        if row is None:
            continue
        if clip.name not in done:
            add_row(path, row)
        yield row


def markdown(rows: list[Row]) -> str:
    """A table of all clips, and medians of each kind."""
    head = ["clip", *(title for _, title, _ in _COLUMNS)]
    lines = [[row["clip"], *_cells(row)] for row in rows]
    for kind in sorted({row["kind"] for row in rows}):
        mine = [row for row in rows if row["kind"] == kind]
        middle = {name: _median(row.get(name) for row in mine) for name, _, _ in _COLUMNS}
        lines.append([f"**{kind}**, median of {len(mine)}", *_cells(middle)])
    return markdown_table(head, lines)


def _row(model: LoadedModel, clip: SuiteClip, seeds: int) -> Row | None:
    posed = clip.load()
    if posed is None:
        return None
    began, frames = time.monotonic(), posed.frames(model.input_width)
    said = list(cached_predictions(model, clip.name, frames))
    runs = [
        run_figures(refine_run(frames, said, seed), posed.truth, posed.same)
        for seed in range(seeds)
    ]
    flat = [_flat(dataclasses.asdict(run)) for run in runs]
    row: Row = {name: _median(each[name] for each in flat) for name in flat[0]}
    ates = [each["ate"] for each in flat if math.isfinite(each.get("ate", math.nan))]
    about = {
        "clip": clip.name,
        "kind": clip.kind,
        "frames": len(frames),
        "seeds": seeds,
        "ate_spread": float(np.ptp(ates)) if ates else math.nan,
        "seconds": round(time.monotonic() - began, 1),
        "machine": platform.processor() or platform.machine(),
    }
    return about | row


def _flat(figures: dict[str, Any]) -> Row:
    """One level: windows of all frames without a prefix, live figures with one."""
    row: Row = {name: figures[name] for name in ("focal", "lost", "segments", "gap")}
    row |= figures["depth"] or {}
    for prefix, name in (("", "cameras"), ("live_", "live")):
        poses = figures[name]
        if poses is None:
            continue
        for size, window in poses.pop("windows").items():
            suffix = "" if size == "all" else f"_{size}"
            row |= {f"{prefix}{key}{suffix}": value for key, value in window.items()}
        row |= {f"{prefix}{key}": value for key, value in poses.items()}
    return row


def _cells(row: Row) -> list[str]:
    found = [(row.get(name), form) for name, _, form in _COLUMNS]
    return [
        form.format(value) if value is not None and math.isfinite(value) else ""
        for value, form in found
    ]


def _median(values: Iterable[float | None]) -> float:
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return median(finite) if finite else math.nan
