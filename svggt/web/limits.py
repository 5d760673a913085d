"""What the page takes from strangers: bytes and values per request, requests per address.

All are checked before a body is parsed or a handler runs.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from svggt.web.bodies import BodyLimits, BodyScan, TooCostly

UPLOAD = "/gradio_api/upload"
"""The one path whose bodies are files."""

_ADDRESSES = 10_000  # remembered at most
_FORM_BYTES = 100_000  # that a form needs around its files


@dataclass(frozen=True)
class RequestLimits:
    """Limits on what one visitor may send.

    Attributes:
        upload_bytes: largest body of the upload route.
        body: of any other route.
        requests_per_second: of one address, as a long-run mean.
        burst: requests at once; a page load of Gradio makes about a hundred.
    """

    upload_bytes: int
    body: BodyLimits
    requests_per_second: float = 50.0
    burst: int = 600


class LimitMiddleware:
    """Refuses what is too large (413) or too much (429).

    Bodies are counted as they stream in, since a length header is only a promise.
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
            await refuse(scope, receive, send, "Too many requests: wait a moment.", 429)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        is_upload = scope["path"] == UPLOAD
        size = self._limits.upload_bytes + _FORM_BYTES if is_upload else self._limits.body.size
        promised = dict(scope["headers"]).get(b"content-length", b"0")
        if not promised.isdigit() or int(promised) > size:
            await refuse(scope, receive, send, f"Too large: at most {size / 1e6:.1f} MB.", 413)
        elif is_upload:
            await self._take_upload(scope, receive, send, size)
        else:
            await self._take_body(scope, receive, send)

    async def _take_upload(self, scope: Scope, receive: Receive, send: Send, size: int) -> None:
        """Lets the app read an upload as it comes; a too large one ends as if it broke off."""
        if not await asyncio.to_thread(self._has_room):
            sentence = "The disk set aside for uploads is full: try again in an hour."
            await refuse(scope, receive, send, sentence, 507)
            return
        counting = _Counting(receive, send, size)
        try:
            await self._app(scope, counting.receive, counting.send)
        except Exception:
            if not counting.exceeded:
                raise
        if counting.exceeded:
            await refuse(scope, receive, send, f"Too large: at most {size / 1e6:.1f} MB.", 413)

    async def _take_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads and counts a whole body, then hands it on in one piece."""
        scan, body, more = BodyScan(self._limits.body), bytearray(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            chunk, more = message.get("body", b""), message.get("more_body", False)
            try:
                scan.feed(chunk)
            except TooCostly as error:
                await refuse(scope, receive, send, f"This cannot be taken: {error}.", 413)
                return
            body += chunk
        whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def receive_whole() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, receive_whole, send)

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


class _Counting:
    """A request that breaks off where it is too large, and whose answer is then not sent."""

    def __init__(self, receive: Receive, send: Send, allowed: int) -> None:
        self._receive, self._send, self._left = receive, send, allowed

    @property
    def exceeded(self) -> bool:
        return self._left < 0

    async def receive(self) -> Message:
        if not self.exceeded:
            message = await self._receive()
            self._left -= len(message.get("body", b""))
        return {"type": "http.disconnect"} if self.exceeded else message

    async def send(self, message: Message) -> None:
        if not self.exceeded:
            await self._send(message)


async def refuse(scope: Scope, receive: Receive, send: Send, sentence: str, code: int) -> None:
    """Answers with a sentence, or closes a socket: for good, or until there is less to do."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008 if code in (400, 403) else 1013})
        return
    await PlainTextResponse(sentence, code)(scope, receive, send)
