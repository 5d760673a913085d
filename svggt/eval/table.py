"""One table of an evaluation: ours, and published rows where they mean the same."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from svggt.eval.markdown import markdown_table
from svggt.eval.protocol import Task

Values = Mapping[str, float]

COLUMNS: Mapping[Task, Mapping[str, str]] = {
    "recon": {
        "accuracy": "Acc. mean",
        "accuracy_median": "med.",
        "completeness": "Comp. mean",
        "completeness_median": "med.",
        "normals": "NC mean",
        "normals_median": "med.",
    },
    "depth": {"absrel": "AbsRel", "rmse": "RMSE", "delta1": "delta < 1.25"},
    "video-depth": {"absrel": "AbsRel", "rmse": "RMSE", "delta1": "delta < 1.25"},
    "pose": {
        "ate": "ATE",
        "rpe_translation": "RPE trans",
        "rpe_rotation": "RPE rot, deg",
        "auc30": "AUC@30",
    },
}
_FILES = {".md": "markdown", ".tex": "latex", ".json": "as_json"}
_SPECIAL = str.maketrans({c: f"\\{c}" for c in "&%$#_{}"} | {"<": "$<$", "~": r"\~{}"})


@dataclass(frozen=True)
class Table:
    """What one task gave on one data set.

    Attributes:
        task: which.
        dataset: as tables say it.
        way: how the frames were computed, for people.
        protocol: likewise.
        notes: what else must be known to read the numbers, a sentence each.
        ours: the mean over its sequences.
        published: rows of published tables, by where they are from; empty where those mean
            something else.
        scenes: each sequence's, by name.
    """

    task: Task
    dataset: str
    way: str
    protocol: str
    notes: tuple[str, ...]
    ours: Values
    published: Mapping[str, Values]
    scenes: Mapping[str, Values]

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.task}, {self.dataset}"

    def markdown(self) -> str:
        """A heading, what the numbers mean, and the rows."""
        rows = markdown_table(["", *COLUMNS[self.task].values()], self._rows("**{}**"))
        about = "\n".join(f"- {line}" for line in self._about())
        return f"### {self.title}\n\n{about}\n\n{rows}\n"

    def latex(self) -> str:
        """A `tabular` of booktabs, with what the numbers mean as comments."""
        columns = COLUMNS[self.task]
        lines = [f"% {line}" for line in (self.title, *self._about())]
        lines.append(r"\begin{tabular}{l" + "r" * len(columns) + "}")
        lines.append(r"\toprule")
        rows = [["", *columns.values()], *self._rows("{}")]
        cells = [" & ".join(cell.translate(_SPECIAL) for cell in row) + r" \\" for row in rows]
        lines += [cells[0], r"\midrule", *cells[1:], r"\bottomrule", r"\end{tabular}"]
        return "\n".join(lines) + "\n"

    def as_json(self) -> str:
        """All of it."""
        return json.dumps(without_nan(asdict(self)), indent=2) + "\n"

    def write(self, folder: Path) -> None:
        """`<task>-<data set>-<way>` as Markdown, LaTeX and JSON."""
        name = file_name(self.task, self.dataset, self.way)
        for suffix, form in _FILES.items():
            (folder / f"{name}{suffix}").write_text(getattr(self, form)(), "utf-8")

    def _about(self) -> list[str]:
        return [f"computed by: {self.way}", f"protocol: {self.protocol}", *self.notes]

    def _rows(self, mean: str) -> list[list[str]]:
        rows = {mean.format(f"mean of {len(self.scenes)}"): self.ours, **self.published}
        rows |= self.scenes
        return [
            [name, *(_cell(values.get(column)) for column in COLUMNS[self.task])]
            for name, values in rows.items()
        ]


def file_name(*titles: str) -> str:
    """Of what people call by these, without a suffix."""
    return "-".join(re.findall(r"\w+", " ".join(titles).lower()))


def without_nan(values: Any) -> Any:
    """The same with None for NaN, which is no JSON."""
    if isinstance(values, Mapping):
        return {name: without_nan(value) for name, value in values.items()}
    return None if isinstance(values, float) and math.isnan(values) else values


def _cell(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.3f}"
