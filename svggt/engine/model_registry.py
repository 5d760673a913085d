"""Weights by name: loaded ones, and those that are loaded when somebody asks for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

from svggt.engine.capacity import check_capacity
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.device_lock import POLL_SECONDS
from svggt.engine.weight_cache import Loader, fit_together


class ModelRegistry(Mapping[str, LoadedModel]):
    """The loaded models by name, in the order they came.

    Args:
        models: loaded already.
        loaders: load further ones on demand, by name.
    """

    def __init__(
        self, models: Iterable[LoadedModel] = (), loaders: Mapping[str, Loader] | None = None
    ) -> None:
        self._models = {model.name: model for model in models}
        self._loaders = dict(loaders or {})
        self._loading = threading.Lock()

    def __getitem__(self, name: str) -> LoadedModel:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._models))

    def __len__(self) -> int:
        return len(self._models)

    @property
    def offered(self) -> list[str]:
        """Names of all models that can be had, loaded or not."""
        return list(dict.fromkeys([*self._models, *self._loaders]))

    def add(self, model: LoadedModel) -> None:
        """Offers weights to streams that are opened from now on."""
        self._models[model.name] = model

    def fetch(self, name: str, on_bytes: Callable[[int, int], None]) -> LoadedModel:
        """A model of `offered`, loaded unless it is there.

        Args:
            name: one of `offered`.
            on_bytes: told (done, total) bytes while a file downloads; may raise to end it.

        Raises:
            KeyError: nobody offers it.
            CheckpointError: it cannot be had.
        """
        while not self._loading.acquire(timeout=POLL_SECONDS):
            on_bytes(0, 0)  # somebody else loads
        try:
            if name not in self._models:
                self.add(self._loaders[name](on_bytes))
            return self._models[name]
        finally:
            self._loading.release()

    def fit_together(self, *names: str) -> bool:
        """Whether loaded models are on the device at once; else they take turns on it."""
        return fit_together([self._models[name] for name in dict.fromkeys(names)])

    def check_capacity(self, name: str, size: tuple[int, int], count: int, at_once: bool) -> None:
        """Says before anything starts if a loaded model cannot take a run's frames.

        Args:
            name: the model's.
            size: (H, W) of every frame, pixels.
            count: number of frames.
            at_once: they go through in one pass; else one at a time.

        Raises:
            BadInput: it takes pictures of another width, or a pass over so many would fill the
                device; the number that fits is named.
        """
        check_capacity(self._models[name], size, count if at_once else 1)
