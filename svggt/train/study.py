"""What makes rotation and translation error fall soonest, at a size that two cores can train.

Every arm is the recipe with one thing taken away. All see the same clips in the same order, begin
with the same weights and take the same number of steps; what is reported is the error on clips
that none of them saw, divided by that of a camera that never moves.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svggt.model.config import ModelConfig
from svggt.model.layers import LayerScale
from svggt.model.network import VGGT
from svggt.model.rope import sinusoids
from svggt.train.batch import ClipBatch, targets_of
from svggt.train.options import TrainOptions
from svggt.train.poses import angle_between, rotation_of
from svggt.train.report import Log
from svggt.train.source import HELD_OUT
from svggt.train.synth.chance import Chance
from svggt.train.synth.render import render_clips
from svggt.train.trainer import Source, Trainer

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
"""2.9 M parameters."""

_SIZE = (84, 112)  # rendered, so that thin things are there
_HALF = 2  # and halved
_FRAMES = 4  # of a rendered clip; a step sees some of them
_POOL, _HELD = 2048, 64  # clips that are learnt from, and that are not
_AT_ONCE = 32  # clips that are rendered together
_CLIPS = 16  # of a step
_LEFT = 0.8  # of a still camera's rotation error: motion is seen
_LAST = 4  # measurements that an arm's end is the mean of
_TOLD = ("matched", "displacement")


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        options: of the trainer.
        layer_scale: of all blocks when they begin.
        positions: how loud places in the picture are beside its content when it begins.
        frames: of a step's clips, from its first step on and from half of them on.
    """

    options: TrainOptions
    layer_scale: float = 0.5
    positions: float = 0.5
    frames: tuple[int, int] = (2, 2)


RECIPE = TrainOptions(
    lr=1e-3,
    warmup=50,
    causal=0.0,
    shuffled=1.0,
    knee=0.01,
    dense=0.5,
    displacement=1.0,
    matching_layers=(1, 2),
    ema=0.99,
)
ARMS = {
    "recipe": Arm(RECIPE),
    "no matching": Arm(replace(RECIPE, matching=0.0)),
    "matches whole patches": Arm(replace(RECIPE, fine=False)),
    "no displacement": Arm(replace(RECIPE, displacement=0.0)),
    "no relative pose": Arm(replace(RECIPE, relative=0.0)),
    "knee of 0.1": Arm(replace(RECIPE, knee=0.1)),
    "no depth and points": Arm(replace(RECIPE, dense=0.0)),
    "AdamW alone": Arm(replace(RECIPE, muon=False)),
    "layer scale 0.01": Arm(RECIPE, layer_scale=0.01),
    "quiet positions": Arm(RECIPE, positions=0.0),
    "four frames": Arm(RECIPE, frames=(4, 4)),
}


def fresh_network(config: ModelConfig, layer_scale: float, positions: float, seed: int) -> VGGT:
    """A network that knows nothing, ready to learn from scratch.

    Args:
        config: sizes.
        layer_scale: 0.3 to 1 (shared/training.md).
        positions: amplitude of the grid of positions, waves of many lengths; 0: noise of 0.02.
        seed: of all else.
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


def run_arm(name: str, folder: Path, steps: int, every: int, seed: int = 0) -> None:
    """Trains one arm, or goes on with it, and writes its curve.

    Args:
        name: of `ARMS`.
        folder: of the study; clips are rendered once into it.
        steps: to take.
        every: so many steps the error is measured.
        seed: of weights and order.
    """
    if name not in ARMS:
        raise ValueError(f"there is no arm “{name}”: choose of {', '.join(ARMS)}")
    arm, clips = ARMS[name], pool(folder / "clips.pt", _POOL, 0)
    held = pool(folder / "held_out.pt", _HELD, HELD_OUT)
    options = replace(arm.options, seed=seed, total=steps)
    network = fresh_network(SMALL, arm.layer_scale, arm.positions, seed)
    trainer = Trainer(network, options, chosen_from(clips, arm.frames, steps, seed))
    place = place_of(folder, name, seed)
    place.mkdir(parents=True, exist_ok=True)
    if (place / "slice.pt").is_file():
        trainer.load(place / "slice.pt")
    with (place / "log.csv").open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        while trainer.step < steps:
            told = [trainer.take_step() for _ in range(every)][-1]
            rotation, translation = pair_errors(network, held)
            if file.tell() == 0:
                writer.writerow(["step", "rotation error", "translation error", *_TOLD])
            also = [told.get(name, float("nan")) for name in _TOLD]
            writer.writerow([trainer.step, rotation, translation, *also])
            file.flush()
            trainer.save(place / "slice.pt")


def place_of(folder: Path, name: str, seed: int = 0) -> Path:
    """Where an arm's log is."""
    return folder / f"{name.replace(' ', '_')}_{seed}"


