"""How a stream is run: said once, for the page, for scripts and for the command line."""

from __future__ import annotations

from dataclasses import fields
from inspect import signature
from typing import get_type_hints

import docstring_parser
import gradio as gr
import pytest

from svggt.cli import main
from svggt.errors import BadInput
from svggt.settings import MAX_WINDOW, StreamSettings
from svggt.web.endpoint import endpoint
from svggt.web.settings_inputs import SettingsInputs


@pytest.fixture
def inputs() -> SettingsInputs:
    with gr.Blocks():
        return SettingsInputs(["tiny", "other"])


def values(inputs: SettingsInputs, **changed: object) -> dict:
    found = {part: part.value for part in inputs.all}  # pyright: ignore[reportAttributeAccessIssue]
    by_label = {part.label: part for part in inputs.all}
    return found | {by_label[label]: value for label, value in changed.items()}


def test_untouched_inputs_mean_the_defaults(inputs: SettingsInputs) -> None:
    assert inputs.read(values(inputs), refine=False) == StreamSettings("tiny")
    assert inputs.read(values(inputs), refine=True).refine


@pytest.mark.parametrize(("given", "kept"), [(0, 1), (-3, 1), (9.0, 9), (10**9, MAX_WINDOW)])
def test_a_window_is_kept_within_its_range(inputs: SettingsInputs, given, kept) -> None:
    assert inputs.read(values(inputs, Window=given), refine=True).window == kept


@pytest.mark.parametrize(
    ("label", "value"),
    [("Memory", "lots"), ("Storage", "int3"), ("Window", "many"), ("Budget", "plenty")],
)
def test_what_is_of_no_kind_is_refused_by_name(inputs: SettingsInputs, label, value) -> None:
    with pytest.raises(BadInput, match=label.lower()):
        inputs.read(values(inputs, **{label: value}), refine=True)


def test_a_budget_that_is_none_is_refused_with_an_example(inputs: SettingsInputs) -> None:
    with pytest.raises(BadInput, match=r"^A budget of 'plenty': write '9 frames'.*MB'\.$"):
        inputs.read(values(inputs, Budget="plenty"), refine=True)


def test_page_scripts_and_command_line_say_the_same(inputs: SettingsInputs, capsys) -> None:
    text = docstring_parser.parse(StreamSettings.__doc__ or "")
    hints = {part.arg_name: str(part.description).rstrip(".") for part in text.params}
    assert list(hints) == [field.name for field in fields(StreamSettings)]
    del hints["refine"]  # the page refines what it shows
    assert [part.info for part in inputs.all] == list(hints.values())  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name, hint in hints.items():
        assert f"--{name.replace('_', '-')}" in shown and str(hint) in shown


def test_an_endpoint_has_the_fields_of_its_options() -> None:
    def run(token: str, settings: StreamSettings = StreamSettings("tiny")) -> StreamSettings:
        """Gives them back."""
        return settings

    script = endpoint(run)
    types = get_type_hints(StreamSettings)
    parameters = signature(script).parameters
    assert list(parameters) == ["token", *types]
    assert all(parameters[name].annotation == kind for name, kind in types.items())
    assert script("a") == StreamSettings("tiny")
    assert script("a", memory="full", window=3) == StreamSettings("tiny", "full", 3)
    with pytest.raises(gr.Error, match=r"^\W*memory: "):
        script("a", memory="Full")
