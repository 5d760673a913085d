"""What tokens know: how much of a place and of its displacement a layer gives to a linear reader.

A head can use what is plain to read. Matching alone may be right while nobody says by how much a
point has moved; then pose cannot be learnt yet.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from svggt.model.network import VGGT
from svggt.train.batch import targets_of
from svggt.train.matching import correspondences_of, places_of
from svggt.train.source import Shape, held_out

_SHAPE = Shape(30, 2, (84, 112))
_BATCHES = 8
_RIDGE = 1.0
_LEARNT = 0.75  # of the patches; the rest is predicted


@dataclass(frozen=True)
class Known:
    """Share of the variance (R squared) that a linear reader of a layer's patches predicts.

    Attributes:
        place: how well tokens tell where in the picture their patch is.
        displacement: the same of how far its point has moved since the other frame.
    """

    place: float
    displacement: float


@torch.no_grad()
def what_tokens_know(network: VGGT) -> dict[int, Known]:
    """Of every layer that the heads read, on pairs of frames that nothing was trained on."""
    tokens: dict[int, list[Tensor]] = {layer: [] for layer in network.config.dpt_layers}
    places, displacements = [], []
    for batch in held_out(_SHAPE, _BATCHES, torch.device("cpu")):
        correspondences = correspondences_of(targets_of(batch), network.config.patch_size)
        own = places_of(correspondences.grid).to(batch.depth)
        known = correspondences.seen[:, 1, :, 0] & batch.good[:, None]
        pred = network(batch.images, causal=False).tokens
        for layer, kept in tokens.items():
            kept.append(pred[layer][:, 1, network.config.num_special_tokens :][known])
        places.append(own.expand(len(known), -1, -1)[known])
        displacements.append((correspondences.places[:, 1, :, 0] - own)[known])
    return {
        layer: Known(
            predicted(torch.cat(kept), torch.cat(places)),
            predicted(torch.cat(kept), torch.cat(displacements)),
        )
        for layer, kept in tokens.items()
    }


def predicted(tokens: Tensor, values: Tensor) -> float:
    """R squared of a ridge regression (N, C) to (N, 2), on the part that it was not fitted to."""
    inputs = torch.cat([tokens, torch.ones(len(tokens), 1)], dim=1).double()
    split = int(_LEARNT * len(inputs))
    (fitted, tested), (known, target) = (x.split([split, len(x) - split]) for x in (inputs, values))
    gram = fitted.T @ fitted + _RIDGE * torch.eye(fitted.shape[1], dtype=fitted.dtype)
    reader = torch.linalg.solve(gram, fitted.T @ known.double())
    left = (tested @ reader - target).square().sum()
    return 1 - (left / (target - target.mean(0)).square().sum()).item()
