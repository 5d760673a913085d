"""Keep, in every head, the keys that differ most from their mean (InfiniteVGGT)."""

from __future__ import annotations

import torch
from torch import Tensor

from svggt.model.token_memory import Limits, TokenMemory

_TEMPERATURE = 0.5


class LayerShares:
    """How much of the budget each layer has: more where keys differ more.

    Deviation: shares are decided once, when the budget is first reached (after a change of the
    memory, anew), so that shapes stay; InfiniteVGGT decides them with every frame.

    Args:
        layers: that share a budget.
    """

    def __init__(self, layers: int) -> None:
        self.likeness: dict[int, Tensor] = {}  # layer -> its keys' mean cosine to their mean
        self._layers = layers

    @property
    def is_known(self) -> bool:
        """Whether every layer has said how alike its keys are; until then parts are equal."""
        return len(self.likeness) == self._layers

    def share(self, layer: int) -> float:
        """Of the budget of all layers: softmax of (1 - likeness) / temperature."""
        alike = torch.stack([self.likeness[each] for each in range(self._layers)])
        return float(torch.softmax((1 - alike) / _TEMPERATURE, dim=0)[layer])


class DiversityMemory(TokenMemory):
    """Keys most like the mean of all normalised keys of their head go first.

    Args:
        limits: budget and storage.
        layer: this one.
        shares: of all layers.
    """

    heads_alike = False

    def __init__(self, limits: Limits, layer: int, shares: LayerShares) -> None:
        super().__init__(limits)
        self._layer, self._shares = layer, shares
        self._shared = False  # the budget has been shared out

    def scores(self) -> Tensor:
        return -self.likeness()

    def excess(self) -> int:
        over = super().excess()
        if over and not self._shared and self._shares.is_known and self._budget is not None:
            self._shared = True
            part = self._shares.share(self._layer) * self._limits.layers
            # What falls short of two frames in one layer is taken from nowhere: the sum of all
            # parts, each rounded down, stays within the budget.
            spare = self._budget - 2 * self.tokens_per_frame
            self._resize(2 * self.tokens_per_frame + int(spare * part))
            over = super().excess()
        if not self._shared and self._budget is not None:
            self._shares.likeness[self._layer] = self.likeness().mean()
        return over

    def save(self) -> dict[str, Tensor]:
        alike = self._shares.likeness.get(self._layer)
        known = {} if alike is None else {"likeness": alike}
        return {**super().save(), **known, "shared": torch.tensor(self._shared)}

    def load(self, saved: dict[str, Tensor]) -> None:
        super().load(saved)
        self._shared = bool(saved["shared"])
        if "likeness" in saved:
            self._shares.likeness[self._layer] = saved["likeness"]
