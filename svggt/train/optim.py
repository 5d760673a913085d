"""How weights are moved: Muon for the blocks' matrices, AdamW for all else."""

from __future__ import annotations

from collections import defaultdict

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
        x = a * x + (b * gram + c * gram @ gram) @ x
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
        """Moves all matrices, those of one shape at once."""
        for group in self.param_groups:
            alike: defaultdict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    momentum = self.state[parameter].setdefault(
                        "momentum", torch.zeros_like(parameter)
                    )
                    momentum.lerp_(parameter.grad, 1 - _MOMENTUM)
                    ahead = parameter.grad.lerp(momentum, _MOMENTUM)  # Nesterov
                    alike[parameter.shape].append((parameter, ahead))
            for shape, pairs in alike.items():
                updates = orthogonal(torch.stack([ahead for _, ahead in pairs]))
                size = group["lr"] * _MUON_SCALE * max(shape) ** 0.5
                for (parameter, _), update in zip(pairs, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * _WEIGHT_DECAY).add_(update, alpha=-size)


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
    adam = AdamW(groups, lr=lr, betas=_BETAS)
    return [Muon(matrices, lr), adam] if matrices else [adam]
