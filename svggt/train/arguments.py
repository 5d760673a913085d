"""A command's arguments, from its signature and docstring.

By argparse, which is everywhere: a lent machine for training has no tyro.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

_LINE = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)  # of Args or Attributes


def add_command(commands: Any, name: str, run: Callable[..., None]) -> argparse.ArgumentParser:
    """A sub-command that calls a function: keyword-only parameters are options, others are not.

    Args:
        commands: what `ArgumentParser.add_subparsers` returned.
        name: the command's.
        run: called with what was parsed; its docstring's first line is the help.
    """
    about = inspect.getdoc(run) or ""
    parser = commands.add_parser(name, help=about.split("\n")[0])
    parser.set_defaults(run=run)
    for parameter in inspect.signature(run).parameters.values():
        if parameter.name not in ("name", "given"):
            is_option = parameter.kind is parameter.KEYWORD_ONLY
            _add(parser, run, parameter, is_option, parameter.default)
    return parser


def add_fields(parser: argparse.ArgumentParser, options: type, defaults: Any) -> None:
    """An option for every field of a dataclass; those that nobody gives are absent.

    Args:
        parser: gets them.
        options: the dataclass.
        defaults: one of it, whose values the help names.
    """
    for parameter in inspect.signature(options).parameters.values():
        action = _add(parser, options, parameter, True, argparse.SUPPRESS)
        action.help = f"{action.help} ({getattr(defaults, parameter.name)})"


def given_of(parsed: Mapping[str, Any], options: type) -> dict[str, Any]:
    """What was parsed of a dataclass's fields."""
    names = [name for name in inspect.signature(options).parameters if name in parsed]
    return {n: tuple(parsed[n]) if isinstance(parsed[n], list) else parsed[n] for n in names}


def _add(
    parser: argparse.ArgumentParser,
    described: Any,
    parameter: inspect.Parameter,
    is_option: bool,
    default: Any,
) -> argparse.Action:
    words: dict[str, Any] = {"help": _help_of(described, parameter.name)}
    kind = get_type_hints(described)[parameter.name]
    if type(None) in get_args(kind):  # X | None
        kind = get_args(kind)[0]
    is_several = get_origin(kind) in (list, tuple)
    if is_several:
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        words["choices"] = get_args(kind)
    elif kind is bool:
        words["action"] = argparse.BooleanOptionalAction
    else:
        words["type"] = kind
    if default is not inspect.Parameter.empty:
        words["default"] = default
    if is_several:
        words["nargs"] = "*" if is_option else "+"
    elif not is_option and "default" in words:
        words["nargs"] = "?"
    flag = "--" + parameter.name.replace("_", "-") if is_option else parameter.name
    return parser.add_argument(flag, **words)


def _help_of(described: Any, name: str) -> str:
    lines = dict(_LINE.findall(inspect.getdoc(described) or ""))
    return " ".join(lines.get(name, "").split()).replace("%", "%%")
