"""The real site on tiny weights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gradio_client import Client

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.media.frames import InputLimits
from svggt.session.registry import Sessions
from tests.conftest import serve

LIMITS = InputLimits(max_bytes=1_000_000)


@pytest.fixture(scope="package")
def served(tiny: LoadedModel) -> Iterator[tuple[str, Sessions]]:
    """One server for all tests, which takes seconds to start and to end."""
    worker = LocalWorker(ModelRegistry([tiny]))
    with serve(worker, LIMITS) as started:
        yield started
    worker.shutdown()


@pytest.fixture(scope="package")
def asking(served: tuple[str, Sessions]) -> Iterator[Client]:
    """One client for all tests, which takes seconds to begin and to end."""
    made = Client(served[0], verbose=False)
    yield made
    made.close()


@pytest.fixture
def client(asking: Client, site) -> Client:
    """Before a site without sessions."""
    return asking


@pytest.fixture
def site(served: tuple[str, Sessions]) -> Iterator[tuple[str, Sessions]]:
    """Its address, and its sessions: none at first."""
    yield served
    sessions = served[1]
    for session in sessions.in_memory:
        sessions.close(session.token)
    for tokens in sessions.store.tokens().values():
        sessions.remove(tokens.owner)
