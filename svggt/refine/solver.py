"""Where windows are adjusted: at once, or in a process of their own.

GTSAM's Python holds the interpreter lock, so a live page adjusts in a process that has neither
torch nor the page in it: `python -m svggt.refine.solver`, fed by a pipe.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import BinaryIO

from svggt.refine.window import WindowProblem, WindowSolution, solve


class InlineSolver:
    """Adjusts when asked, in this process; the oracle of the other solvers."""

    def __init__(self) -> None:
        self._solution: WindowSolution | None = None

    @property
    def busy(self) -> bool:
        """Never: it is done when `submit` returns."""
        return False

    def submit(self, problem: WindowProblem) -> None:
        """Adjusts now; a window without a solution is left as it was."""
        with contextlib.suppress(RuntimeError):
            self._solution = solve(problem)

    def collect(self, wait_s: float = 0.0) -> WindowSolution | None:
        """What the last `submit` found, once."""
        solution, self._solution = self._solution, None
        return solution


_PATIENCE_SECONDS = 60.0
_NICE = 10  # of the child: the model goes first


class ProcessSolver:
    """Windows of one stream, adjusted in the process of a `SolverProcess`.

    A crash is a failed window.
    """

    def __init__(self, process: SolverProcess) -> None:
        self._process = process
        self._asked: Future[WindowSolution | None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a window is on its way, or waits to be collected."""
        return self._asked is not None

    def submit(self, problem: WindowProblem) -> None:
        """Hands a window over and returns at once."""
        self._asked = self._process.submit(problem)

    def collect(self, wait_s: float = 0.0) -> WindowSolution | None:
        """A finished window not yet taken; waits only while one is on its way."""
        asked = self._asked
        if asked is None or not wait([asked], wait_s).done:
            return None
        self._asked = None
        return None if asked.cancelled() else asked.result()  # cancelled: the process was closed


class WaitingSolver(ProcessSolver):
    """Waits for every window, so that a result does not depend on time; for evaluation."""

    def collect(self, wait_s: float = 0.0) -> WindowSolution | None:
        """What the last `submit` found, once, however long that takes."""
        solution = super().collect(_PATIENCE_SECONDS)
        self._asked = None  # out of patience: a failed window
        return solution


class SolverProcess:
    """One child process that adjusts windows for all streams of a worker, one at a time."""

    def __init__(self) -> None:
        self._windows = ThreadPoolExecutor(1, thread_name_prefix="windows")
        self._child: subprocess.Popen[bytes] | None = None

    def submit(self, problem: WindowProblem) -> Future[WindowSolution | None]:
        """Queues a window; None is the answer if it has no solution or the child died."""
        try:
            return self._windows.submit(self._ask, problem)
        except RuntimeError:  # closed under a stream that still runs
            answer: Future[WindowSolution | None] = Future()
            answer.cancel()
            return answer

    def __enter__(self) -> SolverProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the child and the thread; windows that wait are cancelled."""
        self._windows.shutdown(wait=False, cancel_futures=True)
        child = self._child
        if child is not None:
            child.kill()
        self._windows.shutdown()
        self._bury()

    @property
    def pid(self) -> int | None:
        """The child's process id; None before the first window."""
        return self._child.pid if self._child else None

    def _ask(self, problem: WindowProblem) -> WindowSolution | None:
        """One window through the child."""
        try:
            self._child = self._child or _spawn()
            assert self._child.stdin is not None and self._child.stdout is not None
            pickle.dump(problem, self._child.stdin)
            self._child.stdin.flush()
            return pickle.load(self._child.stdout)  # noqa: S301  # our own child's words
        except Exception:  # noqa: BLE001  # the pipe may be out of step: the next one is new
            self._bury()
            return None

    def _bury(self) -> None:
        if self._child is None:
            return
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._child = None


def _spawn() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "svggt.refine.solver"]
    return subprocess.Popen(  # noqa: S603  # our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def _answer(questions: BinaryIO, answers: BinaryIO) -> None:
    """The child's life: a window in, a solution or None out, until the pipe closes."""
    while True:
        try:
            problem = pickle.load(questions)  # noqa: S301  # our own parent's words
        except EOFError:
            return
        try:
            solution = solve(problem)
        except RuntimeError:
            solution = None
        pickle.dump(solution, answers)
        answers.flush()


if __name__ == "__main__":
    os.nice(_NICE)
    # GTSAM prints to standard output: it gets none, ours goes on under another number.
    own = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _answer(sys.stdin.buffer, own)
