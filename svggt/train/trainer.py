"""Training in slices: every step's chance comes from its number, so that a slice goes on exactly.

One set of weights learns both ways of attending: a share of the steps is causal.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from svggt.files import whole
from svggt.model.network import VGGT
from svggt.train.batch import ClipBatch, targets_of
from svggt.train.losses import camera_loss, dense_loss, relative_pose_loss
from svggt.train.matching import Watcher, landings_of, matching_loss
from svggt.train.optim import make_optimisers
from svggt.train.poses import angle_between, rotation_of
from svggt.train.synth.chance import Chance
from svggt.train.synth.render import render_clips

Source = Callable[[int], ClipBatch]
"""The clips of a step, by its number."""

_CLIPPED = 1.0  # norm of gradients
_STRIDE = 100_003  # between the seeds of two steps


@dataclass(frozen=True)
class TrainOptions:
    """How weights are trained.

    Attributes:
        seed: of clips and order.
        lr: at its highest.
        warmup: steps until then.
        total: steps until it has fallen to nothing; None: it stays.
        causal: share of steps in which a frame sees only itself and earlier ones.
        shuffled: share of steps whose clips come in any order.
        camera: weight of the camera loss.
        relative: weight of the motion between every two frames.
        dense: weight of depth and points.
        matching: weight of matching supervision.
        matching_layers: global blocks that it looks at.
        ema: decay of the averaged weights, once there are many steps.
    """

    seed: int = 0
    lr: float = 7e-4
    warmup: int = 100
    total: int | None = None
    causal: float = 0.5
    shuffled: float = 0.5
    camera: float = 5.0
    relative: float = 1.0
    dense: float = 1.0
    matching: float = 1.0
    matching_layers: tuple[int, ...] = (1, 3)
    ema: float = 0.999


@dataclass(frozen=True)
class Shape:
    """Clips of one size.

    Attributes:
        clips: in a batch.
        frames: of each.
        size: (H, W).
    """

    clips: int
    frames: int
    size: tuple[int, int]


def rendered(shapes: tuple[Shape, ...], seed: int, device: torch.device) -> Source:
    """Clips rendered on the fly, of one of the shapes in turn."""

    def clips(step: int) -> ClipBatch:
        shape = shapes[step % len(shapes)]
        return render_clips(shape.clips, shape.frames, shape.size, Chance(seed + step, device))

    return clips


@dataclass
class Trainer:
    """Weights that learn, and all that must be kept to go on.

    Attributes:
        network: the weights.
        options: how.
        source: of clips.
        step: the next one's number.
    """

    network: VGGT
    options: TrainOptions
    source: Source
    step: int = 0
    _averaged: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._optimisers = make_optimisers(self.network, self.options.lr)
        self._averaged = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def train(self, minutes: float, on_step: Callable[[dict[str, float]], None]) -> None:
        """Trains until a slice is over.

        Args:
            minutes: of it.
            on_step: told what came of every step.
        """
        ends = time.monotonic() + 60 * minutes
        self.network.train()
        on_step(self.take_step())  # a slice has one at least
        while time.monotonic() < ends:
            on_step(self.take_step())

    def take_step(self) -> dict[str, float]:
        """One step; returns its losses, and the rotation error beside a motionless camera's."""
        options, number = self.options, self.step
        torch.manual_seed(options.seed + _STRIDE * number)
        batch = self.source(number)
        if torch.rand(()) < options.shuffled:
            batch = batch.reordered(torch.randperm(batch.depth.shape[1]).to(batch.depth.device))
        losses, told = losses_of(
            self.network, batch, bool(torch.rand(()) < options.causal), options
        )
        for optimiser in self._optimisers:
            optimiser.zero_grad(set_to_none=True)
            for group in optimiser.param_groups:
                group["lr"] = self._rate(number)
        total = torch.stack(list(losses.values())).sum()
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), _CLIPPED)
        if torch.isfinite(norm):  # a clip that broke is skipped
            for optimiser in self._optimisers:
                optimiser.step()
        self._average(number)
        self.step += 1
        parts = {name: value.item() for name, value in losses.items()}
        return {"step": number, "loss": total.item(), **parts, **told}

    def averaged(self) -> dict[str, Tensor]:
        """The weights to be evaluated and kept: a running mean of those that learn."""
        return dict(self._averaged)

    def save(self, path: Path) -> None:
        """Writes all that an exact resume needs, on this machine."""
        state = {
            "network": self.network.state_dict(),
            "averaged": self._averaged,
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "step": self.step,
        }
        with whole(path) as begun:
            torch.save(state, begun)

    def load(self, path: Path) -> None:
        """Goes on where `save` was."""
        state: dict[str, Any] = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self._averaged, self.step = state["averaged"], state["step"]
        for optimiser, kept in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)

    def _rate(self, number: int) -> float:
        options = self.options
        warm = min(1.0, (number + 1) / options.warmup)
        if options.total is None:
            return options.lr * warm
        share = min(1.0, number / options.total)
        return options.lr * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))

    @torch.no_grad()
    def _average(self, number: int) -> None:
        keep = min(self.options.ema, (1 + number) / (10 + number))
        for name, value in self.network.state_dict().items():
            self._averaged[name].lerp_(value, 1 - keep)


def losses_of(
    network: VGGT, batch: ClipBatch, causal: bool, options: TrainOptions
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Weighted losses of a batch, and figures that are only told.

    Args:
        network: the weights.
        batch: of clips.
        causal: a frame sees only itself and earlier ones.
        options: with the weights of losses.
    """
    targets = targets_of(batch)
    watcher = Watcher(options.matching_layers if options.matching else ())
    said = network(batch.images, causal, watch=watcher)
    assert said.world_points is not None and said.world_points_conf is not None
    counts = batch.good.to(targets.depth.dtype)
    valid = targets.valid * counts[:, None, None, None]
    losses = {
        "camera": options.camera * camera_loss(said.pose_enc_passes, targets.pose_enc, counts),
        "relative": options.relative * relative_pose_loss(said.pose_enc, targets.pose_enc, counts),
        "depth": options.dense
        * dense_loss(said.depth, said.depth_conf, targets.depth[..., None], valid),
        "points": options.dense
        * dense_loss(said.world_points, said.world_points_conf, targets.world_points, valid),
    }
    told = _rotation(said.pose_enc.detach(), targets.pose_enc)
    if watcher.seen:
        landings = landings_of(targets, network.config.patch_size)
        pairs = [matching_loss(*watcher.seen[layer], landings) for layer in watcher.layers]
        losses["matching"] = options.matching * torch.stack([loss for loss, _ in pairs]).mean()
        told["matched"] = torch.stack([found for _, found in pairs]).mean().item()
    return losses, told


def _rotation(said: Tensor, true: Tensor) -> dict[str, float]:
    """Degrees: the error of all frames but the first, and that of a camera that never moves."""
    rotation, motion = rotation_of(said[:, 1:, 3:7]), rotation_of(true[:, 1:, 3:7])
    still = torch.eye(3, device=said.device)
    return {
        "rotation": angle_between(rotation, motion).median().item(),
        "motion": angle_between(still.expand_as(motion), motion).median().item(),
    }
