"""viser behind the page's own port: its client as a page, its socket through a proxy.

A session's viser server listens on a loopback port that nobody outside reaches; the token in
the path says which.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
import websockets
from fastapi import APIRouter, HTTPException, Request, Response, WebSocket, WebSocketDisconnect
from websockets.typing import Subprotocol

from svggt.exports.replay import HIDE_NOTICES, HOW_TO_DRAW
from svggt.scene.viewer_cameras import READ_ONLY
from svggt.web.hosts import same_origin

VIEWER_CSP = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' blob: data:; "
    "connect-src 'self' blob: data:; "
    "frame-ancestors 'self' https://huggingface.co https://*.hf.space"
)
"""What viser's client may do: talk to this page alone, and be framed by it or its Space."""

MAX_SOCKETS = 8
"""Browsers at once in one scene."""

_MAX_UPSTREAM = 1 << 20  # bytes of one message from a browser; viser's own are small
_SEND_SECONDS = 20  # a browser that takes nothing for so long is dropped, not buffered for

# The page's own controls drive the scene; viser's panel covers half a phone.
_HIDE_PANEL = HIDE_NOTICES + "<style>.mantine-Paper-root { display: none !important; }</style>"

_POSTER = f"<script>\n{Path(__file__).with_name('poster.js').read_text('utf-8')}</script>"

_POLL_SECONDS = 2  # between two looks whether a token is still good

_Three = tuple[float, float, float]
_Size = Annotated[float, msgspec.Meta(gt=0)]


class _Camera(msgspec.Struct, tag_field="type", tag="ViewerCameraMessage"):
    """What viser's client says of where its visitor looks from; it changes nothing in a scene."""

    wxyz: tuple[float, float, float, float]
    position: _Three
    look_at: _Three
    up_direction: _Three
    fov: _Size
    image_height: _Size
    image_width: _Size


@dataclass(frozen=True)
class Viewing:
    """What a token lets see.

    Attributes:
        port: loopback port of the viser server.
        reads_only: whether nothing that the browser does may reach the scene.
    """

    port: int
    reads_only: bool


Lookup = Callable[[str], Viewing | None]
"""What a token lets see; None for unknown, expired and revoked."""


def viewer_routes(lookup: Lookup, allowed_origins: frozenset[str]) -> APIRouter:
    """`/viser/{token}/`: the client's page, and its socket.

    Args:
        lookup: finds a session's viser server.
        allowed_origins: scheme://host of pages besides our own that may open the socket.
    """
    router = APIRouter()
    open_sockets: Counter[str] = Counter()

    @router.get("/viser/{token}/")
    async def page(token: str, request: Request) -> Response:
        if lookup(token) is None or not _harmless(request, f"/viser/{token}"):
            raise HTTPException(404)
        return viewer_page(_HIDE_PANEL)

    @router.websocket("/viser/{token}")
    @router.websocket("/viser/{token}/")
    async def socket(token: str, browser: WebSocket) -> None:
        viewing = lookup(token)
        if viewing is None or not same_origin(browser.headers, allowed_origins):
            await browser.close(1008)
            return
        if open_sockets[token] >= MAX_SOCKETS:
            await browser.close(1013)
            return
        open_sockets[token] += 1
        try:
            await _bridge(browser, viewing, lambda: lookup(token) == viewing)
        finally:
            open_sockets[token] -= 1
            if not open_sockets[token]:
                del open_sockets[token]

    return router


def _harmless(request: Request, socket_path: str) -> bool:
    """Whether no query key binds the client to another server.

    The client writes its own socket's address into its query; that one passes, for a reload.
    """
    query, host = request.query_params, request.headers.get("host")
    own = {f"ws://{host}{socket_path}", f"wss://{host}{socket_path}"}
    return set(query.getlist("websocket")) <= own and "playbackPath" not in query


def viewer_page(style: str, anywhere: bool = False) -> Response:
    """viser's single-file client with a style and a poster of ours, under our policy.

    Args:
        style: CSS.
        anywhere: any site may frame it.
    """
    policy, _, _ = VIEWER_CSP.partition("frame-ancestors")
    headers = {
        "Content-Security-Policy": policy + "frame-ancestors *" if anywhere else VIEWER_CSP,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(_client(style), media_type="text/html", headers=headers)


@cache
def _client(style: str) -> bytes:
    html = resources.files("viser").joinpath("client/build/index.html").read_text("utf-8")
    return html.replace("<head>", f"<head>{HOW_TO_DRAW}{_POSTER}{style}", 1).encode()


async def _bridge(browser: WebSocket, viewing: Viewing, is_good: Callable[[], bool]) -> None:
    """Connects a browser to a viser server until either side ends, or the token does."""
    # viser checks that client and server are of one version by the subprotocol.
    asked = [Subprotocol(name) for name in browser.scope.get("subprotocols", [])]
    try:
        viser = await websockets.connect(
            f"ws://127.0.0.1:{viewing.port}{READ_ONLY if viewing.reads_only else '/'}",
            subprotocols=asked or None,
            max_size=None,
            compression=None,
            proxy=None,
        )
    except (OSError, websockets.WebSocketException):
        await browser.close(1013)
        return
    async with viser:
        await browser.accept(viser.subprotocol)
        pumps = [
            asyncio.create_task(_to_viser(browser, viser, viewing.reads_only)),
            asyncio.create_task(_to_browser(viser, browser)),
            asyncio.create_task(_until_revoked(is_good)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # the browser has gone already
        await browser.close(_code(viser.close_code))


async def _until_revoked(is_good: Callable[[], bool]) -> None:
    while is_good():
        await asyncio.sleep(_POLL_SECONDS)


async def _to_viser(
    browser: WebSocket, viser: websockets.ClientConnection, reads_only: bool
) -> None:
    while True:
        message = await browser.receive()
        if message["type"] == "websocket.disconnect":
            return
        data = message.get("bytes") or message.get("text")
        if data is None or len(data) > _MAX_UPSTREAM:
            return
        if not reads_only or _says_where_it_looks_from(data):
            await viser.send(data)


def _says_where_it_looks_from(data: bytes | str) -> bool:
    """Whether a message of viser's client is about its own camera, and sound."""
    try:
        camera = msgspec.msgpack.decode(data if isinstance(data, bytes) else b"", type=_Camera)
    except msgspec.DecodeError:
        return False
    numbers = (camera.wxyz, camera.position, camera.look_at, camera.up_direction)
    return all(math.isfinite(each) for each in (camera.fov, *itertools.chain(*numbers)))


async def _to_browser(viser: websockets.ClientConnection, browser: WebSocket) -> None:
    async for message in viser:
        is_text = isinstance(message, str)
        send = browser.send_text(message) if is_text else browser.send_bytes(message)
        # One message at a time in flight: a slow browser holds viser back, then is dropped.
        await asyncio.wait_for(send, _SEND_SECONDS)


def _code(close_code: int | None) -> int:
    """A close code that may be sent on: 1005 and 1006 only say that none came."""
    return close_code if close_code and close_code not in (1005, 1006) else 1000
