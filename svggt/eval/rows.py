"""Rows of figures in a file: a JSON object a line, added as they come, or a CSV at once."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a file; what was cut off within one is ended, and computed again."""
    if not path.exists():
        return []
    content = path.read_text("utf-8")
    if content and not content.endswith("\n"):
        with path.open("a", encoding="utf-8") as file:
            file.write("\n")
    rows = []
    for line in content.splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def add_row(path: Path, row: Mapping[str, Any]) -> None:
    """Writes one more line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def write_csv(path: Path, rows: Sequence[DataclassInstance]) -> None:
    """One line a row, one column an attribute, of dataclasses of one type; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.DictWriter(file, list(asdict(rows[0])))
        lines.writeheader()
        lines.writerows(map(asdict, rows))
