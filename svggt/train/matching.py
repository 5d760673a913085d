"""Matching supervision: one head of some global blocks must find the patch where a point went.

Without it pose stays at the identity for a long time (docs/training.md): nothing
tells the network early which tokens belong together. Targets are finer than a patch: the share of
each of the four patches that a point lies between, so that small motions say something too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from svggt.model.layers import Attend
from svggt.train.batch import Targets
from svggt.train.losses import smooth_l1
from svggt.train.tracks import follow

_CORNERS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
_QUERIES = 4  # frames that are asked for at once; the others are left out at random


@dataclass(frozen=True, eq=False)
class Correspondences:
    """Where the points at the centres of patches land in other frames.

    Attributes:
        places: (B, S, P, S, 2) column and row in patches, 0 at the first one's centre.
        seen: (B, S, P, S) whether it lands in sight, in another frame.
        grid: (rows, columns) of patches.
    """

    places: Tensor
    seen: Tensor
    grid: tuple[int, int]


class AttentionProbe:
    """Keeps the queries and keys of one head of chosen layers, as they go by.

    Args:
        layers: numbers of the global blocks, from 0.
        attend: how all of them attend instead of as they would; None: as they would.
    """

    def __init__(self, layers: tuple[int, ...], attend: Attend | None = None) -> None:
        self.layers = layers
        self.seen: dict[int, tuple[Tensor, Tensor]] = {}
        self._attend = attend

    def __call__(self, layer: int, attend: Attend) -> Attend:
        """A layer's way of attending, watched."""
        attend = self._attend or attend
        if layer not in self.layers:
            return attend

        def watched(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            self.seen[layer] = (q[:, 0], k[:, 0])  # (B, S * P, head_dim)
            return attend(q, k, v)

        return watched


@torch.no_grad()
def correspondences_of(targets: Targets, patch: int) -> Correspondences:
    """Where the point at every patch's centre is in all other frames.

    Args:
        targets: a batch of clips'.
        patch: its side in pixels.
    """
    batch, frames, height, width = targets.depth.shape
    grid = height // patch, width // patch
    centres = (places_of(grid) * patch + patch // 2).to(targets.depth.device)
    followed = follow(targets, centres.expand(batch, frames, -1, -1))
    others = ~torch.eye(frames, dtype=torch.bool, device=centres.device)[None, :, None]
    return Correspondences(followed.places / patch - 0.5, followed.seen & others, grid)


def matching_loss(
    queries: Tensor, keys: Tensor, correspondences: Correspondences, soft_targets: bool = True
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of attention over another frame's patches with where the point landed.

    Args:
        queries: (B, S * (special + P), head_dim) of one head, normed and rotated.
        keys: likewise.
        correspondences: the same clips'.
        soft_targets: the four patches that a point lies between share it; else the nearest has it
            all.

    Returns:
        The loss, and the share of points whose nearest patch is found.
    """
    rows, columns = correspondences.grid
    frames = correspondences.seen.shape[1]
    patches = rows * columns
    q, k = (x.unflatten(1, (frames, -1))[:, :, -patches:].float() for x in (queries, keys))
    places, seen = correspondences.places, correspondences.seen
    if frames > _QUERIES:
        chosen = torch.randperm(frames, device=q.device)[:_QUERIES]
        q, places, seen = q[:, chosen], places[:, chosen], seen[:, chosen]
    logits = torch.einsum("bspd,btqd->bsptq", q, k) / q.shape[-1] ** 0.5
    # Weighted by what is seen, not chosen by it: how much that is, the host need not know.
    weight = seen.to(logits.dtype)
    weight = weight / weight.sum().clamp_min(1)
    nearest = _index(places.round(), rows, columns)
    matched = ((logits.argmax(-1) == nearest) * weight).sum()
    likely = F.log_softmax(logits, dim=-1)
    if not soft_targets:
        return -(likely.gather(-1, nearest[..., None])[..., 0] * weight).sum(), matched
    corners = places.floor()[..., None, :] + _CORNERS.to(places)  # (B, S, P, T, 4, 2)
    shares = (1 - (places[..., None, :] - corners).abs()).clamp_min(0).prod(dim=-1)
    found = likely.gather(-1, _index(corners, rows, columns))
    return -((shares * found).sum(-1) * weight).sum(), matched


def displacement_loss(pred: Tensor, correspondences: Correspondences) -> Tensor:
    """Smooth L1 of how far patches say that their points moved since the first frame.

    Args:
        pred: (B, S, P, 2) in patches.
        correspondences: the same clips'.
    """
    own = places_of(correspondences.grid).to(pred)
    target = correspondences.places[:, :, :, 0] - own  # (B, S, P, 2)
    weight = correspondences.seen[:, :, :, 0].to(pred.dtype)
    return (smooth_l1(pred - target).sum(-1) * weight).sum() / weight.sum().clamp_min(1)


def places_of(grid: tuple[int, int]) -> Tensor:
    """(P, 2) column and row of every patch."""
    rows, columns = (torch.arange(side) for side in grid)
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).flatten(0, 1)


def _index(places: Tensor, rows: int, columns: int) -> Tensor:
    """Of the patch at a whole place; beyond the edge the one at it."""
    column = places[..., 0].long().clamp(0, columns - 1)
    return places[..., 1].long().clamp(0, rows - 1) * columns + column
