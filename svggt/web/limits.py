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
from functools import partial

import gradio as gr
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from svggt.web.bodies import BodyLimits, BodyScan, TooCostly
from svggt.web.uploads import YOURS, UploadFolder

UPLOAD = "/gradio_api/upload"
"""The one path whose bodies are files."""

_ADDRESSES = 10_000  # remembered at most
_BODY_SECONDS = 20.0  # for a whole body that is no upload
_CHUNK_SECONDS = 20.0  # for the next piece of an upload,
_SLOWEST = 10_000  # and bytes a second of all of it
_SLOW = "This came too slowly: check the connection, and send it again."
_PART = b"\r\ncontent-disposition:"  # in small letters: what each part of a form begins with
_FORM_BYTES = 100_000  # that a form needs around its files


@dataclass(frozen=True)
class RequestLimits:
    """Limits on what one visitor may send.

    Attributes:
        upload_bytes: largest body of the upload route.
        upload_files: most files in one.
        body: most bytes that any other route takes.
        requests_per_second: that one address may send, as a long-run mean.
        burst: requests at once; a page load of Gradio makes about a hundred.
    """

    upload_bytes: int
    upload_files: int
    body: BodyLimits
    requests_per_second: float = 50.0
    burst: int = 600


class LimitMiddleware:
    """Refuses what is too large (413) or too much (429).

    Bodies are counted as they stream in, since a length header is only a promise.
    """

    def __init__(self, app: ASGIApp, limits: RequestLimits, uploads: UploadFolder) -> None:
        self._app = app
        self._limits = limits
        self._uploads = uploads
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        # uvicorn has already read X-Forwarded-For where it trusts it.
        address = network_of((scope.get("client") or ("", 0))[0])
        if not self._allowed(address):
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
            await self._take_upload(scope, receive, send, size, address)
        else:
            await self._take_body(scope, receive, send)

    async def _take_upload(
        self, scope: Scope, receive: Receive, send: Send, size: int, address: str
    ) -> None:
        """Lets the app read an upload as it comes; a refused one ends as if it broke off."""
        if sentence := self._uploads.refusal(address):
            await refuse(scope, receive, send, sentence, 429 if sentence == YOURS else 507)
            return
        counting = _Counting(
            receive, send, size, self._limits.upload_files, partial(self._uploads.refusal, address)
        )
        try:
            await self._app(scope, counting.receive, counting.send)
        except Exception:
            if counting.refused is None:
                raise
        if counting.refused is not None:
            await refuse(scope, receive, send, *counting.refused)

    async def _take_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads and counts a whole body, then hands it on in one piece."""
        scan, body, more = BodyScan(self._limits.body), bytearray(), True
        began = time.monotonic()
        while more:
            left = began + _BODY_SECONDS - time.monotonic()
            try:
                message = await asyncio.wait_for(receive(), left)
            except TimeoutError:
                await refuse(scope, receive, send, _SLOW, 408)
                return
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


def address_of(request: gr.Request | Request) -> str:
    """The visitor who sent a request; see `network_of`."""
    return network_of(request.client.host if request.client else "")


def origin_of(request: gr.Request) -> str:
    """scheme://host that the visitor's page was opened by; a browser says so by itself."""
    return request.headers.get("origin", "")


class _Counting:
    """An upload that breaks off where it is too large or too slow; its answer is then not sent.

    Args:
        receive: gives the request's next message (ASGI).
        send: likewise.
        allowed: bytes.
        files: most parts that the body may have.
        count: takes the number of those that arrived; says why no more may.

    Attributes:
        refused: sentence and status, once it has broken off.
    """

    def __init__(
        self,
        receive: Receive,
        send: Send,
        allowed: int,
        files: int,
        count: Callable[[int], str],
    ) -> None:
        self._receive, self._send, self._count = receive, send, count
        self._allowed, self._size, self._began, self._ended = allowed, 0, time.monotonic(), False
        self._files, self._parts, self._tail = files, 0, b""
        self.refused: tuple[str, int] | None = None

    async def receive(self) -> Message:
        if self._ended:
            return await self._receive()  # waits for the browser to go
        if self.refused is None:
            message = await self._next()
            if self.refused is None:
                return message
        return {"type": "http.disconnect"}

    async def _next(self) -> Message:
        try:
            message = await asyncio.wait_for(self._receive(), _CHUNK_SECONDS)
        except TimeoutError:
            self.refused = (_SLOW, 408)
            return {"type": "http.disconnect"}
        chunk = len(message.get("body", b""))
        self._size += chunk
        self._ended = not message.get("more_body", False)
        needed = (time.monotonic() - self._began - _CHUNK_SECONDS) * _SLOWEST
        if self._num_parts(message.get("body", b"")) > self._files:
            self.refused = (f"Too many files: at most {self._files} together.", 413)
        elif self._size > self._allowed:
            self.refused = (f"Too large: at most {self._allowed / 1e6:.1f} MB.", 413)
        elif not self._ended and self._size < needed:
            self.refused = (_SLOW, 408)
        elif sentence := self._count(chunk):
            self.refused = (sentence, 429 if sentence == YOURS else 507)
        return message

    def _num_parts(self, chunk: bytes) -> int:
        """Parts of the form so far; a header may lie across two chunks."""
        seen = self._tail + chunk.lower()
        self._parts += seen.count(_PART)
        self._tail = seen[len(seen) - len(_PART) + 1 :] if len(seen) >= len(_PART) else seen
        return self._parts

    async def send(self, message: Message) -> None:
        if self.refused is None:
            await self._send(message)


async def refuse(scope: Scope, receive: Receive, send: Send, sentence: str, code: int) -> None:
    """Answers with a sentence, or closes a socket: for good, or until there is less to do."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008 if code in (400, 403) else 1013})
        return
    await PlainTextResponse(sentence, code)(scope, receive, send)
