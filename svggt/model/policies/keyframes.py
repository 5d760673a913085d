"""Keep the anchor, the last few frames, and older ones that differ from each other (FrameVGGT)."""

from __future__ import annotations

import torch
from torch import Tensor

from svggt.model.token_memory import TokenMemory

RECENT = 4
"""Newest frames that stay whatever they show, the newest one included."""

HIGH = 1e6
"""Score of a recent frame, plus its number: where a budget is less than these the oldest goes."""


class KeyframeMemory(TokenMemory):
    """Whole frames, chosen in each layer by the mean of their normalised keys.

    Deviation: FrameVGGT chooses M frames farthest-first (cosine). Where one frame comes and one
    goes, what that leaves out is of the nearest pair; here it goes at once.
    """

    whole_frames = True

    def scores(self) -> Tensor:
        """The cosine distance of each frame to the nearest other one; recent ones stay."""
        frames, of_slot = torch.unique(self.numbers(), return_inverse=True)
        keys = torch.nn.functional.normalize(self.keys().float(), dim=-1)  # (R, slots, D)
        means = keys.new_zeros(len(keys), len(frames), keys.shape[-1])
        means.scatter_add_(1, of_slot[..., None].expand_as(keys), keys)
        means = torch.nn.functional.normalize(means, dim=-1)
        distance = 1 - means @ means.mT
        distance.diagonal(dim1=1, dim2=2).fill_(torch.inf)
        nearest = distance.amin(dim=2) + older_first(frames)
        recent = frames > self.frame.number - RECENT
        return torch.where(recent, HIGH + frames, nearest).gather(1, of_slot)


def older_first(frames: Tensor) -> Tensor:
    """(F,) so little that it decides between equal scores only: else halves of two frames go."""
    return 1e-6 * torch.arange(len(frames), device=frames.device)
