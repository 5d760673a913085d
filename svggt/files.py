"""Files: those that ship with the project, and those that are whole or not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_INSTALLED = Path(__file__).with_name("_assets")  # in a wheel, which has no top level
ASSETS = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).resolve().parents[1] / "assets"
EMBEDDED_WEIGHTS = ASSETS / "embedded.safetensors"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A path to write to; what was written is put in place at the end, unless that fails.

    So a file is whole or not there, whenever the process is killed.
    """
    begun = path.with_name(f"{path.name}.part")
    try:
        yield begun
    except BaseException:
        begun.unlink(missing_ok=True)
        raise
    begun.replace(path)
