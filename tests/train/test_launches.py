"""A step is cheap for the host that launches it, and needs only what a lent GPU machine has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.launches import LaunchCounter, count_step, trainer_of
from svggt.train.source import Shape

ROOT = Path(__file__).parents[2]
MISSING = ("gradio", "viser", "tyro", "av", "trimesh", "fastapi", "gtsam", "pycolmap", "accelerate")
SHAPES = (Shape(1, 4, (84, 112)), Shape(1, 12, (28, 42)))


@pytest.mark.parametrize("shape", SHAPES, ids=["a usual one", "many frames"])
def test_a_step_launches_little_and_reads_less(shape: Shape) -> None:
    """Neither grows with the frames of a clip; bounds are those of the speed issue."""
    step, rendering = count_step(trainer_of(shape))
    assert step.operations.total() <= 6000
    assert rendering.operations.total() <= 2000
    assert step.reads.total() <= 10


def test_what_is_counted_is_operations_and_reads() -> None:
    import torch

    numbers = torch.arange(6.0)
    with LaunchCounter() as counter:
        numbers.view(2, 3).T.add(1).mul(2)
        numbers[numbers > 2].tolist()
        float(numbers.sum())
    assert counter.operations.total() == 2 + 2 + 2  # add, mul; >, index; sum, its number
    assert counter.reads.total() == 3  # a mask's count, a list, a number


@pytest.mark.slow
def test_training_needs_only_what_a_lent_machine_has(tmp_path: Path) -> None:
    """A whole slice and its comparison's command line start without what draws or serves."""
    code = (
        "import runpy, sys\n"
        f"sys.modules.update(dict.fromkeys({MISSING!r}))\n"  # importing them fails from now on
        "runpy.run_module('svggt.train', run_name='__main__', alter_sys=True)\n"
    )
    out = tmp_path / "slice"
    asked = ["mixed", str(out), "--minutes", "0.0001", "--split", "--bf16"]
    for words in (asked, ["compare", "--help"]):
        done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
    assert (out / "weights.safetensors.0000").is_file()
