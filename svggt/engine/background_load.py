"""Weights that arrive while the page is already live on others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Literal

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.local_worker import LocalWorker
from svggt.errors import CheckpointError

Load = Callable[[Callable[[int, int], None]], LoadedModel]

log = logging.getLogger(__name__)


class BackgroundLoad:
    """Downloads and loads a model in a thread, then offers it to a worker.

    Args:
        name: of the model.
        load: does the work; it is given a function to tell (done, total) bytes.
        worker: gets the model.

    Attributes:
        name: of the model.
        state: "loading", "ready" or "failed".
        sentence: what people are told.
    """

    def __init__(self, name: str, load: Load, worker: LocalWorker) -> None:
        self.name = name
        self.state: Literal["loading", "ready", "failed"] = "loading"
        self.sentence = f"{name} is being prepared; until then the page runs on embedded weights."
        arguments = (load, worker)
        threading.Thread(target=self._run, args=arguments, name="load", daemon=True).start()

    def _run(self, load: Load, worker: LocalWorker) -> None:
        try:
            worker.add_model(load(self._on_bytes))
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
