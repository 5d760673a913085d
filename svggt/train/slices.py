"""A slice of training in a folder: begun, gone on with, and what leaves it.

```
slice.pt             all that an exact resume needs, on this machine
weights.safetensors  averaged weights in fp16 with their sizes, to be evaluated and stored
log.csv              a line a step
```
Between machines only the weights travel, and the step: the optimiser begins anew with a warm-up.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from svggt.model.config import ModelConfig
from svggt.model.network import VGGT
from svggt.quantise import SCALE, dequantise
from svggt.train.trainer import Shape, Source, Trainer, TrainOptions, rendered

SHAPES = (
    Shape(4, 4, (84, 112)),
    Shape(8, 2, (112, 84)),
    Shape(2, 8, (84, 112)),
    Shape(3, 4, (126, 168)),
    Shape(1, 16, (98, 126)),
)
"""Of a step on a CPU; a GPU takes `--scale` times as many clips."""


def read_network(path: Path, device: torch.device) -> tuple[VGGT, int]:
    """A network to learn with, and the step that it comes from; int8 weights are unpacked.

    Raises:
        ValueError: the file does not carry its sizes, or an int8 tensor lacks its scale.
    """
    with safe_open(path, framework="pt") as file:
        facts, names = file.metadata() or {}, set(file.keys())
        if "config" not in facts:
            raise ValueError(f"{path.name} does not carry its sizes: take a file of this project's")
        state = {
            name: dequantise(
                name,
                file.get_tensor(name),
                file.get_tensor(name + SCALE) if name + SCALE in names else None,
            ).float()
            for name in names
            if not name.endswith(SCALE)
        }
    network = VGGT(ModelConfig.from_json(facts["config"]))
    network.load_state_dict(state)
    return network.to(device), int(facts.get("step", 0))


def write_network(trainer: Trainer, path: Path) -> None:
    """The averaged weights as fp16 safetensors."""
    halves = {name: value.half().contiguous() for name, value in trainer.averaged().items()}
    facts = {"config": trainer.network.config.to_json(), "step": json.dumps(trainer.step)}
    save_file(halves, path, metadata=facts)


def train_slice(
    folder: Path, weights: Path, minutes: float, options: TrainOptions, source: Source | None = None
) -> Trainer:
    """Goes on with the slice of a folder, or begins one from weights.

    Args:
        folder: of the slice.
        weights: to begin from; not read where the folder holds a slice.
        minutes: at most, but for the step in hand.
        options: as of the slice's beginning.
        source: of clips; rendered ones of `SHAPES` if left out.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    folder.mkdir(parents=True, exist_ok=True)
    network, step = read_network(weights, device)
    source = source or rendered(SHAPES, options.seed, device)
    trainer = Trainer(network, options, source, step)
    kept = folder / "slice.pt"
    if kept.is_file():
        trainer.load(kept)
    with (folder / "log.csv").open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)

        def log(told: dict[str, float]) -> None:
            if file.tell() == 0:
                writer.writerow(told)
            writer.writerow(f"{value:.5g}" for value in told.values())
            file.flush()

        trainer.train(minutes, log)
    trainer.save(kept)
    write_network(trainer, folder / "weights.safetensors")
    return trainer
