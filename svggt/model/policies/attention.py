"""Keep what has been attended to most (Evict3R)."""

from __future__ import annotations

import torch
from torch import Tensor

from svggt.model.memory import FrameTokens
from svggt.model.token_memory import Limits, TokenMemory

_EVERY = 16  # patches whose queries are asked; the fused kernel tells no weights
_SPECIAL = 1e6  # above any patch


class AttentionMemory(TokenMemory):
    """Each head drops the patches that got the least attention a frame, of equal rows.

    Camera and register tokens stay. Deviation: where they alone would fill the budget, the oldest
    of them go; Evict3R ends before that.

    Args:
        limits: budget and storage.
    """

    heads_alike = False
    facts = ("received", "seen")

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._weights = torch.empty(0)  # (R, slots) that the staged frame paid

    def stage(
        self, queries: Tensor, keys: Tensor, values: Tensor, frame: FrameTokens
    ) -> tuple[Tensor, Tensor]:
        kept, kept_values = super().stage(queries, keys, values, frame)
        asked = torch.cat(
            [queries[:, :, : frame.num_special], queries[:, :, frame.num_special :: _EVERY]], dim=2
        )
        paid = torch.softmax(asked @ kept.mT * asked.shape[-1] ** -0.5, dim=-1).float()
        # A row sums to one however long it is: its length makes short and long rows alike.
        self._weights = paid.mean(dim=2).flatten(0, 1) * kept.shape[2]
        return kept, kept_values

    def arrive(self, slots: Tensor) -> None:
        self.keep_fact("received", slots, 0.0)
        self.keep_fact("seen", slots, 0.0)
        for name, more in (("received", self._weights), ("seen", 1.0)):
            before = self.fact(name)
            before.copy_(before.nan_to_num(0.0) + more)  # of what another policy kept nobody knows

    def finish(self) -> None:
        self._weights = torch.empty(0)

    def scores(self) -> Tensor:
        ids = self.fact("id")
        if "received" not in self._facts:  # adopted, and nobody attended yet
            return ids.float()
        received = (self.fact("received") / self.fact("seen")).nan_to_num(0.0)
        special = ids % self.tokens_per_frame < self.frame.num_special
        return torch.where(special, _SPECIAL + self.numbers(), received)
