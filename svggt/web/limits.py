"""What the page takes from strangers: bytes per request and requests per address.

Both are checked before a body is read into memory or a handler runs.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ADDRESSES = 10_000  # remembered at most


@dataclass(frozen=True)
class RequestLimits:
    """Limits on what one visitor may send.

    Attributes:
        upload_bytes: largest body of the upload route.
        body_bytes: largest body of any other route.
        requests_per_second: of one address, as a long-run mean.
        burst: requests at once; a page load of Gradio makes about a hundred.
    """

    upload_bytes: int = 200_000_000
    body_bytes: int = 4_000_000
    requests_per_second: float = 50.0
    burst: int = 600


class LimitMiddleware:
    """Refuses what is too large (413) or too much (429).

    Uploads are counted as they stream in, since a length header is only a promise.
    """

    def __init__(self, app: ASGIApp, limits: RequestLimits) -> None:
        self._app = app
        self._limits = limits
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not self._allowed(address_of(scope)):
            await PlainTextResponse("Too many requests: wait a moment.", 429)(scope, receive, send)
            return
        allowed = self._allowed_bytes(scope["path"])
        headers = dict(scope["headers"])
        promised = headers.get(b"content-length", b"0")
        if not promised.isdigit() or int(promised) > allowed:
            await _refuse_size(allowed)(scope, receive, send)
            return
        counting = _Counting(receive, allowed)
        try:
            await self._app(scope, counting.receive, send)
        except _TooLarge:
            await _refuse_size(allowed)(scope, receive, send)

    def _allowed_bytes(self, path: str) -> int:
        is_upload = path.rstrip("/").endswith("/upload")
        return self._limits.upload_bytes + 100_000 if is_upload else self._limits.body_bytes

    def _allowed(self, address: str) -> bool:
        """A token bucket per address; the address seen longest ago is forgotten first."""
        now, limits = time.monotonic(), self._limits
        tokens, then = self._buckets.pop(address, (float(limits.burst), now))
        tokens = min(limits.burst, tokens + (now - then) * limits.requests_per_second)
        allowed = tokens >= 1
        self._buckets[address] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > _ADDRESSES:
            self._buckets.popitem(last=False)
        return allowed


def address_of(scope: Scope) -> str:
    """The visitor's address; uvicorn has already read X-Forwarded-For where it trusts it."""
    client = scope.get("client")
    return client[0] if client else "unknown"


class _TooLarge(Exception):
    pass


class _Counting:
    def __init__(self, receive: Receive, allowed: int) -> None:
        self._receive, self._left = receive, allowed

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _TooLarge
        return message


def _refuse_size(allowed: int) -> PlainTextResponse:
    return PlainTextResponse(f"Too large: at most {allowed / 1e6:.0f} MB.", 413)
