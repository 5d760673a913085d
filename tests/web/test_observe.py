"""Logs tell no token; figures are for whoever sits at the machine."""

from __future__ import annotations

import json
import logging
import socket

import httpx
import pytest

from svggt.engine.local_worker import LocalWorker
from svggt.session.registry import Sessions
from svggt.store.store import Tokens
from svggt.web.observe import serve_metrics, set_up_logs
from tests.conftest import make_frames
from tests.session.runs import SETTINGS


@pytest.fixture
def logger():
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    yield logging.getLogger("svggt.test")
    root.handlers[:] = kept
    root.setLevel(level)


@pytest.mark.parametrize("kind", ["text", "json"])
def test_no_token_reaches_the_log(logger, capsys, kind) -> None:
    token = Tokens.new().owner
    set_up_logs(kind)
    logger.warning("refused /viser/%s/ and ?token=%s", token, token)
    try:
        raise ValueError(f"of {token}")
    except ValueError:
        logger.exception("failed")
    said = capsys.readouterr().err
    assert token not in said and "[token]" in said and "ValueError" in said
    assert "refused /viser/" in said
    if kind == "json":
        first, second = map(json.loads, said.splitlines())
        assert first["level"] == "WARNING" and "Traceback" in second["traceback"]


def test_figures_are_on_loopback_alone(worker: LocalWorker, sessions: Sessions) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve_metrics(port, sessions, worker)
    session = sessions.open("a")
    stream_id = worker.open(SETTINGS)
    for frame in make_frames(3):
        worker.step(stream_id, frame)
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert "svggt_sessions 1.0" in text and "svggt_frames_total 3.0" in text
    assert "process_resident_memory_bytes" in text
    cache = next(line for line in text.splitlines() if line.startswith("svggt_cache_bytes "))
    assert float(cache.split()[1]) == worker.cache_bytes > 0
    assert session.token not in text
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}
    for address in others - {"127.0.0.1", "::1"}:
        with pytest.raises(httpx.TransportError):
            httpx.get(
                f"http://[{address}]:{port}/metrics"
                if ":" in str(address)
                else f"http://{address}:{port}/metrics",
                timeout=2,
            )
    worker.close(stream_id)