def summary(logs: dict[str, Log]) -> str:
    """A table in Markdown: when an arm first errs less than a still camera, and its end."""
    lines = ["| | better than still from step | rotation | translation |", "|---|---|---|---|"]
    for name, log in logs.items():
        left = log["step"][log["rotation error"] < _LEFT]
        first = f"{left[0]:.0f}" if len(left) else "never"
        ends = [np.mean(log[f"{what} error"][-_LAST:]) for what in ("rotation", "translation")]
        lines.append(f"| {name} | {first} | {ends[0]:.2f} | {ends[1]:.2f} |")
    return "\n".join(lines)


@torch.no_grad()
def pair_errors(network: VGGT, held: ClipBatch) -> tuple[float, float]:
    """Rotation and translation error of first and third frames, by a motionless camera's."""
    errors, motions = torch.zeros(2), torch.zeros(2)
    for rows in torch.arange(len(held.depth)).split(_CLIPS):
        pairs = some_of(held, rows, torch.tensor([0, 2]))
        true = targets_of(pairs).pose_enc[:, 1][pairs.good]
        said = network(pairs.images, causal=False, points=False).pose_enc[:, 1][pairs.good]
        rotation, motion = rotation_of(said[:, 3:7]), rotation_of(true[:, 3:7])
        still = torch.eye(3).expand_as(motion)
        for totals, ours, where in ((errors, rotation, said), (motions, still, 0 * said)):
            totals[0] += angle_between(ours, motion).sum()
            totals[1] += (where[:, :3] - true[:, :3]).norm(dim=-1).sum()
    return tuple((errors / motions).tolist())


def chosen_from(clips: ClipBatch, frames: tuple[int, int], steps: int, seed: int) -> Source:
    """Some clips and some of their frames, by the number of the step."""

    def choose(step: int, part: int) -> ClipBatch:
        chance = Chance(1000 * step + part + seed, torch.device("cpu"))
        count = frames[0] if step < steps // 2 else frames[1]
        rows = chance.integers(_CLIPS, below=len(clips.depth))
        order = chance.uniform(_FRAMES).argsort()[:count].sort().values
        return some_of(clips, rows, order)

    return choose


def some_of(clips: ClipBatch, rows: Tensor, frames: Tensor) -> ClipBatch:
    """Chosen clips and frames, pictures as numbers in [0, 1] again."""
    chosen = {field.name: getattr(clips, field.name) for field in fields(clips)}
    for name in ("images", "depth", "world_from_cam", "motion"):
        chosen[name] = chosen[name][rows][:, frames].float()
    chosen["images"] = chosen["images"] / 255
    for name in ("fields_of_view", "good"):
        chosen[name] = chosen[name][rows]
    return ClipBatch(**chosen | {"when": clips.when[frames]})


def pool(path: Path, count: int, seed: int) -> ClipBatch:
    """Rendered clips that are kept in a file, small: pictures in 8 bits, depth in 16."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(_joined(_render(count, seed)), path)
    return ClipBatch(**torch.load(path, weights_only=True))


def _render(count: int, seed: int) -> Iterator[dict[str, Tensor]]:
    for number in range(0, count, _AT_ONCE):
        chance = Chance(seed + number, torch.device("cpu"))
        clips = render_clips(_AT_ONCE, _FRAMES, _SIZE, chance)
        made = {field.name: getattr(clips, field.name) for field in fields(clips)}
        small = F.avg_pool2d(clips.images.flatten(0, 1), _HALF).unflatten(0, (_AT_ONCE, _FRAMES))
        made["images"] = (255 * small).round().byte()
        for name in ("depth", "motion"):
            made[name] = made[name][:, :, ::_HALF, ::_HALF].half()
        yield made


def _joined(parts: Iterator[dict[str, Tensor]]) -> dict[str, Tensor]:
    made = list(parts)
    joined = {name: torch.cat([part[name] for part in made]) for name in made[0]}
    return joined | {"when": made[0]["when"]}
