"""Weights that arrive while the page is already live on others."""

from __future__ import annotations

import logging
import threading
from typing import Literal

from svggt.engine.model_registry import ModelRegistry
from svggt.engine.weight_cache import Loader
from svggt.errors import CheckpointError

log = logging.getLogger(__name__)


class BackgroundLoad:
    """Downloads and loads a model in a thread, then offers it.

    Args:
        name: the model's.
        load: does the work; it is given a function to tell (done, total) bytes.
        models: gets the model.

    Attributes:
        name: the model's.
        state: "loading", "ready" or "failed".
        sentence: what people are told.
    """

    def __init__(self, name: str, load: Loader, models: ModelRegistry) -> None:
        self.name = name
        self.state: Literal["loading", "ready", "failed"] = "loading"
        self.sentence = f"{name} is being prepared; until then the page runs on embedded weights."
        arguments = (load, models)
        threading.Thread(target=self._run, args=arguments, name="load", daemon=True).start()

    def _run(self, load: Loader, models: ModelRegistry) -> None:
        try:
            models.add(load(self._on_bytes))
        except CheckpointError as error:
            self.state = "failed"
            self.sentence = f"{self.name} could not be loaded: {error}."
        except Exception:  # the page lives on without these weights
            log.exception("loading %s failed", self.name)
            self.state = "failed"
            self.sentence = f"{self.name} could not be loaded; the page stays on embedded weights."
        else:
            self.state = "ready"
            self.sentence = f"{self.name} is ready."

    def _on_bytes(self, done: int, total: int) -> None:
        of = f" of {total / 1e9:.2f}" if total else ""
        self.sentence = (
            f"{self.name} is downloading: {done / 1e9:.2f}{of} GB. Until then the page runs on "
            "embedded weights."
        )
