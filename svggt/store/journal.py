"""Refined cameras on disk, as a journal: a line a correction, and the newest of a frame counts.

Corrections reach back to older frames with every new one, so that a file a frame would be
written many times over. A line that a killed process left unfinished is not read.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from svggt.files import atomic_write
from svggt.refine.correction import Correction


class CameraJournal:
    """The refined cameras of one run.

    Args:
        path: of the file, which need not be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, corrections: Iterable[Correction]) -> None:
        """Adds corrections, which replace older ones of the same frames."""
        lines = "".join(map(_line, corrections))
        if lines:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(lines)

    def read(self) -> dict[int, Correction]:
        """The newest correction of every frame that has one, by its number."""
        if not self._path.exists():
            return {}
        newest: dict[int, Correction] = {}
        with self._path.open(encoding="utf-8") as file:
            for line in file:
                if not line.endswith("\n"):
                    break  # it is being written, or never will be whole
                correction = _correction(line)
                newest[correction.frame] = correction
        return newest

    def compact(self) -> None:
        """Keeps what counts alone, and takes an unfinished line away."""
        newest = self.read()
        with atomic_write(self._path) as path:
            path.write_text("".join(_line(newest[n]) for n in sorted(newest)), "utf-8")


def _line(correction: Correction) -> str:
    names = (field.name for field in dataclasses.fields(correction))
    return json.dumps({name: _plain(getattr(correction, name)) for name in names}) + "\n"


def _correction(line: str) -> Correction:
    return Correction(**{name: _value(plain) for name, plain in json.loads(line).items()})


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        data = base64.b64encode(value.tobytes()).decode("ascii")
        return {"dtype": str(value.dtype), "shape": value.shape, "base64": data}
    return value.item() if isinstance(value, np.generic) else value


def _value(plain: Any) -> Any:
    if not isinstance(plain, dict):
        return plain
    data = np.frombuffer(base64.b64decode(plain["base64"]), plain["dtype"])
    return data.reshape(plain["shape"]).copy()
