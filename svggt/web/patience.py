"""How long a stranger's request may take to arrive: connections that say nothing cost something."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0
"""For the line and headers of a request, from its first byte or from the connection on."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that closes a connection whose request does not arrive in time; uvicorn waits."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait(self) -> None:
        """Waits for headers, unless they are there: then bodies and answers have bounds too."""
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_answering or self.transport.get_protocol() is not self:  # a socket took over
            self._wait_no_more()
        elif self._late is None:
            self._late = self.loop.call_later(HEADER_SECONDS, self._close)

    def _wait_no_more(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close(self) -> None:
        self._late = None
        if not self.transport.is_closing():
            self.transport.close()
