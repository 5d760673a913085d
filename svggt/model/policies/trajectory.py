"""Keep the first frames, the last ones, and the special tokens of all between (LingBot-Map)."""

from __future__ import annotations

import torch
from torch import Tensor

from svggt.model.token_memory import TokenMemory

_FIRST = 8


class TrajectoryMemory(TokenMemory):
    """Patches of a frame go before the frame attends that pushes it out of the last ones.

    The budget counts whole frames, up to 8 of them the first; five tokens a frame come on top.
    LingBot-Map's network was trained for this, ours was not.
    """

    whole_frames = True

    def scores(self) -> Tensor:
        return torch.where(self._passed(), 0.0, 1.0)

    def excess(self) -> int:
        # Heads may differ after another policy: as many as pass in each.
        return 0 if self._budget is None else int(self._passed().sum(dim=1).amin())

    def _passed(self) -> Tensor:
        """(R, slots): patches of frames that are neither of the first nor of the last ones."""
        assert self._budget is not None
        frames = self._budget // self.tokens_per_frame
        first = min(_FIRST, frames // 2)
        last = max(1, frames - first - 1)  # the next frame is the last of them
        numbers = self.numbers()
        patch = self.fact("id") % self.tokens_per_frame >= self.frame.num_special
        return patch & (numbers >= first) & (numbers <= self.frame.number - last)
