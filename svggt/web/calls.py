"""What reaches Gradio: the paths that the page and its scripts need, and calls that make sense.

Left to itself it answers an unknown name or too few values by 500, and a traceback in the log.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

from gradio.blocks import BlockFunction
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

_OPEN = re.compile(
    r"/|/config|/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json|/(static|assets|svelte)/.+"
    r"|/gradio_api/("
    r"info|app_id|upload|upload_progress|cancel|reset|startup-events|theme\.css|queue/(join|data)"
    r"|(run|api)/[^/]+|call/(v2/)?[^/]+(/[^/]+)?|heartbeat/[^/]+|file=.+"
    r")"
)
_JOIN = "/gradio_api/queue/join"
_CALL = re.compile(r"/gradio_api/(?:call/v2|call|run|api)/(?P<name>[^/]+)(?:/[^/]+)?")
_MOST_SHOWN = 60  # characters of a name that is repeated in an answer


class GradioGate:
    """Lets through what is open and makes sense; what Gradio then fails at is one line of the log.

    Args:
        app: Gradio's; the bodies of its calls come in one piece.
        functions: its events and endpoints, by id.
    """

    def __init__(self, app: ASGIApp, functions: Mapping[int, BlockFunction]) -> None:
        self._app, self._functions = app, functions
        public = (fn for fn in functions.values() if fn.api_visibility == "public")
        self._by_name = {fn.api_name: fn for fn in public if isinstance(fn.api_name, str)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, call = scope["path"], _CALL.fullmatch(scope["path"])
        if not _OPEN.fullmatch(path):
            await PlainTextResponse("Not Found", 404)(scope, receive, send)
            return
        if call is not None and call["name"] not in self._by_name:
            sentence = f"There is no endpoint {call['name'][:_MOST_SHOWN]}: see /gradio_api/info."
            await PlainTextResponse(sentence, 404)(scope, receive, send)
            return
        if scope["method"] == "POST" and (path == _JOIN or call is not None):
            message = await receive()
            sentence = self._wrong_with(call["name"] if call else "", message.get("body", b""))
            if sentence:
                await PlainTextResponse(sentence, 422)(scope, receive, send)
                return
            receive = _first(message, receive)
        await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = ended = False

        async def noted(message: Message) -> None:
            nonlocal started, ended
            started = True
            ended = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:  # whatever a stranger made Gradio trip over
            place = "/".join(scope["path"].split("/")[:3])  # what follows may be a key
            log.warning("%s %s: %s", scope["method"], place, str(error)[:200] or repr(error))
            log.debug("of which", exc_info=True)
            if not started:
                await PlainTextResponse("This could not be answered.", 500)(scope, receive, send)
            elif not ended:
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _wrong_with(self, name: str, body: bytes) -> str:
        """A sentence about a call that nothing can be made of; empty where it may pass."""
        try:
            asked = json.loads(body)
        except ValueError:
            return ""  # Gradio says so
        if not isinstance(asked, dict):
            return ""
        number = asked.get("fn_index")
        function = self._by_name.get(name) if number is None else self._functions.get(_int(number))
        if function is None:
            return "" if name and number is None else "There is no such event: reload the page."
        given, needed = asked.get("data"), len(function.inputs)
        if isinstance(given, list) and len(given) < needed:
            return f"{needed} values are needed, and {len(given)} were sent: see /gradio_api/info."
        return ""


def _int(number: Any) -> int:
    return number if isinstance(number, int) else -1


def _first(message: Message, receive: Receive) -> Receive:
    """A channel that says a message, which was read already, once more before all others."""
    waiting = [message]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
