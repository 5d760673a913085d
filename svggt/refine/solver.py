"""Where windows are adjusted and loops looked for: at once, or in a process of their own.

GTSAM's Python holds the interpreter lock, so a live page asks a process that has neither torch
nor the page in it: `python -m svggt.refine.solver`, fed by a pipe.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, BinaryIO, Protocol


class Task(Protocol):
    """A question that another process can answer."""

    def run(self) -> Any:
        """The answer.

        Raises:
            RuntimeError: there is none.
        """
        ...


class Solver(Protocol):
    """Answers one task at a time, at once or later."""

    @property
    def busy(self) -> bool:
        """Whether a task is on its way."""
        ...

    def submit(self, task: Task) -> None:
        """Takes a task; none may be on its way."""

    def collect(self, wait_s: float = 0.0) -> Any:
        """An answer, once; None while there is none."""

    def another(self) -> Solver:
        """One of the same kind, for tasks that wait for others of their own alone."""
        ...


class InlineSolver:
    """Answers when asked, in this process; the oracle of the other solvers."""

    def __init__(self) -> None:
        self._answer: Any = None

    @property
    def busy(self) -> bool:
        """Never: it is done when `submit` returns."""
        return False

    def submit(self, task: Task) -> None:
        """Runs it now; one without an answer is left alone."""
        with contextlib.suppress(RuntimeError):
            self._answer = task.run()

    def collect(self, wait_s: float = 0.0) -> Any:
        """What the last `submit` found, once."""
        answer, self._answer = self._answer, None
        return answer

    def another(self) -> Solver:
        """A new one."""
        return InlineSolver()


_PATIENCE_SECONDS = 60.0
_NICE = 10  # of the child: the model goes first


class ProcessSolver:
    """Tasks of one stream, answered in the process of a `SolverProcess`.

    A crash is a failed task.
    """

    def __init__(self, process: SolverProcess) -> None:
        self._process = process
        self._asked: Future[Any] | None = None

    @property
    def busy(self) -> bool:
        """Whether a task is on its way, or waits to be collected."""
        return self._asked is not None

    def submit(self, task: Task) -> None:
        """Hands a task over and returns at once."""
        self._asked = self._process.submit(task)

    def another(self) -> Solver:
        """One beside it, in the same process."""
        return type(self)(self._process)

    def collect(self, wait_s: float = 0.0) -> Any:
        """An answer not yet taken; waits only while one is on its way."""
        asked = self._asked
        if asked is None or not wait([asked], wait_s).done:
            return None
        self._asked = None
        return None if asked.cancelled() else asked.result()  # cancelled: the process was closed


class WaitingSolver(ProcessSolver):
    """Waits for every answer, so that a result does not depend on time; for evaluation."""

    def collect(self, wait_s: float = 0.0) -> Any:
        """What the last `submit` found, once, however long that takes."""
        answer = super().collect(_PATIENCE_SECONDS)
        self._asked = None  # out of patience: a failed task
        return answer


class SolverProcess:
    """One child process that runs the tasks of all streams of a worker, one at a time."""

    def __init__(self) -> None:
        self._tasks = ThreadPoolExecutor(1, thread_name_prefix="tasks")
        self._child: subprocess.Popen[bytes] | None = None

    def submit(self, task: Task) -> Future[Any]:
        """Queues a task; None is the answer if it has none or the child died."""
        try:
            return self._tasks.submit(self._ask, task)
        except RuntimeError:  # closed under a stream that still runs
            answer: Future[Any] = Future()
            answer.cancel()
            return answer

    def __enter__(self) -> SolverProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the child and the thread; tasks that wait are cancelled."""
        self._tasks.shutdown(wait=False, cancel_futures=True)
        child = self._child
        if child is not None:
            child.kill()
        self._tasks.shutdown()
        self._bury()

    @property
    def pid(self) -> int | None:
        """The child's process id; None before the first task."""
        return self._child.pid if self._child else None

    def _ask(self, task: Task) -> Any:
        """One task through the child."""
        try:
            self._child = self._child or _spawn()
            assert self._child.stdin is not None and self._child.stdout is not None
            pickle.dump(task, self._child.stdin)
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
    """The child's life: a task in, its answer or None out, until the pipe closes."""
    while True:
        try:
            task = pickle.load(questions)  # noqa: S301  # our own parent's words
        except EOFError:
            return
        try:
            answer = task.run()
        except RuntimeError:
            answer = None
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    os.nice(_NICE)
    # GTSAM prints to standard output: it gets none, ours goes on under another number.
    own = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _answer(sys.stdin.buffer, own)
