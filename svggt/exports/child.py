"""Long work of libraries on an export: in a process of its own, after the streams.

`python -m svggt.exports.child MODULE ...` runs a module of this package so.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from svggt.errors import Busy

_ROOT = Path(__file__).resolve().parents[2]  # where the process finds this package
_KEPT = ("PATH", "LANG", "HOME", "LD_LIBRARY_PATH")  # tokens are none of its business
_NICE = 10
_LOOK_SECONDS = 0.2  # between two looks whether anybody waits for it
_PR_SET_PDEATHSIG = 1


class ChildFailed(RuntimeError):
    """The process ended without a result."""


def run(
    module: str, folder: Path, *arguments: str, wait: Callable[[], None], longest_s: float
) -> None:
    """Runs a module as a program, and waits.

    Args:
        module: its name.
        folder: the process's.
        arguments: what it is given.
        wait: asked meanwhile; what it raises ends the process.
        longest_s: seconds that it may take.

    Raises:
        ChildFailed: it did not end well.
        Busy: it took too long.
    """
    paths = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    child = subprocess.Popen(  # noqa: S603  # our own module
        [sys.executable, "-m", __name__, module, *arguments],
        cwd=folder,
        env={n: os.environ[n] for n in _KEPT if n in os.environ} | {"PYTHONPATH": paths},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + longest_s
    try:
        while child.poll() is None:
            wait()
            if time.monotonic() > until:
                raise Busy("The machine is busy, and this file takes too long. Try again later.")
            time.sleep(_LOOK_SECONDS)
    finally:
        child.kill()
        child.wait()
    if child.returncode:
        raise ChildFailed(module)


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # not without its server
    os.nice(_NICE)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=False)
