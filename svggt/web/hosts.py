"""By which names this server answers, and to whose pages: against rebinding and forged hosts."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_SAFE = ("GET", "HEAD", "OPTIONS")
_FORWARDED = b"x-forwarded-host"
_DROPPED = b"x-gradio-server"  # by which anybody could tell Gradio where the page lies


class HostMiddleware:
    """Answers to addresses, to localhost and to allowed names; others are refused by a sentence.

    Args:
        app: what is behind.
        allowed: names without a port; a Space's own are added from its environment.
        origins: scheme://host of pages besides our own that may send something.
    """

    def __init__(self, app: ASGIApp, allowed: Iterable[str], origins: frozenset[str]) -> None:
        self._app, self._origins = app, origins
        of_space = os.environ.get("SPACE_HOST", "").split(",")
        self._allowed = {name.strip().lower() for name in (*allowed, *of_space) if name.strip()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(host):
            sentence = (
                f"This server does not answer as “{_name(host)}”: start it with --allowed-hosts"
            )
            await _refuse(scope, receive, send, f"{sentence} {_name(host) or 'NAME'}.", 400)
            return
        if not self._may_send(scope, headers, host):
            await _refuse(scope, receive, send, "Another site's page may not send this.", 403)
            return
        kept = [
            (name, value)
            for name, value in scope["headers"]
            if name != _DROPPED and (name != _FORWARDED or self._is_ours(value.decode("latin-1")))
        ]
        await self._app({**scope, "headers": kept}, receive, send)

    def _is_ours(self, host: str) -> bool:
        name = _name(host)
        if name == "localhost" or name in self._allowed:
            return True
        try:
            ipaddress.ip_address(name)  # a phone in the same network names one
        except ValueError:
            return False
        return True

    def _may_send(self, scope: Scope, headers: Headers, host: str) -> bool:
        """Whether a request that changes something comes from our page, or from no page at all.

        Sockets look at their origin themselves (`svggt.web.proxy.same_origin`).
        """
        if scope["type"] != "http" or scope["method"] in _SAFE:
            return True
        origin = headers.get("origin")
        if origin is None or origin in self._origins:
            return True
        names = (host, headers.get("x-forwarded-host"))
        return urlsplit(origin).netloc in names


def _name(host: str) -> str:
    """Without its port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


async def _refuse(scope: Scope, receive: Receive, send: Send, sentence: str, code: int) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await PlainTextResponse(sentence, code)(scope, receive, send)
