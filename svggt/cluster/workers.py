"""Calls to the workers of a cluster: what they answer and tell, and whether they are gone."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import ray
from ray.actor import ActorProxy
from ray.exceptions import RayError, RayTaskError

from svggt.cluster.stream_actor import DeviceActor
from svggt.engine.worker import Load
from svggt.errors import Busy, StreamLost

log = logging.getLogger(__name__)

Hear = Callable[[float | None, Callable[[bool], None]], None]
"""Hears what a call under way told last, and may answer it; what it raises ends the call."""

_ANSWER_SECONDS = 600.0  # within which a worker answers, or is taken for lost
_LOAD_SECONDS, _LATER_SECONDS = 5.0, 0.3  # for what the first one carries, and the others
_WAIT_SECONDS = 120.0  # for the first worker that comes back where none answers
_POLL_SECONDS = 0.2
_NONE_ANSWERS = "No worker answers. Whoever runs this server has to look at the cluster."


class Workers:
    """The workers of a cluster, by name.

    Args:
        actors: see `cluster.cluster`.
    """

    def __init__(self, actors: dict[str, ActorProxy[DeviceActor]]) -> None:
        self._actors = actors

    def tell(self, name: str, method: str, *arguments: Any) -> None:
        """Asks a worker for something whose answer nobody waits for."""
        getattr(self._actors[name], method).remote(*arguments)

    def ask(self, name: str, method: str, *arguments: Any) -> Any:
        """What a worker answers.

        Raises:
            StreamLost: it does not, or is gone.
        """
        return _got(getattr(self._actors[name], method).remote(*arguments), _ANSWER_SECONDS)

    def ask_any(self, method: str, *arguments: Any) -> Any:
        """What the worker says that carries least, or, where that is lost, the next one."""
        names = self.by_load(full=True)
        try:
            return self.ask(names[0], method, *arguments)
        except StreamLost:
            if len(names) == 1:
                raise
            return self.ask(names[1], method, *arguments)

    def watch(self, name: str, method: str, hear: Hear, *arguments: Any) -> Any:
        """What a worker answers in the end; meanwhile what it tells is heard, which may end it."""
        actor, job = self._actors[name], secrets.token_hex(8)
        answer = getattr(actor, method).remote(*arguments, job)
        ended: BaseException | None = None
        while not ray.wait([answer], timeout=_POLL_SECONDS)[0]:
            try:
                if ended is None:
                    hear(self.ask(name, "told", job), partial(self.ask, name, "answer", job))
                else:
                    self.ask(name, "answer", job, False)
            except StreamLost:
                raise
            except BaseException as error:  # noqa: BLE001  # raised when the worker has let go
                ended = error
        if ended is not None:
            raise ended
        return _got(answer)

    def fetch(self, model: str, on_bytes: Callable[[int, int], None]) -> None:
        """Loads a model on all workers that answer; see `ModelRegistry.fetch`."""
        for name in self.loads():
            self.watch(name, "fetch", telling(lambda done: on_bytes(int(done), 0)), model)

    def loads(self) -> dict[str, Load]:
        """What the workers carry that answer, by name."""
        asked = {name: actor.load.remote() for name, actor in self._actors.items()}
        loads_asked = list(asked.values())
        ray.wait(loads_asked, timeout=_LOAD_SECONDS)  # the first; who is just killed says nothing
        answered, _ = ray.wait(loads_asked, num_returns=len(asked), timeout=_LATER_SECONDS)
        loads = dict[str, Load]()
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
            Busy: none answers, for two minutes.
        """
        ends, loads = time.monotonic() + _WAIT_SECONDS, self.loads()
        while not loads:
            if time.monotonic() > ends:
                raise Busy(_NONE_ANSWERS)
            time.sleep(_POLL_SECONDS)
            loads = self.loads()
        ordered = sorted(loads.items(), key=lambda each: (each[1].num_streams, each[1].cache_bytes))
        return [name for name, load in ordered if full or load.takes_more]


def _got(answer: Any, seconds: float | None = None) -> Any:
    """An answer, or what it raised there.

    Raises:
        StreamLost: whoever was asked is gone, or too slow.
    """
    try:
        return ray.get(answer, timeout=seconds)
    except RayTaskError as error:
        raise error.cause from None
    except (RayError, ConnectionError) as error:  # also of a machine that is gone, or its memory
        raise StreamLost(f"{type(error).__name__}: {error}".splitlines()[0]) from None


def telling(on_told: Callable[[float], None]) -> Hear:
    """Hears what is told, and answers nothing."""
    return lambda told, answer: on_told(told or 0.0)
