"""Which weights lie on the device: all that fit, else those that are computed with now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from svggt.engine.checkpoints import HUB_FILES, LoadedModel, automatic_model, load_model
from svggt.engine.devices import Device

Loader = Callable[[Callable[[int, int], None]], LoadedModel]
"""Loads weights; it is given a function that it tells (done, total) bytes of a download."""

_SHARE = 0.8  # of the device's memory that weights may take
_HOST = torch.device("cpu")


class WeightCache:
    """Brings weights to the device before they compute. Not for two threads at once."""

    def __init__(self) -> None:
        self._there: list[LoadedModel] = []  # the one used longest ago first

    @property
    def names(self) -> list[str]:
        """Of the models on the device, the one used last at the end."""
        return [model.name for model in self._there]

    def use(self, model: LoadedModel) -> None:
        """Makes sure that a model's weights are on its device; others leave for host memory."""
        if self._there and self._there[-1] is model:
            return
        others = [each for each in self._there if each is not model]
        while others and not fit_together([*others, model]):
            others.pop(0).network.to(_HOST)
        model.network.to(model.device.torch)
        self._there = [*others, model]


def load_on_host(
    name: str, device: Device, on_bytes: Callable[[int, int], None] | None = None
) -> LoadedModel:
    """Loads weights that go to a device when they compute; see `load_model`."""
    loaded = load_model(name, replace(device, torch=_HOST), on_bytes)
    return replace(loaded, device=device)


def loaders_of(device: Device) -> dict[str, Loader]:
    """Published weights that are loaded when somebody asks for them: where there is room."""
    names = HUB_FILES if automatic_model(device) in HUB_FILES else ()
    return {name: partial(load_on_host, name, device) for name in names}


def fit_together(models: list[LoadedModel]) -> bool:
    """Whether so many weights fit on their device at once; a CPU takes all."""
    free = min((m.device.free_bytes for m in models if m.device.free_bytes), default=None)
    return free is None or sum(model.num_bytes for model in models) <= _SHARE * free
