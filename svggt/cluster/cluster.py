"""A cluster to run streams on: one of this machine's own, or one that others began."""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svggt.cluster.stream_actor import Build, DeviceActor, code_hash
from svggt.errors import ClusterRefused
from svggt.settings import Precision

if TYPE_CHECKING:  # it reads the environment when it is imported
    from ray.actor import ActorProxy

NAMESPACE = "svggt"
"""Under which the workers of a cluster have their names."""

_TOKEN = secrets.token_hex(32)  # of clusters that this process begins: Ray reads it once
_IN_A_MESSAGE = 1_000_000  # bytes; else a frame goes by files in memory, which takes 3 ms more
_CALLS_AT_ONCE = 64  # of a worker: sessions, and those who watch what takes long
_CORES_A_WORKER = 4  # of a cluster's node without a GPU
_SAID_SECONDS = 30.0  # after which it is said that workers are waited for
_END_THEM = "end the workers that are there (python -m svggt.cluster ADDRESS --stop)"
_OTHER_CODE = f"workers there were begun by another version of svggt: {_END_THEM}"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Slot:
    """Room for one worker.

    Attributes:
        name: the worker's.
        node: Ray's id of the machine.
        num_gpus: 1 or 0.
        num_cpus: cores, or a share of one.
    """

    name: str
    node: str
    num_gpus: int
    num_cpus: float


@contextmanager
def cluster(
    where: str, model: str, precision: Precision, cache_bytes: int
) -> Iterator[dict[str, ActorProxy[DeviceActor]]]:
    """The workers, by name, while this process uses them.

    Args:
        where: a number: so many on this machine, which end with this process and which no other
            machine reaches. Else the address of a cluster (ray://host:10001, or host:6379 from one
            of its machines): a worker for each GPU and each four cores of a node without one,
            which stay; several pages share them.
        model: weights that a worker begins with.
        precision: numbers of the backbone.
        cache_bytes: of each worker.

    Raises:
        ClusterRefused: Ray is not installed, none answers there, or there is no room.
    """
    if where.isdecimal():
        with _begun_here(int(where)):
            yield _workers(_slots_here(int(where)), model, precision, cache_bytes, stay=False)
    else:
        with _joined(where):
            yield _workers(_slots(), model, precision, cache_bytes, stay=True)


@contextmanager
def existing_workers(address: str) -> Iterator[dict[str, ActorProxy[DeviceActor]]]:
    """The workers, by name, that pages have begun on a cluster; none is begun.

    Raises:
        ClusterRefused: Ray is not installed, or none answers there.
    """
    with _joined(address):
        import ray
        from ray.util import list_named_actors

        found: dict[str, ActorProxy[DeviceActor]] = {}
        for name in sorted(list_named_actors()):
            with suppress(ValueError):  # it has ended since
                found[name] = ray.get_actor(name)
        yield found


@contextmanager
def _joined(address: str) -> Iterator[None]:
    """A cluster that others began."""
    _prepare()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.exceptions import RayError

    try:
        context = ray.init(address=address, namespace=NAMESPACE, logging_level=logging.WARNING)
    except (ConnectionError, RayError, RuntimeError, ValueError) as error:
        raise ClusterRefused(
            f"no Ray cluster answers at {address} ({type(error).__name__}): check the address, "
            "that `ray status` works there, and that RAY_AUTH_TOKEN_PATH names its token"
        ) from error
    try:
        yield
    finally:
        context.disconnect()


def _prepare() -> None:
    """Before Ray is imported, which reads the environment then.

    Raises:
        ClusterRefused: it is not installed.
    """
    if find_spec("ray") is None:
        raise ClusterRefused("workers elsewhere need Ray: pip install 'svggt[ray]'")
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # a cluster that is gone is not begun here


@contextmanager
def _begun_here(num_workers: int) -> Iterator[None]:
    """Ray on loopback alone, for those who have its token."""
    _prepare()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # else it listens on all addresses
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "1"  # a worker without a GPU sees none
    with (
        # Not in TMPDIR: a socket's path has at most 107 characters.
        tempfile.TemporaryDirectory(prefix="svggt-ray-", dir="/tmp") as folder,
        # Ray's processes die with the thread that began them: it has to live as long as they.
        ThreadPoolExecutor(1, thread_name_prefix="ray") as keeper,
    ):
        token = Path(folder, "token")
        token.touch(mode=0o600)
        token.write_text(_TOKEN)
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN_PATH"] = "token", str(token)
        import ray

        begin = partial(
            ray.init,
            address="local",
            num_cpus=num_workers * _cores_here(num_workers),
            include_dashboard=False,
            namespace=NAMESPACE,
            logging_level=logging.WARNING,
            _temp_dir=folder,  # its logs end with it
            _system_config={"max_direct_call_object_size": _IN_A_MESSAGE},
        )
        keeper.submit(begin).result()
        try:
            yield
        finally:
            keeper.submit(ray.shutdown).result()


