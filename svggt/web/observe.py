"""What an operator sees: logs without tokens, and figures for Prometheus on loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from prometheus_client import REGISTRY, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:  # they bring the scenes with them
    from svggt.engine.worker import Worker
    from svggt.session.registry import Sessions

LogFormat = Literal["text", "json"]

_TOKEN = re.compile(r"(?<![\w-])[\w-]{32}(?![\w-])")  # 192 bits in URL-safe base 64


class _TextFormatter(logging.Formatter):
    """A line a record, tracebacks after it; whatever looks like a token is left out."""

    def format(self, record: logging.LogRecord) -> str:
        return _TOKEN.sub("[token]", super().format(record))


class _JsonFormatter(_TextFormatter):
    """A JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        facts = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return _TOKEN.sub("[token]", json.dumps(facts))


def set_up_logs(kind: LogFormat) -> None:
    """Logs to standard error from now on, one way for all libraries."""
    handler = logging.StreamHandler()
    text = _TextFormatter("%(levelname)s %(name)s: %(message)s")
    handler.setFormatter(_JsonFormatter() if kind == "json" else text)
    handler.addFilter(_is_no_cancellation)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("websockets").setLevel(logging.WARNING)


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """Uvicorn logs as errors the answers that it cuts off when it is told to end."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


class _Figures(Collector):
    """Read when Prometheus asks; memory and descriptors of the process come from its client."""

    def __init__(self, sessions: Sessions, worker: Worker) -> None:
        self._sessions, self._worker = sessions, worker

    def collect(self) -> Iterator[Metric]:
        in_memory, load = self._sessions.in_memory, self._worker.load()
        viewers = sum(session.scene.eye.num_browsers for session in in_memory)
        running = sum(session.running for session in in_memory)
        yield GaugeMetricFamily("svggt_sessions", "Sessions in memory.", len(in_memory))
        yield GaugeMetricFamily("svggt_runs", "Runs under way.", running)
        yield GaugeMetricFamily("svggt_viewers", "Browsers that look at a scene.", viewers)
        yield GaugeMetricFamily("svggt_streams", "Streams open.", load.num_streams)
        yield GaugeMetricFamily(
            "svggt_cache_bytes", "Cached token memories in memory.", load.cache_bytes
        )
        yield CounterMetricFamily("svggt_frames", "Frames predicted.", load.num_frames)
        yield CounterMetricFamily(
            "svggt_model_seconds", "Seconds that the model took for them.", load.model_seconds
        )


def serve_metrics(port: int, sessions: Sessions, worker: Worker) -> None:
    """Answers /metrics on loopback alone, in a thread, for as long as the process lives."""
    REGISTRY.register(_Figures(sessions, worker))
    start_http_server(port, addr="127.0.0.1")
