"""Long work of libraries on an export: in a process of its own, after the streams.

`python -m svggt.exports.child MODULE ...` runs a module of this package so.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]  # where the process finds this package
_NICE = 10


class ChildFailed(RuntimeError):
    """The process ended without a result, or took too long."""


def run(module: str, folder: Path, *arguments: str, longest_s: float) -> None:
    """Runs a module as a program, and waits.

    Args:
        module: its name.
        folder: the process's.
        arguments: what it is given.
        longest_s: seconds that it may take.

    Raises:
        ChildFailed: it did not end well.
    """
    command = [sys.executable, "-m", __name__, module, *arguments]
    found = os.environ | {"PYTHONPATH": str(_ROOT)}
    try:
        subprocess.run(  # noqa: S603  # our own module
            command, cwd=folder, env=found, check=True, timeout=longest_s, capture_output=True
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise ChildFailed(module) from error


if __name__ == "__main__":
    os.nice(_NICE)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=False)
