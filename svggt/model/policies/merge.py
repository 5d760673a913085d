"""As `residual`, but the best of what goes is merged into what stays (StreamCacheVGGT)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from svggt.model.policies.residual import Anchors, ResidualMemory
from svggt.model.token_memory import Limits

_MERGED = 0.15  # of the tokens that go


class MergeMemory(ResidualMemory):
    """The highest-scoring dropped tokens are averaged into their nearest kept keys.

    Weighted by score, keys and values alike. Neither frame 0 nor the newest is merged into: they
    stay as they were.

    Args:
        limits: budget and storage.
        anchors: tokens that stay beside frame 0's.
    """

    def __init__(self, limits: Limits, anchors: Anchors) -> None:
        super().__init__(limits, anchors)
        self._merged: tuple[Tensor, Tensor, Tensor] | None = None  # keys, values and their slots

    def finish(self) -> None:
        if self._merged is not None:
            self._kept.write(*self._merged, self._kept.capacity)
            self._merged = None

    def choose(self, count: int) -> Tensor:
        scores = self.scores()
        dropped = self.lowest(scores, count)
        tokens = self.tokens_per_frame
        if count > tokens or self.count - count <= 2 * tokens:
            return dropped  # what another policy kept, or nothing is left to merge into
        best = scores.gather(1, dropped).topk(math.ceil(_MERGED * count), dim=1).indices
        merged = dropped.gather(1, best)  # (R, m)
        target = self._nearest(merged, self.stays().scatter(1, dropped, True))
        weight, of_target = scores.gather(1, merged), scores.gather(1, target)
        same = (target[:, :, None] == target[:, None]).to(weight)  # (R, m, m): into the same key
        total = (of_target + (same @ weight[..., None])[..., 0]).clamp_min(1e-12)
        means = [
            self._mean(into, what, of_target / total, same * (weight[:, None] / total[..., None]))
            for into, what in zip(self._kept.take(target), self._kept.take(merged), strict=True)
        ]
        self._merged = means[0], means[1], target
        return dropped

    def _nearest(self, merged: Tensor, barred: Tensor) -> Tensor:
        """(R, m) slots of the keys most like those in some slots, by cosine."""
        keys = F.normalize(self.keys().float(), dim=-1)  # (R, slots, D)
        ours = keys.gather(1, merged[..., None].expand(-1, -1, keys.shape[-1]))
        return (ours @ keys.mT).masked_fill(barred[:, None], -torch.inf).argmax(dim=2)

    @staticmethod
    def _mean(into: Tensor, what: Tensor, kept: Tensor, shares: Tensor) -> Tensor:
        """(B, heads, m, head_dim): each target with all that is merged into it.

        Args:
            into: (B, heads, m, head_dim) targets.
            what: the same shape, the tokens that are merged.
            kept: (R, m) a target's own share.
            shares: (R, m, m) of each merged token in each target.
        """
        flat, added = into.flatten(0, 1), shares.to(what) @ what.flatten(0, 1)
        return (flat * kept.to(flat)[..., None] + added).unflatten(0, into.shape[:2])
