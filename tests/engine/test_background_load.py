"""Weights on their way: the page is live meanwhile, told of bytes, and outlives a failure."""

from __future__ import annotations

import threading
import time

from svggt.engine.background_load import BackgroundLoad
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.model_registry import ModelRegistry
from svggt.errors import CheckpointError


def wait(load: BackgroundLoad) -> None:
    end = time.monotonic() + 10
    while load.state == "loading":
        assert time.monotonic() < end
        time.sleep(0.01)


def test_bytes_are_told_and_the_model_is_offered(tiny: LoadedModel) -> None:
    models, halfway, gate = ModelRegistry(), threading.Event(), threading.Event()

    def slow(on_bytes):
        on_bytes(1_200_000_000, 5_000_000_000)
        halfway.set()
        gate.wait(10)
        return tiny

    load = BackgroundLoad("tiny", slow, models)
    halfway.wait(10)
    assert "1.20 of 5.00 GB" in load.sentence and load.state == "loading"
    assert not models
    gate.set()
    wait(load)
    assert load.state == "ready" and list(models) == ["tiny"]


def test_a_failure_is_a_sentence() -> None:
    models = ModelRegistry()

    def fail(on_bytes):
        raise CheckpointError("no network: pass --model PATH")

    load = BackgroundLoad("streamvggt-1b", fail, models)
    wait(load)
    assert load.state == "failed" and "--model PATH" in load.sentence


def test_an_unexpected_failure_shows_no_traceback() -> None:
    models = ModelRegistry()
    load = BackgroundLoad("streamvggt-1b", lambda on_bytes: 1 / 0, models)  # pyright: ignore
    wait(load)
    assert load.state == "failed" and "division" not in load.sentence
