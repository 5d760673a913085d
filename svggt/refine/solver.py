"""Where windows are adjusted: at once, or in a process of their own.

GTSAM's Python holds the interpreter lock, so a live page adjusts in a process that has neither
torch nor the page in it: `python -m svggt.refine.solver`, fed by a pipe.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
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
_Answers = queue.SimpleQueue  # of WindowSolution, or None for a failed window


class ProcessSolver:
    """Windows of one stream, adjusted in the process of a `SolverProcess`.

    A problem that still waits is replaced by a newer one; a crash is a failed window.
    """

    def __init__(self, process: SolverProcess) -> None:
        self._process = process
        self._asked = 0
        self._taken = 0
        self._done: queue.SimpleQueue[WindowSolution | None] = queue.SimpleQueue()

    @property
    def busy(self) -> bool:
        """Whether a window is on its way."""
        return self._taken != self._asked

    def submit(self, problem: WindowProblem) -> None:
        """Hands a window over and returns at once."""
        self._asked += not self._process.submit(id(self), problem, self._done)

    def collect(self, wait_s: float = 0.0) -> WindowSolution | None:
        """A finished window not yet taken; waits only while one is on its way."""
        if not self.busy:
            return None
        try:
            solution = self._done.get(timeout=wait_s) if wait_s else self._done.get_nowait()
        except queue.Empty:
            return None
        self._taken += 1
        return solution


class WaitingSolver(ProcessSolver):
    """Waits for every window, so that a result does not depend on time; for evaluation."""

    def __init__(self, process: SolverProcess) -> None:
        super().__init__(process)
        self._ready: WindowSolution | None = None

    def submit(self, problem: WindowProblem) -> None:
        """Returns when the window is adjusted."""
        super().submit(problem)
        self._ready = super().collect(wait_s=_PATIENCE_SECONDS)

    def collect(self, wait_s: float = 0.0) -> WindowSolution | None:
        """What the last `submit` found, once."""
        solution, self._ready = self._ready, None
        return solution


class SolverProcess:
    """One child process that adjusts windows for all streams of a worker, one at a time."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[WindowProblem, _Answers]] = {}
        self._changed = threading.Condition()
        self._ended = False
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._serve, name="windows", daemon=True)
        self._thread.start()

    def submit(self, stream: int, problem: WindowProblem, done: _Answers) -> bool:
        """Queues a window; True if it takes the place of an older one of the same stream."""
        with self._changed:
            replaces = stream in self._waiting
            self._waiting[stream] = (problem, done)
            self._changed.notify()
        return replaces

    def __enter__(self) -> SolverProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the child and the thread."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._child is not None:
            self._child.kill()
        self._thread.join()

    @property
    def pid(self) -> int | None:
        """The child's process id; None before the first window."""
        return self._child.pid if self._child else None

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._waiting)
                if self._ended:
                    break
                stream = next(iter(self._waiting))  # the one that waits longest
                problem, done = self._waiting.pop(stream)
            done.put(self._ask(problem))
        self._bury()

    def _ask(self, problem: WindowProblem) -> WindowSolution | None:
        """One window through the child; None if it has no solution or the child died."""
        if self._child is None:
            self._child = _spawn()
        assert self._child.stdin is not None and self._child.stdout is not None
        try:
            pickle.dump(problem, self._child.stdin)
            self._child.stdin.flush()
            return pickle.load(self._child.stdout)  # noqa: S301  # our own child's words
        except (OSError, EOFError, pickle.UnpicklingError):
            self._bury()  # the next window gets a new one
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
