"""By which names this server answers, and to whose pages: against rebinding and forged hosts."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from svggt.web.limits import refuse

_SAFE = ("GET", "HEAD", "OPTIONS")
_NO_HOST = re.compile(r"[@/?#\\\s]")
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
        strange = [host for host in hosts_of(headers) if not self._is_ours(host)]
        if strange:
            name = _name(strange[0])
            sentence = f"This server does not answer as “{name}”: start it with --allowed-hosts"
            await refuse(scope, receive, send, f"{sentence} {name or 'NAME'}.", 400)
            return
        if not self._may_send(scope, headers):
            await refuse(scope, receive, send, "Another site's page may not send this.", 403)
            return
        kept = [(name, value) for name, value in scope["headers"] if name != _DROPPED]
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

    def _may_send(self, scope: Scope, headers: Headers) -> bool:
        """Whether a request that changes something comes from our page, or from no page at all.

        Sockets look at their origin themselves.
        """
        if scope["type"] != "http" or scope["method"] in _SAFE:
            return True
        return same_origin(headers, self._origins)


def hosts_of(headers: Headers) -> list[str]:
    """By which a browser reached us: as our proxy says, where there is one, and as we see it."""
    forwarded = headers.get("x-forwarded-host", "").partition(",")[0].strip()
    return [forwarded] * bool(forwarded) + [headers.get("host", "")]


def same_origin(headers: Headers, allowed: frozenset[str]) -> bool:
    """Whether a request comes from this page, from an allowed one, or from no page at all."""
    origin = headers.get("origin")
    if origin is None or origin in allowed:
        return True
    return _place(urlsplit(origin).netloc) in map(_place, hosts_of(headers))


def _place(host: str) -> str:
    """In small letters, without the port that a browser leaves out."""
    return host.lower().removesuffix(":80").removesuffix(":443")


def _name(host: str) -> str:
    """Without its port and brackets; empty for what is no host."""
    if _NO_HOST.search(host):
        return ""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
