"""A training run in a folder: begun, resumed, and what leaves it.

```
state.pt             all that an exact resume needs, on this machine
weights.safetensors  averaged weights in fp16 with their sizes, to be evaluated and stored
log.csv              a line a step
settings.json        what it was begun with: it is resumed so, or not at all
```
Between machines only the weights travel, and the step: the optimiser begins anew with a warm-up.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from svggt.engine.quantise import read_tensors
from svggt.files import atomic_write
from svggt.model.config import ModelConfig
from svggt.model.network import VGGT
from svggt.train.batch import Source
from svggt.train.distil import teacher_of
from svggt.train.distributed import Distributed
from svggt.train.options import TrainOptions
from svggt.train.trainer import Trainer

_PIECE = 15 * 2**20  # bytes


@dataclass(frozen=True)
class Facts:
    """What a weight file says of itself.

    Attributes:
        config: sizes of the network.
        step: number of training steps behind it.
        seed: from which the clips were drawn.
    """

    config: ModelConfig
    step: int
    seed: int


def facts_of(path: Path) -> Facts:
    """Reads them.

    Raises:
        ValueError: the file is not there, or does not carry its sizes.
    """
    if not path.is_file():
        raise ValueError(f"{path} is not there: name a .safetensors file of this project's")
    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path.name} is damaged or no .safetensors file: {error}") from None
    if "config" not in facts:
        raise ValueError(f"{path.name} does not carry its sizes: take a file of this project's")
    config = ModelConfig.from_json(facts["config"])
    return Facts(config, int(facts.get("step", 0)), int(facts.get("seed", 0)))


def read_network(path: Path, device: torch.device) -> VGGT:
    """A network to learn with; int8 weights are unpacked.

    Raises:
        ValueError: as of `facts_of`; or an int8 tensor lacks its scale.
    """
    network = VGGT(facts_of(path).config)
    state = {name: tensor.float() for name, tensor in read_tensors(path, torch.device("cpu"))}
    try:
        network.load_state_dict(state)
    except RuntimeError:
        raise ValueError(f"{path.name} lacks tensors of its own sizes: take a whole file") from None
    return network.to(device)


def write_network(trainer: Trainer, path: Path) -> None:
    """The averaged weights as fp16 safetensors."""
    halves = {name: value.half().contiguous() for name, value in trainer.averaged().items()}
    facts = {
        "config": trainer.network.config.to_json(),
        "step": str(trainer.step),
        "seed": str(trainer.options.seed),
    }
    save_file(halves, path, metadata=facts)


def write_pieces(path: Path, size: int = _PIECE) -> list[Path]:
    """Cuts a file for transport; `cat weights.safetensors.* > weights.safetensors` joins it."""
    for old in path.parent.glob(f"{path.name}.[0-9]*"):
        old.unlink()
    pieces = []
    with path.open("rb") as file:
        while piece := file.read(size):
            pieces.append(path.with_name(f"{path.name}.{len(pieces):04}"))
            pieces[-1].write_bytes(piece)
    return pieces


@dataclass(frozen=True)
class TrainRun:
    """What a training run is.

    Attributes:
        weights: file to begin from.
        options: how it learns.
        source: gives clips.
        teacher: weights that teach; None: the truth alone.
    """

    weights: Path
    options: TrainOptions
    source: Source
    teacher: Path | None = None


def train_run(
    folder: Path, wanted: TrainRun, minutes: float, machine: Distributed | None = None
) -> Trainer:
    """Resumes the training run of a folder, or begins one.

    Args:
        folder: the run's folder.
        wanted: what it is, as when it began.
        minutes: how long at most, but for the step in hand.
        machine: carries it; None: this process.
    """
    machine = machine or Distributed()
    folder.mkdir(parents=True, exist_ok=True)
    network = read_network(wanted.weights, machine.device)
    teacher = None
    if wanted.teacher is not None:
        teacher = teacher_of(read_network(wanted.teacher, machine.device))
    step = facts_of(wanted.weights).step
    trainer = Trainer(network, wanted.options, wanted.source, step, teacher, machine)
    kept = folder / "state.pt"
    if kept.is_file():
        trainer.load(kept)
    if machine.rank > 0:  # one process writes for all
        trainer.train(minutes, lambda metrics: None)
        return trainer
    with (folder / "log.csv").open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)

        def log(metrics: dict[str, float]) -> None:
            if file.tell() == 0:
                writer.writerow(metrics)
            writer.writerow(f"{value:.6g}" for value in metrics.values())
            file.flush()

        trainer.train(minutes, log)
    trainer.save(kept)
    write_network(trainer, folder / "weights.safetensors")
    return trainer


def remember(folder: Path, settings: dict[str, Any]) -> None:
    """Writes settings where a folder is begun; else compares.

    Args:
        folder: made if it is not there.
        settings: values that JSON can say.

    Raises:
        ValueError: the folder was begun with others; what differs is named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, given = folder / "settings.json", json.loads(json.dumps(settings))
    if not path.is_file():
        with atomic_write(path) as begun:
            begun.write_text(json.dumps(given, indent=2) + "\n", encoding="utf-8")
        return
    kept = json.loads(path.read_text("utf-8"))
    differ = [name for name in {**kept, **given} if kept.get(name) != given.get(name)]
    if differ:
        words = ", ".join(f"{n} was {kept.get(n)}, is {given.get(n)}" for n in differ)
        raise ValueError(f"{folder} was begun otherwise ({words}): say the same, or name another")


Log = dict[str, NDArray[np.float64]]
"""Column to its values, a step each."""


def read_log(path: Path) -> Log:
    """A run's log.csv, or a variant's curve.

    Raises:
        ValueError: there is none, or it has no step yet.
    """
    if not path.is_file():
        raise ValueError(f"{path} is not there: name a folder that training has written to")
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if None not in row.values()]  # whole ones
    if not rows:
        raise ValueError(f"{path} has no step yet: train for a while first")
    log = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    if "rotation" in log:
        log["rotation / motion"] = log["rotation"] / np.maximum(log["motion"], 1e-3)
    return log
