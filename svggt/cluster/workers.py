"""Calls to the workers of a cluster: what they answer and tell, and whether they are gone."""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import ray
from ray.actor import ActorProxy
from ray.exceptions import RayTaskError

from svggt.cluster.stream_actor import DeviceActor
from svggt.engine.worker import Load
from svggt.errors import Busy, StreamLost

log = logging.getLogger(__name__)

Hear = Callable[[float | None, Callable[[bool], None]], None]
"""Hears what a call under way told last, and may answer it; what it raises ends the call."""

_ANSWER_SECONDS = 600.0  # within which a worker answers, or is taken for lost
_LOAD_SECONDS, _LATER_SECONDS = 5.0, 0.3  # for what the first one carries, and the others
_TOLD_SECONDS = 2.0  # for how far a call is; who says nothing in time is asked again
_LET_GO_SECONDS = 30.0  # within which a worker ends a call that nobody waits for
_POLL_SECONDS = 0.2
_NONE_ANSWERS = "No worker answers just now. Try again in a minute."
_TRIES = 2  # of workers for one question: what ended both may be the question


class Workers:
    """The workers of a cluster, by name.

    Args:
        actors: see `cluster.cluster`.
    """

    def __init__(self, actors: dict[str, ActorProxy[DeviceActor]]) -> None:
        self._actors = actors

    def tell(self, name: str, method: str, *arguments: Any) -> None:
        """Asks for something whose answer nobody waits for; a worker that is gone is no fault."""
        try:
            self._begin(name, method, *arguments)
        except StreamLost as gone:
            log.warning("%s is not told to %s: %s", name, method, gone)

    def ask(self, name: str, method: str, *arguments: Any, seconds: float = _ANSWER_SECONDS) -> Any:
        """What a worker answers.

        Raises:
            StreamLost: it does not, or is gone.
        """
        return _got(self._begin(name, method, *arguments), seconds)

    def ask_any(self, method: str, *arguments: Any) -> Any:
        """What the worker says that carries least, or, where that is lost, the next one.

        Raises:
            Busy: neither answers.
        """
        for name in self.by_load(full=True)[:_TRIES]:
            try:
                return self.ask(name, method, *arguments)
            except StreamLost as gone:
                log.warning("worker %s does not answer: %s", name, gone)
        raise Busy(_NONE_ANSWERS)

    def watch(self, name: str, method: str, hear: Hear, *arguments: Any) -> Any:
        """What a worker answers in the end; meanwhile what it tells is heard, which may end it.

        Raises:
            StreamLost: it is gone.
        """
        job, ended, until = secrets.token_hex(8), None, math.inf
        answer = self._begin(name, method, *arguments, job)
        while not _there([answer], 1, _POLL_SECONDS) and time.monotonic() < until:
            try:
                if ended is None:
                    hear(self._told(name, job), partial(self.ask, name, "answer", job))
                else:
                    self.tell(name, "answer", job, False)
            except StreamLost:
                raise
            except BaseException as error:  # noqa: BLE001  # raised when the worker has let go
                ended, until = error, time.monotonic() + _LET_GO_SECONDS
        if ended is not None:
            raise ended
        return _got(answer)

    def fetch(self, model: str, on_bytes: Callable[[int, int], None]) -> None:
        """Loads a model on all workers that are there; see `ModelRegistry.fetch`."""
        for name in self._actors:
            try:
                self.watch(name, "fetch", telling(lambda done: on_bytes(int(done), 0)), model)
            except StreamLost as gone:  # it loads it when it is asked for it
                log.warning("worker %s does not load %s: %s", name, model, gone)

    def loads(self) -> dict[str, Load]:
        """What the workers carry that answer, by name; nothing where the cluster is gone."""
        asked, loads, answered = dict[str, Any](), dict[str, Load](), list[Any]()
        with suppress(StreamLost):
            asked |= {name: self._begin(name, "load") for name in self._actors}
            calls = list(asked.values())
            _there(calls, 1, _LOAD_SECONDS)  # the first; who is just killed says nothing
            answered = _there(calls, len(calls), _LATER_SECONDS)
        for name, load in asked.items():
            if load in answered:
                try:
                    loads[name] = _got(load)
                except StreamLost as gone:
                    log.warning("worker %s does not answer: %s", name, gone)
        return loads

    def by_load(self, full: bool = False) -> list[str]:
        """Workers that answer, what carries least first; `full`: also those that take no stream.

        Raises:
            Busy: none answers.
        """
        loads = self.loads()
        if not loads:
            raise Busy(_NONE_ANSWERS)
        ordered = sorted(loads.items(), key=lambda each: (each[1].num_streams, each[1].cache_bytes))
        return [name for name, load in ordered if full or load.takes_more]

    def end(self) -> None:
        """Ends them, with their streams."""
        for actor in self._actors.values():
            ray.kill(actor)  # pyright: ignore[reportArgumentType]  # Ray's own type for the same

    def _told(self, name: str, job: str) -> float | None:
        """What a call under way said last; None where that is not heard in time."""
        asked = self._begin(name, "told", job)
        return _got(asked) if _there([asked], 1, _TOLD_SECONDS) else None

    def _begin(self, name: str, method: str, *arguments: Any) -> Any:
        """A call under way.

        Raises:
            StreamLost: the cluster is gone.
        """
        try:
            return getattr(self._actors[name], method).remote(*arguments)
        except Exception as error:  # noqa: BLE001  # Ray's client raises those of any kind
            raise _lost(error) from None


def _there(asked: list[Any], count: int, seconds: float) -> list[Any]:
    """Those of some calls that are answered, once so many are or the time is over.

    Raises:
        StreamLost: the cluster is gone.
    """
    try:
        return ray.wait(asked, num_returns=count, timeout=seconds)[0]
    except Exception as error:  # noqa: BLE001  # as above
        raise _lost(error) from None


def _got(answer: Any, seconds: float | None = None) -> Any:
    """An answer, or what it raised there.

    Raises:
        StreamLost: whoever was asked is gone, or too slow.
    """
    try:
        return ray.get(answer, timeout=seconds)
    except RayTaskError as error:
        raise error.cause from None
    except Exception as error:  # noqa: BLE001  # of a machine that is gone, its memory, Ray
        raise _lost(error) from None


def _lost(error: Exception) -> StreamLost:
    return StreamLost(f"{type(error).__name__}: {error}".splitlines()[0])


def telling(on_told: Callable[[float], None]) -> Hear:
    """Hears what is told, and answers nothing."""
    return lambda told, answer: on_told(told or 0.0)
