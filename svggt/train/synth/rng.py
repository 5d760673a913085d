"""Random numbers on one device from one seed."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Rng:
    """Draws; two with the same seed and device draw the same.

    Args:
        seed: from which everything that follows is drawn.
        device: where the tensors are.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        self._generator = torch.Generator(device).manual_seed(seed)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Evenly between two numbers."""
        drawn = torch.rand(*shape, device=self.device, generator=self._generator)
        return low + (high - low) * drawn

    def log_uniform(self, *shape: int, low: float, high: float) -> Tensor:
        """Evenly between two numbers' logarithms."""
        return self.uniform(*shape, low=math.log(low), high=math.log(high)).exp()

    def normal(self, *shape: int) -> Tensor:
        """Of mean 0 and deviation 1."""
        return torch.randn(*shape, device=self.device, generator=self._generator)

    def happens(self, *shape: int, share: float) -> Tensor:
        """True in so many cases."""
        return self.uniform(*shape) < share

    def integers(self, *shape: int, below: int) -> Tensor:
        """0 to below - 1."""
        return torch.randint(
            below, shape, device=self.device, generator=self._generator, dtype=torch.long
        )
