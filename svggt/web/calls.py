"""What reaches Gradio: the paths that the page and its scripts need, and calls that make sense.

Left to itself it answers an unknown name or too few values by 500, and a traceback in the log.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Mapping
from typing import Any

import gradio as gr
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
_NO_SENSE = "This could not be done with these values. Reload the page, and try again."
_MOST_PLACES = 100  # that a traceback is logged of
_MOST_SHOWN = 60  # characters of a name that is repeated in an answer
_MOST_VISITORS = 500  # whose components Gradio remembers, a quarter of a megabyte each


class StrictBlocks(gr.Blocks):
    """Gradio's page; what goes wrong in an event is a sentence, and a traceback once a place.

    Left to itself Gradio prints one each time, and strangers can send what makes no sense. It also
    remembers every visitor's components, of the last ten thousand; scripts have none.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.state_session_capacity = _MOST_VISITORS
        self._logged: set[tuple[str, int]] = set()  # places in the code

    async def process_api(
        self, block_fn: BlockFunction | int, *args: Any, **named: Any
    ) -> dict[str, Any]:
        """Runs an event; see `gr.Blocks`.

        Raises:
            gr.Error: it failed.
        """
        goes_on = False
        try:
            answer = await super().process_api(block_fn, *args, **named)
            goes_on = answer["is_generating"]
            return answer
        except gr.Error as error:
            error.print_exception = False  # it is a sentence for whoever sent the values
            raise
        except Exception as error:  # whatever a component or a function raised
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = (last.filename, last.lineno or 0)
            is_new = place not in self._logged and len(self._logged) < _MOST_PLACES
            self._logged.add(place)
            log.warning("an event failed: %s", str(error)[:200] or repr(error), exc_info=is_new)
            raise gr.Error(_NO_SENSE, print_exception=False) from None
        finally:
            fn = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
            if fn.api_visibility == "public" and not goes_on:
                self._forget(named.get("session_hash"))

    def _forget(self, session_hash: str | None) -> None:
        """Drops what Gradio remembers of a script; of a page nothing that it holds is dropped."""
        holder = self.state_holder
        if session_hash in holder.session_data and not holder[session_hash].state_data:
            del holder.session_data[session_hash]
            del holder.time_last_used[session_hash]


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
        if path == _JOIN or call is not None:
            message = await receive()
            wrong = self._wrong_with(call["name"] if call else "", message.get("body", b""))
            if wrong is not None:
                await PlainTextResponse(*wrong)(scope, receive, send)
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

    def _wrong_with(self, name: str, body: bytes) -> tuple[str, int] | None:
        """What is wrong with a call, and the status to say it by; None: nothing that shows here.

        Scripts name an endpoint; the page says an event's number, by whatever name.
        """
        asked = _object(body)
        if _names_address(asked.get("data")):
            return "Addresses are not fetched: send the file itself.", 422
        number = asked.get("fn_index")
        if number is None and name and name not in self._by_name:
            return f"There is no endpoint {name[:_MOST_SHOWN]}: see /gradio_api/info.", 404
        if number is not None and not (isinstance(number, int) and number in self._functions):
            return "There is no such event: reload the page.", 422
        function = self._by_name.get(name) if number is None else self._functions[number]
        given, needed = asked.get("data"), 0 if function is None else len(function.inputs)
        if isinstance(given, list) and len(given) < needed:
            return (
                f"{needed} values are needed, and {len(given)} were sent: see /gradio_api/info.",
                422,
            )
        return None


def _object(body: bytes) -> dict[str, Any]:
    """A JSON object; an empty one for anything else, of which Gradio says what is wrong."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _names_address(value: Any) -> bool:
    """Whether a file is given by an address, which Gradio would fetch."""
    if isinstance(value, dict):
        path = value.get("path")
        return (isinstance(path, str) and "://" in path) or any(map(_names_address, value.values()))
    return isinstance(value, list) and any(map(_names_address, value))


def _first(message: Message, receive: Receive) -> Receive:
    """A channel that says a message, which was read already, once more before all others."""
    waiting = [message]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
