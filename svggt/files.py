"""Files that are whole or not there, whenever the process is killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write to; what was written is put in place at the end, unless that fails."""
    begun = path.with_name(f"{path.name}.part")
    try:
        yield begun
    except BaseException:
        begun.unlink(missing_ok=True)
        raise
    begun.replace(path)
