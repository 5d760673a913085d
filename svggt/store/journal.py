"""Refined cameras on disk, as a journal: a line a correction, and the newest of a frame counts.

Corrections reach back to older frames with every new one, so that a file a frame would be
written many times over. A line that a killed process left unfinished is not read.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from svggt.files import atomic_write
from svggt.refine.correction import Correction

_RENAMED = {"piece": "segment"}  # fields of the first version


class CameraJournal:
    """The refined cameras of one run.

    Args:
        path: the file, which need not be there.
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
        return self.examine()[0]

    def examine(self) -> tuple[dict[int, Correction], int]:
        """What `read` returns, and how many lines cannot be read: what they said is lost."""
        newest: dict[int, Correction] = {}
        damaged = 0
        for correction in map(_correction, self._lines()):
            if correction is None:
                damaged += 1
            else:
                newest[correction.frame] = correction
        return newest, damaged

    def _lines(self) -> Iterator[str]:
        """Whole ones; what is cut off is being written, or never will be whole."""
        if not self._path.is_file():
            return
        with self._path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            yield from (line for line in file if line.endswith("\n"))

    def compact(self) -> None:
        """Keeps what counts alone, and takes an unfinished line away."""
        newest = self.read()
        with atomic_write(self._path) as path:
            path.write_text("".join(_line(newest[n]) for n in sorted(newest)), "utf-8")


def _line(correction: Correction) -> str:
    names = (field.name for field in dataclasses.fields(correction))
    return json.dumps({name: _plain(getattr(correction, name)) for name in names}) + "\n"


def _correction(line: str) -> Correction | None:
    """Of a line; None if it is damaged."""
    try:
        kept: dict[str, Any] = json.loads(line)
        values = {_RENAMED.get(name, name): _value(plain) for name, plain in kept.items()}
        correction = Correction(**values)
        pose, scale = correction.world_from_cam, (correction.focal, correction.log_scale)
        is_whole = pose.shape == (3, 4) and np.isfinite(pose).all() and np.isfinite(scale).all()
        return correction if is_whole and isinstance(correction.frame, int) else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


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
