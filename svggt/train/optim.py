"""How weights are moved: Muon for the blocks' matrices, AdamW for all else."""

from __future__ import annotations

from collections import defaultdict
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

_WEIGHT_DECAY = 0.05
_MOMENTUM = 0.95
_BETAS = (0.9, 0.98)
_MUON_SCALE = 0.2  # times the root of the larger side: as large as an update of AdamW
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan et al. 2024, "Muon"
_ROUNDS = 5


@torch.no_grad()
def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest matrices (N, r, c) with singular values near 1, by Newton-Schulz."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(_ROUNDS):
        gram = x @ x.mT
        square = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, square, x, beta=a)
    return x.mT if tall else x


class Muon(Optimizer):
    """Momentum whose update is made orthogonal: all directions of a matrix learn alike.

    Args:
        params: matrices.
        lr: step, comparable to AdamW's.
    """

    def __init__(self, params: list[nn.Parameter], lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Moves all matrices, those of one shape at once: a handful of launches for each shape."""
        for group in self.param_groups:
            alike: defaultdict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape].append(parameter)
            for shape, matrices in alike.items():
                gradients = [cast(Tensor, matrix.grad) for matrix in matrices]
                momenta = [self._momentum(matrix) for matrix in matrices]
                torch._foreach_lerp_(momenta, gradients, 1 - _MOMENTUM)
                ahead = torch._foreach_lerp(gradients, momenta, _MOMENTUM)  # Nesterov
                updates = orthogonal(torch.stack(ahead)).unbind()
                size = group["lr"] * _MUON_SCALE * max(shape) ** 0.5
                torch._foreach_mul_(matrices, 1 - group["lr"] * _WEIGHT_DECAY)
                torch._foreach_add_(matrices, updates, alpha=-size)

    def _momentum(self, matrix: Tensor) -> Tensor:
        state = self.state[matrix]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(matrix)
        return state["momentum"]


def make_optimisers(network: nn.Module, lr: float, muon: bool = True) -> list[Optimizer]:
    """Muon for matrices of blocks, AdamW for the rest; tokens, norms and biases do not decay."""
    matrices, decaying, free = [], [], []
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        if muon and parameter.ndim == 2 and ("blocks" in name or "trunk" in name):
            matrices.append(parameter)
        elif parameter.ndim >= 2 and "token" not in name and "pos_embed" not in name:
            decaying.append(parameter)
        else:
            free.append(parameter)
    groups = [
        {"params": decaying, "weight_decay": _WEIGHT_DECAY},
        {"params": free, "weight_decay": 0.0},
    ]
    adam = AdamW(groups, lr=lr, betas=_BETAS, fused=True)
    return [Muon(matrices, lr), adam] if matrices else [adam]