def _cores_here(num_workers: int) -> int:
    return max(1, len(os.sched_getaffinity(0)) // num_workers)


def _slots_here(num_workers: int) -> list[Slot]:
    import ray

    (node,) = ray.nodes()
    gpus = int(node["Resources"].get("GPU", 0))
    cores = _cores_here(num_workers)
    return [Slot(f"worker-{i}", node["NodeID"], int(i < gpus), cores) for i in range(num_workers)]


def _slots() -> list[Slot]:
    """Of all machines of a cluster.

    Raises:
        ClusterRefused: none has room.
    """
    import ray

    slots = list[Slot]()
    for node in ray.nodes():
        if not node["Alive"]:
            continue
        gpus, cores = (int(node["Resources"].get(kind, 0)) for kind in ("GPU", "CPU"))
        count = gpus or cores // _CORES_A_WORKER
        each = cores / count if count else 0
        name = f"{node['NodeManagerHostname']}-{node['NodeID'][:6]}"
        slots += [Slot(f"{name}-{i}", node["NodeID"], int(gpus > 0), each) for i in range(count)]
    if not slots:
        raise ClusterRefused(
            f"no machine of the cluster has a GPU or {_CORES_A_WORKER} cores: add one (ray start)"
        )
    return slots


def _workers(
    slots: list[Slot], model: str, precision: Precision, cache_bytes: int, stay: bool
) -> dict[str, ActorProxy[DeviceActor]]:
    """A worker in each slot: the one of that name, if there is one. A killed one comes back."""
    import ray
    from ray.util import list_named_actors
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    kind, there = ray.remote(DeviceActor), set(list_named_actors())
    actors = {
        slot.name: kind.options(
            name=slot.name,
            get_if_exists=True,
            lifetime="detached" if stay else None,
            max_restarts=-1,
            max_concurrency=_CALLS_AT_ONCE,
            num_cpus=slot.num_cpus,
            num_gpus=slot.num_gpus,
            scheduling_strategy=NodeAffinitySchedulingStrategy(slot.node, soft=False),
        ).remote(model, precision, cache_bytes)
        for slot in slots
    }
    try:
        check_alike(_builds(actors), model, precision)
    except ClusterRefused:
        from svggt.cluster.workers import Workers

        # Others may join with what was there.
        Workers({name: actors[name] for name in actors.keys() - there}).end()
        raise
    return actors


def _builds(actors: dict[str, ActorProxy[DeviceActor]]) -> dict[str, Build]:
    """What the workers compute with, once all have begun; their weights may have to come first.

    Raises:
        ClusterRefused: one cannot begin, or is of other code, which has no such method.
    """
    import ray
    from ray.exceptions import RayError

    try:
        asked = {name: actor.build.remote() for name, actor in actors.items()}
    except AttributeError:
        raise ClusterRefused(_OTHER_CODE) from None
    calls, there = list(asked.values()), list[Any]()
    while len(there) < len(calls):
        there, _ = ray.wait(calls, num_returns=len(calls), timeout=_SAID_SECONDS)
        missing = ", ".join(name for name, call in asked.items() if call not in there)
        if missing:
            log.warning("waiting for workers to begin (is there room for them?): %s", missing)
    try:
        return dict(zip(actors, ray.get(calls), strict=True))
    except RayError as error:
        last = str(error).strip().splitlines()[-1]
        raise ClusterRefused(f"a worker could not begin: {last}") from error


def check_alike(builds: dict[str, Build], model: str, precision: Precision) -> None:
    """What one worker begins another can go on with, and it is what this page asks for.

    Raises:
        ClusterRefused: it is not.
    """
    if {build.code for build in builds.values()} != {code_hash()}:
        raise ClusterRefused(_OTHER_CODE)
    for name, build in builds.items():
        for flag, theirs, ours in (
            ("--model", build.model, model),
            ("--precision", build.precision, precision),
        ):
            if theirs != ours:
                raise ClusterRefused(
                    f"{name} was begun with {flag} {theirs}, this page with {flag} {ours}: "
                    f"say {theirs} here too, or {_END_THEM}"
                )
    if len({(build.weights, build.dtype) for build in builds.values()}) > 1:
        there = ", ".join(f"{name} {each.weights} {each.dtype}" for name, each in builds.items())
        raise ClusterRefused(
            f"workers would compute with different weights or numbers ({there}): name --model and "
            f"--precision, or {_END_THEM}"
        )
