"""Endpoints for scripts: their arguments checked, their refusals as sentences."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Container, Iterator
from dataclasses import asdict, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, isasyncgenfunction, signature
from typing import Any, get_type_hints

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


def endpoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """A method as scripts call it: with options field by field, its refusals as sentences.

    A parameter that is a dataclass by default stands for its fields, with that value's.
    """
    # Gradio documents the types and does not check them.
    checking = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(function)
    written = signature(function, eval_str=True)
    options = {n: p.default for n, p in written.parameters.items() if is_dataclass(p.default)}
    shown = written.replace(parameters=[*_flat(written)])

    def checked(*args: Any, **named: Any) -> Any:
        given = shown.bind(*args, **named).arguments  # errors name the argument
        for name, default in options.items():
            values = asdict(default)  # pyright: ignore[reportArgumentType]
            given[name] = {field: given.pop(field, value) for field, value in values.items()}
        return checking(**given)

    @wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        try:
            return checked(*args, **named)
        except (BadInput, KeyError, IndexError, ValidationError) as error:
            raise _refusal(error, options) from None

    @wraps(function)
    async def iterate(*args: Any, **named: Any) -> AsyncIterator[Any]:
        try:
            async for value in checked(*args, **named):
                yield value
        except (BadInput, ValidationError) as error:
            raise _refusal(error, options) from None

    made = iterate if isasyncgenfunction(function) else call
    made.__signature__ = shown  # pyright: ignore[reportAttributeAccessIssue]
    made.__annotations__ = {
        name: parameter.annotation for name, parameter in shown.parameters.items()
    }
    return made


def _flat(written: Signature) -> Iterator[Parameter]:
    """Parameters, with the fields of dataclasses in the place of these."""
    for parameter in written.parameters.values():
        options = parameter.default
        if not is_dataclass(options):
            yield parameter
            continue
        types = get_type_hints(type(options))
        for field in fields(options):
            value = getattr(options, field.name)
            yield parameter.replace(name=field.name, annotation=types[field.name], default=value)


def _refusal(error: Exception, options: Container[object]) -> gr.Error:
    sentence = str(error) if isinstance(error, BadInput) else "There is no such frame."
    if isinstance(error, ValidationError):
        sentence = sentence_of(error, options)
    return gr.Error(sentence, print_exception=False)


def sentence_of(error: ValidationError, options: Container[object] = ()) -> str:
    """The first thing that is wrong with values, after the name of its field or argument.

    Args:
        error: what is wrong with the values.
        options: names of arguments that stand for their fields, which are not said.
    """
    first = error.errors(include_url=False)[0]
    names = [str(part) for part in first["loc"] if part not in options]
    said = first["msg"].removeprefix("Value error, ")  # our own sentence
    return f"{'.'.join(names)}: {said}." if names else f"{said}."
