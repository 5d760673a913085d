"""`python -m svggt.cluster ADDRESS`: what its workers carry; takes one out of use, and back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import tyro

from svggt.cluster.cluster import existing_workers
from svggt.engine.worker import Load
from svggt.errors import ClusterRefused, StreamLost

if TYPE_CHECKING:  # it brings Ray, which reads the environment when it is imported
    from svggt.cluster.workers import Workers

_ANSWER_SECONDS = 20.0


def operate(
    address: Annotated[str, tyro.conf.Positional],
    drain: str | None = None,
    undrain: str | None = None,
    stop: bool = False,
) -> None:
    """List the workers that run streams on a Ray cluster, and take one out of use.

    Args:
        address: of the cluster, as ray://host:10001.
        drain: a worker whose streams move to others, each with its next frame; it takes no more.
        undrain: a worker that takes streams again.
        stop: ends all of them, before an upgrade or for other weights; frames stay with the pages.

    Raises:
        ClusterRefused: no cluster answers there, or it has no worker of that name.
    """
    with existing_workers(address) as actors:
        from svggt.cluster.workers import Workers  # Ray reads the environment that was set

        workers = Workers(actors)
        if stop:
            workers.end()
            sys.stdout.write(f"ended: {', '.join(actors) or 'none'}\n")
            return
        for name, draining in ((drain, True), (undrain, False)):
            if name is None:
                continue
            if name not in actors:
                there = ", ".join(actors) or "none; a page begins them"
                raise ClusterRefused(f"no worker is called {name}. There are: {there}")
            _drain(workers, name, draining)
        loads = workers.loads()
        for name in actors:
            sys.stdout.write(f"{name}: {_described(loads.get(name))}\n")


def _drain(workers: Workers, name: str, draining: bool) -> None:
    try:
        workers.ask(name, "drain", draining, seconds=_ANSWER_SECONDS)
    except StreamLost as gone:
        raise ClusterRefused(f"{name} does not answer ({gone}): try again in a minute") from None


def _described(load: Load | None) -> str:
    if load is None:
        return "does not answer"
    room = "" if load.takes_more else "; takes no more"
    return f"{load.num_streams} streams, {load.cache_bytes / 1e6:.0f} MB{room}"


if __name__ == "__main__":
    try:
        tyro.cli(operate, prog="python -m svggt.cluster")
    except ClusterRefused as error:
        sys.exit(f"svggt: {error}")
