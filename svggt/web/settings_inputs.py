"""Inputs for how a stream is run: one for every field of `StreamSettings`, named there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import docstring_parser
import gradio as gr
from gradio.components import FormComponent
from pydantic import TypeAdapter, ValidationError

from svggt.errors import BadInput
from svggt.settings import MAX_BUDGET_TEXT, MAX_WINDOW, MEMORY_TITLES, StreamSettings
from svggt.web.endpoint import sentence_of

_SETTINGS = TypeAdapter(StreamSettings)
_LABELS = {"points": "Point head"}  # others are the field's name
_DECIDED = "refine"  # by the page: what the cameras shown need
OF_A_CLIP = "field_of_view"
"""What the settings say of the clip, and a comparison's run shares."""


class SettingsInputs:
    """Inputs by field, laid out where blocks are open.

    Args:
        models: weights to choose from, the default first: name, or (label, name).
        suffix: what every label ends with.
        shared: a field that another run's inputs say.
    """

    def __init__(
        self, models: Sequence[str | tuple[str, str]], suffix: str = "", shared: str = ""
    ) -> None:
        text = docstring_parser.parse(StreamSettings.__doc__ or "")
        hints = {part.arg_name: str(part.description).rstrip(".") for part in text.params}
        types = get_type_hints(StreamSettings)
        self._by_field: dict[str, FormComponent] = {}
        for field in fields(StreamSettings):
            if field.name in (_DECIDED, shared):
                continue
            label = _LABELS.get(field.name, field.name.replace("_", " ").capitalize()) + suffix
            choices = models if field.name == "model" else get_args(types[field.name])
            if field.name == "memory":
                choices = [(f"{name}: {kept}", name) for name, kept in MEMORY_TITLES.items()]
            self._by_field[field.name] = _input(
                types[field.name], choices, field.default, label, hints[field.name]
            )

    @property
    def all(self) -> list[FormComponent]:
        """In the order of the fields."""
        return list(self._by_field.values())

    @property
    def model(self) -> gr.Dropdown:
        """The weights."""
        model = self._by_field["model"]
        assert isinstance(model, gr.Dropdown)
        return model

    def read(self, values: Mapping[Any, Any], refine: bool) -> StreamSettings:
        """What the inputs say, within what a visitor may ask for.

        Args:
            values: by component; an empty one means the default.
            refine: whether cameras are refined.

        Raises:
            BadInput: a value is none of its kind.
        """
        chosen = {name: values[part] for name, part in self._by_field.items()}
        given = {name: value for name, value in chosen.items() if value is not None}
        try:
            return _SETTINGS.validate_python({**given, _DECIDED: refine}).within_limits()
        except ValidationError as error:
            raise BadInput(sentence_of(error)) from None


def _input(
    kind: Any, choices: Sequence[Any], default: Any, label: str, info: str | None
) -> FormComponent:
    """An input for values of a type: a choice, a switch, a number or a line of text."""
    if kind is bool:
        return gr.Checkbox(default, label=label, info=info)
    if kind is float:  # a field of view
        return gr.Number(default, label=label, info=info)
    if kind is int:
        return gr.Number(
            default, label=label, info=info, minimum=1, maximum=MAX_WINDOW, precision=0
        )
    if not choices:  # a budget
        return gr.Textbox(default, label=label, info=info, max_length=MAX_BUDGET_TEXT, lines=1)
    if get_origin(kind) is not Literal:  # weights
        default = choices[0] if isinstance(choices[0], str) else choices[0][1]
    return gr.Dropdown(list(choices), value=default, label=label, info=info, filterable=False)
