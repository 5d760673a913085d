"""The site: our routes first, Gradio mounted at /, headers and limits around both."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import gradio as gr
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from svggt.engine.background_load import BackgroundLoad
from svggt.exports.exporter import Exporter
from svggt.media.examples import EXAMPLES
from svggt.media.frames import InputLimits
from svggt.session.registry import Sessions
from svggt.view_options import CamerasChoice
from svggt.web.bodies import BodyLimits
from svggt.web.calls import GradioGate
from svggt.web.capture import capture_routes
from svggt.web.compare_events import B_SUFFIX
from svggt.web.hosts import HostMiddleware
from svggt.web.limits import LimitMiddleware, RequestLimits
from svggt.web.password import PasswordGate
from svggt.web.proxy import VIEWER_CSP, Viewing, viewer_routes
from svggt.web.replay import replay_routes
from svggt.web.run_request import RunStarter
from svggt.web.share_events import export_routes, report_routes, shared_replay
from svggt.web.ui import SCRIPT, STYLE, THEME, Page
from svggt.web.uploads import UploadFolder

UPLOADS_TOGETHER = 20
"""Largest uploads that fit on the disk set aside for them."""

UPLOADS_AN_HOUR = 5
"""Largest uploads that one address may send within an hour."""

_WORDS = {"common.upload": "Upload"}
"""Of the page's controls, which Gradio's own list leaves out."""


def build_site(
    sessions: Sessions,
    limits: InputLimits,
    load: BackgroundLoad | None = None,
    allowed_origins: frozenset[str] = frozenset(),
    cameras: CamerasChoice = "auto",
    allowed_hosts: Iterable[str] = (),
    password: str = "",
) -> FastAPI:
    """Everything that is served on the one port.

    Args:
        sessions: where runs live.
        limits: what a visitor may send.
        load: weights that are still on their way.
        allowed_origins: scheme://host of pages besides our own that may open sockets.
        cameras: that scenes are shown by at first.
        allowed_hosts: names that the server answers to, besides addresses and localhost.
        password: that visitors must know; empty for none.
    """
    site = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    site.add_api_route("/healthz", healthz)
    site.include_router(viewer_routes(partial(_viewing, sessions), allowed_origins))
    capturing = partial(sessions.get, role="capture")
    site.include_router(capture_routes(capturing, allowed_origins))
    recorded = {e.name: e.replay for e in EXAMPLES if e.replay.is_file()}
    exporter = site.state.exporter = Exporter()
    posters = {e.name: e.picture for e in EXAMPLES}
    shared = partial(shared_replay, sessions, exporter)
    site.include_router(replay_routes(recorded, posters, shared))
    site.include_router(export_routes(sessions, exporter))
    site.include_router(report_routes(sessions, exporter))
    gr.set_static_paths([example.picture for example in EXAMPLES])
    uploads = UploadFolder.of_gradio(
        UPLOADS_TOGETHER * limits.max_bytes, UPLOADS_AN_HOUR * limits.max_bytes
    )
    starter = RunStarter(sessions, limits, uploads)
    blocks = Page(sessions, limits, starter, exporter, load, cameras).build()
    gr.mount_gradio_app(
        site,
        blocks,
        path="/",
        theme=THEME,
        css=STYLE,
        head=f"<script>{SCRIPT}</script>",
        show_error=False,
        allowed_paths=[],
        max_file_size=limits.max_bytes,
        ssr_mode=False,
        footer_links=["api"],
        # With it a forged Host made the server send its operator's token out (gradio < 6.32).
        run_history=False,
        enable_monitoring=False,
        app_kwargs={"openapi_url": None},
        i18n=gr.I18n(en=_WORDS),
    )
    mount = site.routes[-1]
    assert isinstance(mount, Mount)
    mount.app = GradioGate(mount.app, blocks.fns)
    # Gradio lets any site read its answers unless the app around it says whose may.
    site.add_middleware(CORSMiddleware, allow_origins=sorted(allowed_origins))
    if password:
        site.add_middleware(PasswordGate, password=password)
    request_limits = RequestLimits(limits.max_bytes, limits.max_files, BodyLimits.of(limits))
    site.add_middleware(LimitMiddleware, limits=request_limits, uploads=uploads)
    site.add_middleware(HostMiddleware, allowed=allowed_hosts, origins=allowed_origins)
    site.add_middleware(HeaderMiddleware)  # outermost: on refusals too
    return site


async def healthz() -> PlainTextResponse:
    """That the event loop answers; for whoever restarts servers that do not."""
    return PlainTextResponse("ok", headers={"Cache-Control": "no-store"})


def _viewing(sessions: Sessions, token: str) -> Viewing | None:
    """What a token of the 3D view's socket lets see: its owner's, or a reader's."""
    if (own := sessions.get(token, "view")) is not None:
        return Viewing(own.scene.port, reads_only=False)
    compared = sessions.get(token.removesuffix(B_SUFFIX), "view")
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
