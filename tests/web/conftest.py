"""The real site on tiny weights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from svggt.engine.local_worker import LocalWorker
from svggt.media.frames import InputLimits
from svggt.session.registry import Sessions
from tests.conftest import serve


@pytest.fixture
def site(worker: LocalWorker) -> Iterator[tuple[str, Sessions]]:
    """Its address, and its sessions."""
    with serve(worker, InputLimits(max_bytes=1_000_000)) as served:
        yield served
