"""What the page takes from strangers: bytes per request and requests per address.

Both are checked before a body is read into memory or a handler runs.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ADDRESSES = 10_000  # remembered at most
_FORM_BYTES = 100_000  # that a form needs around its files


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

    def __init__(self, app: ASGIApp, limits: RequestLimits, has_room: Callable[[], bool]) -> None:
        self._app = app
        self._limits = limits
        self._has_room = has_room
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        # uvicorn has already read X-Forwarded-For where it trusts it.
        client = scope.get("client") or ("", 0)
        if not self._allowed(network_of(client[0])):
            await _refuse(scope, receive, send, "Too many requests: wait a moment.", 429)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        is_upload = scope["path"].rstrip("/").endswith("/upload")
        if is_upload and not self._has_room():
            sentence = "The disk set aside for uploads is full: try again in an hour."
            await _refuse(scope, receive, send, sentence, 507)
            return
        limits = self._limits
        allowed = limits.upload_bytes + _FORM_BYTES if is_upload else limits.body_bytes
        too_large = f"Too large: at most {allowed / 1e6:.0f} MB."
        headers = dict(scope["headers"])
        promised = headers.get(b"content-length", b"0")
        if not promised.isdigit() or int(promised) > allowed:
            await _refuse(scope, receive, send, too_large, 413)
            return
        counting = _Counting(receive, allowed)
        try:
            await self._app(scope, counting.receive, send)
        except _TooLarge:
            await _refuse(scope, receive, send, too_large, 413)

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


def network_of(host: str) -> str:
    """A visitor by address, of IPv6 by its network, which is one visitor's."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "unknown"
    bits = 64 if address.version == 6 else 32
    return str(ipaddress.ip_network((address, bits), strict=False))


def address_of(request: gr.Request) -> str:
    """The visitor who sent a request; see `network_of`."""
    return network_of(request.client.host if request.client else "")


def origin_of(request: gr.Request) -> str:
    """scheme://host that the visitor's page was opened by; a browser says so by itself."""
    return request.headers.get("origin", "")


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


async def _refuse(scope: Scope, receive: Receive, send: Send, sentence: str, code: int) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1013})
        return
    await PlainTextResponse(sentence, code)(scope, receive, send)
