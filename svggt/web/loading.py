"""The port answers before the page is there: imports and weights take their time.

Knows neither torch nor Gradio, so that it is up within a second or two.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:  # it takes a while to import
    from fastapi import FastAPI

log = logging.getLogger(__name__)

_RETRY_SECONDS = 2
_PAGE = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>svggt</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{_RETRY_SECONDS}">
<style>
  :root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
  body {{ display: grid; place-items: center; min-height: 90vh; margin: 0 1rem; }}
</style></head>
<body><main role="status"><h1>svggt</h1>
<p>The model and the page are being loaded. This takes some seconds; they show by themselves.</p>
</main></body></html>"""


class LoadingSite:
    """Answers 503 until the site is built, in a thread, and is the site from then on.

    Args:
        build: makes the site; it may take as long as it needs.
        on_built: called in the main thread when it has ended, however it did.

    Attributes:
        error: why it failed; None while it has not.
    """

    def __init__(
        self, build: Callable[[], FastAPI], on_built: Callable[[], None] = lambda: None
    ) -> None:
        self.error: BaseException | None = None
        self._build, self._on_built = build, on_built
        self._app: ASGIApp = _loading
        self._site: FastAPI | None = None
        self._lifespan = contextlib.AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        arriving = asyncio.create_task(self._arrive())
        await send({"type": "lifespan.startup.complete"})
        await receive()  # until the server ends
        arriving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await arriving
        await self._lifespan.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _arrive(self) -> None:
        """Builds the site beside the event loop, and puts it in its place."""
        loop, built = asyncio.get_running_loop(), asyncio.Event()

        def build() -> None:
            try:
                self._site = self._build()
            except BaseException as error:  # noqa: BLE001  # whoever started the server is told
                self.error = error
            with contextlib.suppress(RuntimeError):  # the server has ended meanwhile
                loop.call_soon_threadsafe(built.set)

        threading.Thread(target=build, name="build", daemon=True).start()
        await built.wait()
        self._on_built()
        if self._site is None:
            return
        await self._lifespan.enter_async_context(self._site.router.lifespan_context(self._site))
        self._app = self._site
        log.info("the page is ready")


async def _loading(scope: Scope, receive: Receive, send: Send) -> None:
    """That it takes a moment; to a machine, when to ask again."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1013})
        return
    headers = {"Retry-After": str(_RETRY_SECONDS), "Cache-Control": "no-store"}
    await HTMLResponse(_PAGE, 503, headers)(scope, receive, send)
