"""Endpoints for scripts: their arguments checked, their refusals as sentences."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import wraps
from inspect import isasyncgenfunction, signature
from typing import Any

import gradio as gr
from pydantic import ConfigDict, ValidationError, validate_call

from svggt.errors import BadInput
from svggt.session.registry import Sessions
from svggt.session.session import Session

GONE = "There is no such session: it has expired, or the token is another one."


def owned(sessions: Sessions, token: str) -> Session:
    """The session of an owner's token.

    Raises:
        BadInput: there is none.
    """
    session = sessions.find(token)
    if session is None:
        raise BadInput(GONE)
    return session


def told(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """An endpoint whose refusals reach the caller as sentences."""

    # Gradio documents the types and does not check them.
    checking = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(endpoint)
    names = signature(endpoint)

    def checked(*args: Any, **named: Any) -> Any:
        return checking(**names.bind(*args, **named).arguments)  # errors name the argument

    @wraps(endpoint)
    def call(*args: Any, **named: Any) -> Any:
        try:
            return checked(*args, **named)
        except (BadInput, KeyError, IndexError, ValidationError) as error:
            raise _as_sentence(error) from None

    @wraps(endpoint)
    async def iterate(*args: Any, **named: Any) -> AsyncIterator[Any]:
        try:
            async for value in checked(*args, **named):
                yield value
        except (BadInput, ValidationError) as error:
            raise _as_sentence(error) from None

    return iterate if isasyncgenfunction(endpoint) else call


def _as_sentence(error: Exception) -> gr.Error:
    sentence = str(error) if isinstance(error, BadInput) else "There is no such frame."
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        sentence = f"{'.'.join(map(str, first['loc']))}: {first['msg']}."
    return gr.Error(sentence, print_exception=False)
