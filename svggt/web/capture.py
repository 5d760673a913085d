"""A camera of the visitor: a page that sends its pictures, here or on a phone, and their socket.

The token in the path lets a camera send pictures into one session's run, and nothing else.
"""

from __future__ import annotations

import ipaddress
import struct
import time
from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter, HTTPException, Response, WebSocket, WebSocketDisconnect

from svggt.media.camera_stream import MAX_BYTES
from svggt.session.session import Session
from svggt.web import panels
from svggt.web.hosts import same_origin
from svggt.web.proxy import VIEWER_CSP

_PAGE = Path(__file__).with_name("capture.html").read_text("utf-8")
_HEAD = struct.Struct("<I")  # before each picture: how many were not sent
_MOST_MISSED = 10_000
_REPLACED, _REFUSED = 4000, 1008

Find = Callable[[str], Session | None]


def capture_routes(find: Find, allowed_origins: frozenset[str]) -> APIRouter:
    """`/capture/{token}/`: the camera's page, and the socket that its pictures come through.

    Args:
        find: the session of a capture token; None for unknown and expired.
        allowed_origins: scheme://host of pages besides our own that may open the socket.
    """
    router = APIRouter()
    sending: dict[str, WebSocket] = {}  # one camera a session: the newest

    @router.get("/capture/{token}/")
    async def page(token: str) -> Response:
        if find(token) is None:
            raise HTTPException(404)
        headers = {
            "Content-Security-Policy": VIEWER_CSP,
            "Referrer-Policy": "no-referrer",
            "Permissions-Policy": "camera=(self)",
            "Cache-Control": "no-store",
        }
        return Response(_PAGE, media_type="text/html", headers=headers)

    @router.websocket("/capture/{token}")
    async def socket(token: str, browser: WebSocket) -> None:
        session = find(token)
        waits = session is not None and session.camera is not None and not session.camera.ended
        await browser.accept()  # only an accepted socket can say why it closes
        if not waits or not same_origin(browser.headers, allowed_origins):
            await browser.close(_REFUSED)
            return
        assert session is not None
        older = sending.pop(token, None)
        sending[token] = browser
        try:
            if older is not None:
                await older.close(_REPLACED)
            await _receive(browser, session)
        except (WebSocketDisconnect, RuntimeError):  # it went, or a newer one closed it
            pass
        finally:
            if sending.get(token) is browser:
                del sending[token]

    return router


async def _receive(browser: WebSocket, session: Session) -> None:
    """Takes pictures until the run has ended, and says after each what came of them."""
    camera = session.camera
    assert camera is not None
    while True:
        received = await browser.receive()
        if received["type"] == "websocket.disconnect":
            return
        message = received.get("bytes") or b""  # no text is expected
        if not _HEAD.size < len(message) <= _HEAD.size + MAX_BYTES:
            await browser.close(1009)
            return
        (missed,) = _HEAD.unpack_from(message)
        session.touch()
        # By our clock: another device, which may take over, has another one.
        camera.show(time.monotonic(), message[_HEAD.size :], min(missed, _MOST_MISSED))
        counts = camera.received
        await browser.send_json(
            {
                "made": counts.made,
                "dropped": counts.dropped,
                "frames": session.progress.frames_done,
                "ended": camera.ended,
            }
        )
        if camera.ended:
            await browser.close()
            return


def panel(capture_token: str, origin: str) -> str:
    """The camera's page within this one, and the way to a phone's.

    Args:
        capture_token: lets a camera send pictures to the session.
        origin: scheme://host that this page was opened by.
    """
    path = f"/capture/{capture_token}/"
    scheme, _, host = origin.partition("://")
    code = panels.qr_code(origin + path)
    return panels.camera(path, host, scheme, _is_loopback(host), code)


def _is_loopback(host: str) -> bool:
    name = host.rsplit(":", 1)[0].strip("[]") if not host.endswith("]") else host.strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
