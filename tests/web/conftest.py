"""The real site on tiny weights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from svggt.frames import InputLimits
from svggt.sessions import Sessions
from svggt.workers import LocalWorker
from tests.conftest import serve


@pytest.fixture
def site(worker: LocalWorker) -> Iterator[tuple[str, Sessions]]:
    """Its address, and its sessions."""
    with serve(worker, InputLimits(max_bytes=1_000_000)) as served:
        yield served
