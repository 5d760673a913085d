"""Keep the anchor, the last few frames, and older ones that differ from each other (FrameVGGT)."""

from __future__ import annotations

import torch
from torch import Tensor

from svggt.model.token_memory import Limits, TokenMemory

RECENT = 4
"""Newest frames that stay whatever they show, the newest one included."""

HIGH = 1e6
"""Score of a recent frame, plus its number: where a budget is less than these the oldest goes."""


class KeyframeMemory(TokenMemory):
    """Whole frames, chosen in each layer by the mean of their normalised keys.

    Deviation: FrameVGGT chooses M frames farthest-first (cosine). Where one frame comes and one
    goes, what that leaves out is of the nearest pair; here it goes at once.

    Args:
        limits: budget and storage.
    """

    whole_frames = True

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._one = True  # frame goes; else many, which another policy kept

    def choose(self, count: int) -> Tensor:
        self._one = count <= self.tokens_per_frame
        return super().choose(count)

    def scores(self) -> Tensor:
        """The cosine distance of each frame to the nearest other one; recent ones stay."""
        frames, of_slot = torch.unique(self.numbers(), return_inverse=True)
        keys = torch.nn.functional.normalize(self.keys().float(), dim=-1)  # (R, slots, D)
        means = keys.new_zeros(len(keys), len(frames), keys.shape[-1])
        means.scatter_add_(1, of_slot[..., None].expand_as(keys), keys)
        means = torch.nn.functional.normalize(means, dim=-1)
        distance = 1 - means @ means.mT
        distance.diagonal(dim1=1, dim2=2).fill_(torch.inf)
        recent = frames > self.frame.number - RECENT
        if self._one:
            score = distance.amin(dim=2) + older_first(frames)
        else:
            score = _order(distance, older_first(frames) + torch.where(recent, HIGH, 0.0))
        return torch.where(recent, HIGH + frames, score).gather(1, of_slot)


def _order(distance: Tensor, more: Tensor) -> Tensor:
    """(R, F): when each frame goes, if one after the other does, always of the nearest pair.

    Args:
        distance: (R, F, F), infinite to itself.
        more: (F,) added to a frame's distance to its nearest.
    """
    order = torch.zeros_like(distance[..., 0])
    for step in range(distance.shape[1]):
        nearest = distance.amin(dim=2) + more
        nearest[order > 0] = torch.inf
        goes = nearest.argmin(dim=1, keepdim=True)  # (R, 1)
        order.scatter_(1, goes, float(step + 1))
        distance = distance.scatter(2, goes[..., None].expand(-1, distance.shape[1], 1), torch.inf)
    return order


def older_first(frames: Tensor) -> Tensor:
    """(F,) so little that it decides between equal scores only: else halves of two frames go."""
    return 1e-6 * torch.arange(len(frames), device=frames.device)
