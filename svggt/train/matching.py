"""Matching supervision: one head of some global blocks must find the patch where a point went.

Without it pose stays at the identity for a long time (shared/training.md, runs 0 and 1): nothing
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
from svggt.train.poses import rotation_of

_HIDDEN = 0.05  # of a point's depth: what is so much nearer hides it
_QUERIES = 4  # frames that are asked for at once; the others are left out at random


@dataclass(frozen=True, eq=False)
class Landings:
    """Where the points at the centres of patches land in other frames.

    Attributes:
        places: (B, S, P, S, 2) column and row in patches, 0 at the first one's centre.
        seen: (B, S, P, S) whether it lands in sight, in another frame.
        grid: (rows, columns) of patches.
    """

    places: Tensor
    seen: Tensor
    grid: tuple[int, int]


class Watcher:
    """Keeps the queries and keys of one head of chosen layers, as they go by.

    Args:
        layers: of the global blocks.
    """

    def __init__(self, layers: tuple[int, ...]) -> None:
        self.layers = layers
        self.seen: dict[int, tuple[Tensor, Tensor]] = {}

    def __call__(self, layer: int, attend: Attend) -> Attend:
        """A layer's way of attending, watched."""
        if layer not in self.layers:
            return attend

        def watched(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            self.seen[layer] = (q[:, 0], k[:, 0])  # (B, S * P, head_dim)
            return attend(q, k, v)

        return watched


@torch.no_grad()
def landings_of(targets: Targets, patch: int) -> Landings:
    """Projects the point at every patch's centre into all other frames.

    Args:
        targets: of a batch.
        patch: its side in pixels.
    """
    _, frames, height, width = targets.depth.shape
    middle = slice(patch // 2, None, patch)
    points = targets.world_points[:, :, middle, middle].flatten(2, 3)  # (B, S, P, 3)
    known = targets.valid[:, :, middle, middle].flatten(2)
    rotation = rotation_of(targets.pose_enc[..., 3:7])
    seen_from = torch.einsum("btij,bspj->bspti", rotation, points)
    seen_from = seen_from + targets.pose_enc[:, None, None, :, :3]
    z = seen_from[..., 2].clamp_min(1e-3)
    tangents = torch.tan(targets.pose_enc[:, 0, 7:9] / 2)[:, :, None, None, None]
    x = (seen_from[..., 0] / z / tangents[:, 1] + 1) * width / 2
    y = (seen_from[..., 1] / z / tangents[:, 0] + 1) * height / 2
    inside = (seen_from[..., 2] > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    column, row = x.nan_to_num().clamp(0, width - 1), y.nan_to_num().clamp(0, height - 1)
    flat = targets.depth.flatten(2)  # (B, S, H * W)
    pixels = row.long() * width + column.long()  # (B, S, P, T)
    by_frame = pixels.permute(0, 3, 1, 2).flatten(2)  # (B, T, S * P)
    there = flat.gather(2, by_frame).unflatten(2, (frames, -1)).permute(0, 2, 3, 1)
    open_to = (there - seen_from[..., 2]).abs() < _HIDDEN * seen_from[..., 2]
    others = ~torch.eye(frames, dtype=torch.bool, device=z.device)[None, :, None]
    places = torch.stack([column, row], dim=-1) / patch - 0.5
    grid = (height // patch, width // patch)
    return Landings(places, inside & known[..., None] & open_to & others, grid)


def matching_loss(queries: Tensor, keys: Tensor, landings: Landings) -> tuple[Tensor, Tensor]:
    """Cross-entropy of attention over another frame's patches with where the point landed.

    Args:
        queries: (B, S * (special + P), head_dim) of one head, normed and rotated.
        keys: likewise.
        landings: of the same clips.

    Returns:
        The loss, and the share of points whose nearest patch is found.
    """
    rows, columns = landings.grid
    frames = landings.seen.shape[1]
    patches = rows * columns
    q, k = (x.unflatten(1, (frames, -1))[:, :, -patches:].float() for x in (queries, keys))
    places, seen = landings.places, landings.seen
    if frames > _QUERIES:
        chosen = torch.randperm(frames, device=q.device)[:_QUERIES]
        q, places, seen = q[:, chosen], places[:, chosen], seen[:, chosen]
    logits = torch.einsum("bspd,btqd->bsptq", q, k) / q.shape[-1] ** 0.5
    logits, places = logits[seen], places[seen]  # (N, P), (N, 2)
    if not len(logits):
        return q.sum() * 0, q.new_zeros(())
    likely = F.log_softmax(logits, dim=-1)
    loss, nearest = logits.new_zeros(len(logits)), _index(places.round(), rows, columns)
    low = places.floor()
    for right in (0, 1):
        for down in (0, 1):
            corner = low + places.new_tensor([right, down])
            share = (1 - (places - corner).abs()).clamp_min(0).prod(dim=-1)
            found = likely.gather(1, _index(corner, rows, columns)[:, None])[:, 0]
            loss = loss - share * found
    return loss.mean(), (logits.argmax(-1) == nearest).float().mean()


def _index(places: Tensor, rows: int, columns: int) -> Tensor:
    """Of the patch at a whole place; beyond the edge the one at it."""
    column = places[:, 0].long().clamp(0, columns - 1)
    return places[:, 1].long().clamp(0, rows - 1) * columns + column
