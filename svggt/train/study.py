"""What makes rotation and translation error fall soonest, at a size that two cores can train.

Every variant is the recipe with one thing taken away; all begin with the same weights, see the same
clips and take the same steps. Two beginnings: a small network overfits four fixed clips,
from nothing, which says what a recipe makes easy, though not what it makes general; or given
weights go on with new clips at every step, and are measured on clips that they never see.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from svggt.model.config import ModelConfig
from svggt.model.layers import LayerScale
from svggt.model.network import VGGT
from svggt.model.rope import sinusoids
from svggt.train.batch import ClipBatch, Source, targets_of
from svggt.train.distributed import Distributed
from svggt.train.options import TrainOptions
from svggt.train.poses import angle_between, rotation_of
from svggt.train.runs import Log, read_log, read_network, write_network
from svggt.train.source import Shape, held_out, rendered
from svggt.train.synth.render import render_clips
from svggt.train.synth.rng import Rng
from svggt.train.trainer import Trainer

SMALL = ModelConfig(
    img_size=56,
    patch_size=7,
    embed_dim=96,
    encoder_depth=2,
    encoder_heads=2,
    depth=4,
    num_heads=2,
    camera_trunk_depth=1,
    camera_heads=4,
    dpt_features=24,
    dpt_out_channels=(24, 32, 64, 96),
    dpt_layers=(0, 1, 2, 3),
    track=None,
)
"""2.3 M parameters."""

_CLIPS, _FRAMES = 4, 4
_SIZE = (84, 112)  # rendered, so that thin things are there
_HALF = 2  # and halved
_DRAWN = 16  # clips, of which the first good ones are taken
_CONTINUED = Shape(6, 2, (84, 112))  # of a step
_MEASURED = Shape(48, 2, (84, 112))
_LEFT = 0.25  # of a still camera's rotation error: pose is learnt

ERRORS = ("rotation error", "translation error")
"""What is measured, by the error of a camera that never moves."""


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        options: the trainer's.
        layer_scale: every block's LayerScale at the beginning.
        positions: how loud places in the picture are beside its content when it begins.
    """

    options: TrainOptions
    layer_scale: float = 0.5
    positions: float = 0.5


RECIPE = TrainOptions(
    lr=1e-3,
    warmup=20,
    causal=0.0,
    shuffled=0.0,
    beta=0.01,
    dense=0.5,
    displacement=1.0,
    matching_layers=(1, 2),
)
VARIANTS = {
    "recipe": Variant(RECIPE),
    "no matching": Variant(replace(RECIPE, matching=0.0)),
    "matches whole patches": Variant(replace(RECIPE, soft_targets=False)),
    "no displacement": Variant(replace(RECIPE, displacement=0.0)),
    "no matching, no displacement": Variant(replace(RECIPE, matching=0.0, displacement=0.0)),
    "no relative pose": Variant(replace(RECIPE, relative=0.0)),
    "beta of 0.1": Variant(replace(RECIPE, beta=0.1)),
    "no depth and points": Variant(replace(RECIPE, dense=0.0)),
    "AdamW alone": Variant(replace(RECIPE, muon=False)),
    "layer scale 0.01": Variant(RECIPE, layer_scale=0.01),
    "quiet positions": Variant(RECIPE, positions=0.0),
    "prototype": Variant(
        replace(RECIPE, displacement=0.0, beta=0.1, relative=0.0, soft_targets=False)
    ),
}


OF_BEGINNINGS = {"layer scale 0.01", "quiet positions"}
"""Variants that say how a network begins: weights that are given have begun already."""


