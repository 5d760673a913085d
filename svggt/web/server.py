"""The site: our routes first, Gradio mounted at /, headers and limits around both."""

from __future__ import annotations

from functools import partial

import gradio as gr
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from svggt.exports import Exporter
from svggt.frames import InputLimits
from svggt.loading import BackgroundLoad
from svggt.scene import CamerasChoice
from svggt.sessions import Sessions
from svggt.web.begin import Beginner
from svggt.web.capture import capture_routes
from svggt.web.comparing import BESIDE
from svggt.web.gallery import EXAMPLES
from svggt.web.limits import LimitMiddleware, RequestLimits
from svggt.web.proxy import VIEWER_CSP, Viewing, viewer_routes
from svggt.web.replay import replay_file, replay_routes
from svggt.web.sharing import export_routes, report_routes, shared_replay
from svggt.web.ui import SCRIPT, STYLE, THEME, Page
from svggt.web.uploads import UploadFolder

UPLOADS_TOGETHER = 20
"""Largest uploads that fit on the disk set aside for them."""


def build_site(
    sessions: Sessions,
    limits: InputLimits,
    load: BackgroundLoad | None = None,
    allowed_origins: frozenset[str] = frozenset(),
    cameras: CamerasChoice = "auto",
) -> FastAPI:
    """Everything that is served on the one port.

    Args:
        sessions: where runs live.
        limits: what a visitor may send.
        load: weights that are still on their way.
        allowed_origins: scheme://host of pages besides our own that may open sockets.
        cameras: that scenes are shown by at first.
    """
    site = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    site.include_router(viewer_routes(partial(_viewing, sessions), allowed_origins))
    capturing = partial(sessions.get, role="capture")
    site.include_router(capture_routes(capturing, allowed_origins))
    recorded = frozenset(e.name for e in EXAMPLES if replay_file(e.name).is_file())
    exporter = Exporter()
    site.include_router(replay_routes(recorded, partial(shared_replay, sessions, exporter)))
    site.include_router(export_routes(sessions, exporter))
    site.include_router(report_routes(sessions, exporter))
    gr.set_static_paths([example.picture for example in EXAMPLES])
    uploads = UploadFolder.of_gradio(UPLOADS_TOGETHER * limits.max_bytes)
    gr.mount_gradio_app(
        site,
        Page(
            sessions, limits, Beginner(sessions, limits, uploads), exporter, load, cameras
        ).build(),
        path="/",
        theme=THEME,
        css=STYLE,
        head=f"<script>{SCRIPT}</script>",
        show_error=False,
        allowed_paths=[],
        max_file_size=limits.max_bytes,
        ssr_mode=False,
        footer_links=["api"],
    )
    request_limits = RequestLimits(upload_bytes=limits.max_bytes)
    site.add_middleware(LimitMiddleware, limits=request_limits, has_room=uploads.has_room)
    site.add_middleware(HeaderMiddleware)  # outermost: on refusals too
    return site


def _viewing(sessions: Sessions, token: str) -> Viewing | None:
    """What a token of the 3D view's socket lets see: its owner's, or a reader's."""
    if (own := sessions.get(token, "view")) is not None:
        return Viewing(own.scene.port, reads_only=False)
    compared = sessions.get(token.removesuffix(BESIDE), "view")
    if compared is not None and compared.comparison is not None:
        return Viewing(compared.comparison.scene.port, reads_only=False)
    if (read := sessions.get(token, "reader")) is not None:
        return Viewing(read.scene.port, reads_only=True)
    return None


class HeaderMiddleware:
    """Adds the page's policy to every answer that has none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", VIEWER_CSP)
                headers.setdefault("Referrer-Policy", "no-referrer")
                headers.setdefault("X-Content-Type-Options", "nosniff")
            await send(message)

        await self._app(scope, receive, send_with_headers)
