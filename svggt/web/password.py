"""A private server: one password before everything, the 3D view's sockets and exports too.

A browser asks once and keeps a cookie; a script sends the password by Basic authentication.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections import OrderedDict
from html import escape
from urllib.parse import parse_qs, quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from svggt.web.limits import network_of, refuse

SIGN_IN = "/sign-in"
_OPEN = ("/healthz", SIGN_IN)
_COOKIE = "svggt_key"
_WEEK = 7 * 86_400  # seconds that a browser keeps it
_TRIES, _TRIES_SECONDS = 10, 60.0  # of one address
_ADDRESSES = 10_000  # remembered at most
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>svggt</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  :root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
  body {{ display: grid; place-items: center; min-height: 90vh; margin: 0 1rem; }}
  form {{ display: grid; gap: .7rem; width: min(20rem, 100%); }}
  input, button {{ font: inherit; padding: .5rem .7rem; }}
</style></head><body><main>{body}</main></body></html>"""
_FORM = """<h1>svggt</h1>
<form method="post" action="{action}">
<label for="password">This server is private. Its password:</label>
<input id="password" name="password" type="password" autocomplete="current-password"
  required autofocus>
<button>Open</button>{sentence}</form>"""

_EMBEDDED = "/embed/"
_FRAMED = """<p>This scene is on a private server, which asks for a password.
<a href="{address}" target="_blank" rel="noopener">Open it there</a>.</p>"""
_FRAMED_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors *"


class PasswordGate:
    """Lets in who knows the password; everybody else sees a form, or 401.

    Args:
        app: what is behind.
        password: that opens it.
    """

    def __init__(self, app: ASGIApp, password: str) -> None:
        self._app, self._password = app, password.encode()
        self._key = hmac.new(self._password, b"svggt", hashlib.sha256).hexdigest().encode()
        self._tries: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"] == SIGN_IN:
            response = await self._sign_in(Request(scope, receive))
            await response(scope, receive, send)
        elif scope["path"] in _OPEN or self._is_known(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await refuse(scope, receive, send, "", 403)
        else:
            await self._asking(scope)(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        """By cookie or by Basic authentication; a guess by the latter counts as a try."""
        request = Request({**scope, "type": "http"})
        if hmac.compare_digest(request.cookies.get(_COOKIE, "").encode(), self._key):
            return True
        kind, _, encoded = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic" or self._has_tried_often(scope):
            return False
        try:
            _, _, given = base64.b64decode(encoded, validate=True).partition(b":")
        except binascii.Error:
            return False
        return self._is_right(given, scope)

    async def _sign_in(self, request: Request) -> Response:
        if request.method != "POST":
            return RedirectResponse("/", 303)
        if self._has_tried_often(request.scope):
            return _form("Too many tries: wait a minute.", 429)
        given = parse_qs((await request.body()).decode(errors="replace")).get("password", [""])[0]
        if not self._is_right(given.encode(), request.scope):
            return _form("That is not it. Try again.", 401)
        response, key = RedirectResponse("/", 303), self._key.decode()
        secure = request.url.scheme == "https"
        response.set_cookie(_COOKIE, key, _WEEK, httponly=True, samesite="lax", secure=secure)
        return response

    def _is_right(self, given: bytes, scope: Scope) -> bool:
        if hmac.compare_digest(given, self._password):
            return True
        address, now = network_of((scope.get("client") or ("", 0))[0]), time.monotonic()
        count, since = self._tries.pop(address, (0, now))
        fresh = now - since > _TRIES_SECONDS
        self._tries[address] = (1, now) if fresh else (count + 1, since)
        if len(self._tries) > _ADDRESSES:
            self._tries.popitem(last=False)
        return False

    def _has_tried_often(self, scope: Scope) -> bool:
        address = network_of((scope.get("client") or ("", 0))[0])
        count, since = self._tries.get(address, (0, 0.0))
        return count >= _TRIES and time.monotonic() - since <= _TRIES_SECONDS

    @staticmethod
    def _asking(scope: Scope) -> Response:
        """The form for a browser that opens a page; a word for everything else."""
        request = Request(scope)
        if scope["method"] == "GET" and "text/html" in request.headers.get("accept", ""):
            embedded = request.url.path.startswith(_EMBEDDED)
            return _elsewhere(request.url.path) if embedded else _form("", 401)
        challenge = {"WWW-Authenticate": 'Basic realm="svggt"'}
        return PlainTextResponse("This server has a password.", 401, challenge)


def _elsewhere(path: str) -> Response:
    """What a page of another site frames, to which browsers send no cookie of ours."""
    reader = path.removeprefix(_EMBEDDED).partition("/")[0]
    body = _FRAMED.format(address=escape(f"/?s={quote(reader, safe='')}"))
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": _FRAMED_POLICY}
    return HTMLResponse(_PAGE.format(body=body), 401, headers)


def _form(sentence: str, code: int) -> Response:
    said = f'<p role="alert">{escape(sentence)}</p>' if sentence else ""
    page = _PAGE.format(body=_FORM.format(action=SIGN_IN, sentence=said))
    # Without a referrer a browser says that the form comes from nowhere, which is another site.
    return HTMLResponse(page, code, {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"})