def fresh_network(config: ModelConfig, layer_scale: float, positions: float, seed: int) -> VGGT:
    """A network that knows nothing, ready to learn from scratch.

    Args:
        config: sizes.
        layer_scale: 0.3 to 1 (docs/training.md).
        positions: amplitude of the grid of positions, waves of many lengths; 0: noise of 0.02.
        seed: from which all else is drawn.
    """
    torch.manual_seed(seed)
    network = VGGT(config)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, LayerScale):
                module.gamma.fill_(layer_scale)
        aggregator = network.aggregator
        for token in (aggregator.camera_token, aggregator.register_token):
            nn.init.normal_(token, std=0.02)
        if positions:
            side = torch.arange(config.img_size // config.patch_size, dtype=torch.float64)
            waves = sinusoids(side, side, config.embed_dim, base=100.0).flatten(1).T
            aggregator.patch_embed.pos_embed[0, 1:] = positions * waves
        nn.init.normal_(aggregator.patch_embed.cls_token, std=0.02)
        nn.init.normal_(aggregator.patch_embed.register_tokens, std=0.02)
    return network


def fixed_clips(seed: int, device: torch.device) -> ClipBatch:
    """Four good clips of four frames."""
    drawn = render_clips(_DRAWN, _FRAMES, _SIZE, Rng(seed, device))
    kept = drawn.good.nonzero()[:_CLIPS, 0]
    small = F.avg_pool2d(drawn.images[kept].flatten(0, 1), _HALF)
    return replace(
        drawn,
        images=small.unflatten(0, (len(kept), _FRAMES)),
        depth=drawn.depth[kept][:, :, ::_HALF, ::_HALF],
        motion=drawn.motion[kept][:, :, ::_HALF, ::_HALF],
        world_from_cam=drawn.world_from_cam[kept],
        fields_of_view=drawn.fields_of_view[kept],
        good=drawn.good[kept],
    )


@dataclass(frozen=True, eq=False)
class Beginning:
    """What a variant begins with.

    Attributes:
        network: that learns.
        options: how.
        source: gives clips.
        measured: clips that the error is measured on.
    """

    network: VGGT
    options: TrainOptions
    source: Source
    measured: ClipBatch


def overfit(variant: Variant, seed: int) -> Beginning:
    """A small network that knows nothing, and four clips."""
    device = Distributed().device
    clips = fixed_clips(seed, device)
    network = fresh_network(SMALL, variant.layer_scale, variant.positions, seed).to(device)
    return Beginning(network, variant.options, lambda step, part: clips, clips)


def continued(weights: Path, variant: Variant, seed: int) -> Beginning:
    """Weights that know something, and new pairs of frames at every step."""
    device = Distributed().device
    options = replace(variant.options, lr=3e-4, dense=1.0, matching_layers=(1, 3))
    return Beginning(
        read_network(weights, device),
        options,
        rendered((_CONTINUED,), seed, device),
        held_out(_MEASURED, 1, device)[0],
    )


def run_variant(begun: Beginning, steps: int, every: int, seed: int, path: Path) -> None:
    """Trains one variant and writes its curve.

    Args:
        begun: what it begins with.
        steps: to take.
        every: so many steps the error is measured.
        seed: from which what else there is is drawn.
        path: the CSV to write.
    """
    options = replace(begun.options, seed=seed, total=steps)
    trainer = Trainer(begun.network, options, begun.source)
    rows = [(0, *pose_errors(begun.network, begun.measured))]
    while trainer.step < steps:
        for _ in range(every):
            trainer.take_step()
        rows.append((trainer.step, *pose_errors(begun.network, begun.measured)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("step", *ERRORS), *rows])
    write_network(trainer, path.with_suffix(".safetensors"))


def check_variants(names: Sequence[str], weights: Path | None) -> None:
    """Checks what was asked for.

    Raises:
        ValueError: there is no such variant, or given weights cannot begin so.
    """
    if unknown := set(names) - set(VARIANTS):
        known = ", ".join(VARIANTS)
        raise ValueError(f"there is no variant “{unknown.pop()}”: choose of {known}")
    if weights is not None and (not names or OF_BEGINNINGS & set(names)):
        left = ", ".join(name for name in VARIANTS if name not in OF_BEGINNINGS)
        raise ValueError(f"weights have begun already: name --variants of {left}")


def run_study(
    out: Path, names: Sequence[str], weights: Path | None, steps: int, every: int, seeds: int
) -> dict[str, list[Log]]:
    """Trains every variant with every seed, or resumes it; what is done already is read.

    Args:
        out: folder for a curve a variant and seed.
        names: variants; all if empty.
        weights: that all begin from; None: fresh ones.
        steps: that each takes.
        every: so many steps the error is measured.
        seeds: how many of weights and clips.

    Returns:
        Every variant's curves, one a seed.
    """
    logs: dict[str, list[Log]] = {}
    for name in names or VARIANTS:
        variant, logs[name] = VARIANTS[name], []
        for seed in range(seeds):
            path = log_of(out, name, seed)
            if not path.is_file():
                begun = continued(weights, variant, seed) if weights else overfit(variant, seed)
                run_variant(begun, steps, every, seed, path)
            logs[name].append(read_log(path))
    return logs


def log_of(folder: Path, name: str, seed: int) -> Path:
    """Where a variant's curve is."""
    return folder / f"{name.replace(' ', '_').replace(',', '')}_{seed}.csv"


def summary(logs: dict[str, list[Log]]) -> str:
    """A table in Markdown, mean and spread over seeds: when pose is learnt, and the end."""
    lines = [
        f"| | rotation error below {_LEFT} from step | rotation error | translation error |",
        "|---|---|---|---|",
    ]
    for name, several in logs.items():
        firsts = [
            f"{log['step'][np.argmax(log['rotation error'] < _LEFT)]:.0f}"
            if (log["rotation error"] < _LEFT).any()
            else "never"
            for log in several
        ]
        ends = [
            f"{np.mean(values):.3f} ± {np.std(values):.3f}"
            for what in ERRORS
            for values in [[log[what][-1] for log in several]]
        ]
        lines.append(f"| {name} | {', '.join(firsts)} | {ends[0]} | {ends[1]} |")
    return "\n".join(lines)


@torch.no_grad()
def pose_errors(network: VGGT, clips: ClipBatch) -> tuple[float, float]:
    """Rotation and translation error of all frames but the first, by a motionless camera's."""
    target = targets_of(clips).pose_enc[clips.good, 1:]
    pred = network(clips.images, causal=False, points=False).pose_enc[clips.good, 1:]
    rotation, motion = rotation_of(pred[..., 3:7]), rotation_of(target[..., 3:7])
    still = torch.eye(3).to(motion).expand_as(motion)
    turned = angle_between(rotation, motion).mean() / angle_between(still, motion).mean()
    off = (pred[..., :3] - target[..., :3]).norm(dim=-1).mean() / target[..., :3].norm(
        dim=-1
    ).mean()
    return turned.item(), off.item()
