"""What the workers of a cluster have loaded: here without weights, which are where they compute."""

from __future__ import annotations

from collections.abc import Callable

from svggt.cluster.workers import Workers
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.model_registry import ModelRegistry


class RemoteModels(ModelRegistry):
    """The models of a cluster.

    Args:
        workers: that have them.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        models, self._offered = workers.ask_any("models")
        super().__init__(models)

    @property
    def offered(self) -> list[str]:
        """Names of all models that can be had, loaded or not."""
        return self._offered

    def fetch(self, name: str, on_bytes: Callable[[int, int], None]) -> LoadedModel:
        """A model of `offered`, loaded on all workers that answer."""
        if name not in self:
            self._workers.fetch(name, on_bytes)
            for model in self._workers.ask_any("models")[0]:
                self.add(model)
        return self[name]

    def fit_together(self, *names: str) -> bool:
        """See `ModelRegistry`."""
        return self._workers.ask_any("fit_together", names)

    def check_capacity(self, name: str, size: tuple[int, int], count: int, at_once: bool) -> None:
        """See `ModelRegistry`."""
        self._workers.ask_any("check_capacity", name, size, count, at_once)
