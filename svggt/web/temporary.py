"""Where uploads lie while a server runs. Knows no Gradio, which reads the place at import."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX, _LOCK, _FILES = "svggt-uploads-", "lock", "files"


@contextmanager
def temporary_folder(base: Path) -> Iterator[Path]:
    """A new folder for the uploads of this server, which goes with it.

    What servers left that were killed is removed first: folders with our name and our lock, which
    nobody holds.

    Args:
        base: the folder of temporary files.
    """
    for left in base.glob(f"{_PREFIX}*"):
        if (left / _LOCK).is_file() and left.stat().st_uid == os.getuid():
            with contextlib.suppress(Timeout, OSError), FileLock(left / _LOCK, timeout=0):
                shutil.rmtree(left / _FILES)
                (left / _LOCK).unlink()
                left.rmdir()
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=base) as made:
        folder = Path(made)
        with FileLock(folder / _LOCK):
            (folder / _FILES).mkdir()
            yield folder / _FILES
