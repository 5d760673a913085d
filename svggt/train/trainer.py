"""Training in slices: a step's chance comes from its number, so that a run resumes exactly."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from svggt.files import atomic_write
from svggt.model.network import VGGT
from svggt.train.batch import Source
from svggt.train.distil import Teacher
from svggt.train.distributed import Distributed, prepare
from svggt.train.objective import Objective, draw_queries
from svggt.train.optim import make_optimisers
from svggt.train.options import TrainOptions

_CLIPPED = 1.0  # norm of gradients
_STRIDE = 100_003  # between the seeds of two steps


@dataclass
class Trainer:
    """Weights that learn, and all that must be kept to go on.

    Attributes:
        network: the weights.
        options: how.
        source: gives clips.
        step: the next one's number.
        teacher: says what is to be learnt; None: the truth alone.
        machine: that carries it.
    """

    network: VGGT
    options: TrainOptions
    source: Source
    step: int = 0
    teacher: Teacher | None = None
    machine: Distributed = field(default_factory=Distributed)

    def __post_init__(self) -> None:
        prepare(self.network, self.options, self.machine.device)
        torch.manual_seed(self.options.seed)
        self._objective = Objective(self.network, self.options).to(self.machine.device)
        self._shared = self.machine.shared(self._objective)
        self._optimisers = make_optimisers(self._objective, self.options.lr, self.options.muon)
        self._averaged = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self._began = self.step

    def train(self, minutes: float, on_step: Callable[[dict[str, float]], None]) -> None:
        """Trains for so long.

        Args:
            minutes: how long.
            on_step: given every step's metrics.
        """
        ends = time.monotonic() + 60 * minutes
        self.network.train()
        on_step(self.take_step())  # one at least
        while self.machine.agrees(time.monotonic() < ends):
            on_step(self.take_step())

    def take_step(self) -> dict[str, float]:
        """One step; returns its losses, and the rotation error beside a motionless camera's."""
        for optimiser in self._optimisers:
            optimiser.zero_grad(set_to_none=True)
            for group in optimiser.param_groups:
                group["lr"] = self._rate()
        parts = [self._add_gradients(part) for part in range(self.options.accumulate)]
        parameters = self._objective.parameters()
        norm = torch.nn.utils.clip_grad_norm_(parameters, _CLIPPED, foreach=True)
        # All figures of a step in one read: each read waits until the device has done its work.
        figures = torch.stack([torch.stack(list(part.values())) for part in parts]).mean(0)
        size, *values = torch.cat([norm[None], figures]).tolist()
        if math.isfinite(size):  # a clip that broke is skipped
            for optimiser in self._optimisers:
                optimiser.step()
        self._average()
        self.step += 1
        return {"step": self.step - 1, **dict(zip(parts[0], values, strict=True))}

    def averaged(self) -> dict[str, Tensor]:
        """The weights to be evaluated and kept: a running mean of those that learn."""
        return dict(self._averaged)

    def save(self, path: Path) -> None:
        """Writes all that an exact resume needs, on this machine."""
        state = {
            "objective": self._objective.state_dict(),
            "averaged": self._averaged,
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "step": self.step,
            "began": self._began,
        }
        with atomic_write(path) as begun:
            torch.save(state, begun)

    def load(self, path: Path) -> None:
        """Resumes where `save` was."""
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        self._objective.load_state_dict(state["objective"])
        for name, value in state["averaged"].items():
            self._averaged[name].copy_(value)
        self.step, self._began = state["step"], state["began"]
        for optimiser, kept in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)

    def _add_gradients(self, part: int) -> dict[str, Tensor]:
        """Of this process's part of the step; returns losses and figures."""
        options, machine = self.options, self.machine
        torch.manual_seed(options.seed + _STRIDE * self.step)  # alike in all parts of a step
        batch = self.source(self.step, part * machine.count + machine.rank).only_good()
        if torch.rand(()) < options.shuffled:
            batch = batch.reordered(torch.randperm(batch.depth.shape[1]).to(batch.depth.device))
        causal = bool(torch.rand(()) < options.causal)
        queries = draw_queries(batch)
        taught = self.teacher(batch, queries) if self.teacher and options.distill_weight else None
        last = part == options.accumulate - 1
        with nullcontext() if last else machine.on_its_own(self._shared):
            losses, metrics = self._shared(batch, causal, queries, taught)
            total = torch.stack(list(losses.values())).sum()
            (total / options.accumulate).backward()
        return {"loss": total.detach(), **{n: v.detach() for n, v in losses.items()}, **metrics}

    def _rate(self) -> float:
        options = self.options
        warm = min(1.0, (self.step - self._began + 1) / options.warmup)
        if options.total is None:
            return options.lr * warm
        share = min(1.0, self.step / options.total)
        return options.lr * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))

    @torch.no_grad()
    def _average(self) -> None:
        steps = self.step - self._began
        keep = min(self.options.ema, (1 + steps) / (10 + steps))
        values = [value.detach() for value in self.network.state_dict().values()]
        torch._foreach_lerp_(list(self._averaged.values()), values, 1 - keep)
