"""The trainer: a slice goes on exactly, and what should fall falls."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from svggt.data.layouts import open_sequence
from svggt.engine.checkpoints import load_model
from svggt.engine.devices import choose_device
from svggt.engine.quantise import save_quantised
from svggt.files import EMBEDDED_WEIGHTS
from svggt.train.optim import Muon, make_optimisers, orthogonal
from svggt.train.options import TrainOptions
from svggt.train.preview import write_clip
from svggt.train.runs import (
    TrainRun,
    facts_of,
    read_network,
    train_run,
    write_network,
    write_pieces,
)
from svggt.train.source import Shape, rendered
from svggt.train.trainer import Trainer

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
OPTIONS = TrainOptions(seed=3, warmup=2, matching_layers=(1,))
CLIPS = rendered((Shape(2, 3, (28, 42)), Shape(1, 2, (42, 28))), seed=0, device=CPU)


def trainer(network) -> Trainer:
    return Trainer(copy.deepcopy(network).requires_grad_(True), OPTIONS, CLIPS)


def state(made: Trainer) -> dict[str, torch.Tensor]:
    return made.network.state_dict()


def test_a_slice_goes_on_exactly(tiny, tmp_path: Path) -> None:
    """Four steps are two, a file, and two more: weights, averages and losses alike."""
    whole, parted = trainer(tiny.network), trainer(tiny.network)
    expected = [whole.take_step() for _ in range(4)]
    found = [parted.take_step() for _ in range(2)]
    parted.save(tmp_path / "state.pt")
    resumed = trainer(tiny.network)
    resumed.load(tmp_path / "state.pt")
    found += [resumed.take_step() for _ in range(2)]
    assert found == expected
    for name, tensor in state(whole).items():
        assert torch.equal(tensor, state(resumed)[name]), name
        assert torch.equal(whole.averaged()[name], resumed.averaged()[name]), name


def test_every_weight_that_is_used_learns(tiny) -> None:
    made = trainer(tiny.network)
    before = copy.deepcopy(state(made))
    for _ in range(2):
        made.take_step()
    unmoved = {n for n, tensor in state(made).items() if torch.equal(tensor, before[n])}
    assert all("track_head" in name or "mask_token" in name for name in unmoved), unmoved


def test_orthogonal_updates_move_all_directions_alike() -> None:
    given = torch.randn(2, 12, 30) * torch.logspace(0, -1, 12)[:, None]
    values = torch.linalg.svdvals(orthogonal(given))
    assert values.min() > 0.5 and values.max() < 1.4
    assert torch.linalg.svdvals(given).min() < 0.25 * torch.linalg.svdvals(given).max()
    turned = orthogonal(given.mT).mT
    assert torch.allclose(turned, orthogonal(given), atol=1e-5)


def test_every_parameter_has_one_optimiser(tiny) -> None:
    network = copy.deepcopy(tiny.network).requires_grad_(True)
    muon, adam = make_optimisers(network, 1e-3)
    groups = [p for o in (muon, adam) for g in o.param_groups for p in g["params"]]
    assert isinstance(muon, Muon) and len(groups) == len(list(network.parameters()))
    assert len({id(p) for p in groups}) == len(groups)


@pytest.mark.slow
def test_a_slice_is_a_folder_that_goes_on(embedded, tmp_path: Path) -> None:
    """What leaves it loads as any weights do; the log has a line a step."""
    options, folder = TrainOptions(warmup=2), tmp_path / "run"
    wanted = TrainRun(EMBEDDED_WEIGHTS, options, CLIPS)
    first, second = (train_run(folder, wanted, 0.0001) for _ in range(2))
    assert second.step == first.step + 1 == 2
    rows = (folder / "log.csv").read_text().splitlines()
    assert len(rows) == 3 and rows[0].startswith("step,loss,camera")
    loaded = load_model(str(folder / "weights.safetensors"), choose_device("float32"))
    assert loaded.network.config == embedded.network.config
    travelled = read_network(folder / "weights.safetensors", CPU)
    assert facts_of(folder / "weights.safetensors").step == 2
    for name, tensor in travelled.state_dict().items():
        assert torch.allclose(tensor, second.averaged()[name], atol=2e-3, rtol=2e-3), name


@pytest.mark.slow
def test_a_rendered_clip_is_a_folder_that_is_read(tmp_path: Path) -> None:
    write_clip(tmp_path, 2, 0, CPU)
    sequence = open_sequence(tmp_path)
    assert len(sequence.pictures) == 2 and sequence.truth.focal is not None
    depth = sequence.truth.depth(1)
    assert depth is not None
    assert depth.shape == (126, 168) and 0.2 < np.median(depth[depth > 0]) < 60


def test_weights_travel_in_pieces_and_the_optimiser_begins_anew(tiny, tmp_path: Path) -> None:
    """Step and seed come along, so that no clip is seen twice; the rate warms up again."""
    made = trainer(tiny.network)
    made.step = 500
    write_network(made, tmp_path / "weights.safetensors")
    whole = (tmp_path / "weights.safetensors").read_bytes()
    pieces = write_pieces(tmp_path / "weights.safetensors", size=len(whole) // 3)
    assert len(pieces) == 4 and sorted(pieces) == pieces
    (tmp_path / "joined").write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    facts = facts_of(tmp_path / "joined")
    assert (facts.step, facts.seed) == (500, OPTIONS.seed)
    asked: list[int] = []

    def source(step: int, part: int):
        asked.append(step)
        return CLIPS(step, part)

    gone_on = Trainer(
        read_network(tmp_path / "joined", CPU),
        TrainOptions(warmup=10, lr=1e-3, matching_layers=(1,)),
        source,
        facts.step,
    )
    before = copy.deepcopy(state(gone_on))
    gone_on.take_step()
    assert asked == [500]
    moved = state(gone_on)["camera_head.trunk_norm.bias"] - before["camera_head.trunk_norm.bias"]
    assert 0 < moved.abs().max() <= 1.01e-4  # a tenth of the rate


def _run(command: list[str], environment: dict[str, str]) -> str:
    """To its end; what it said, which is told where that is a bad one."""
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, f"{done.stdout[-1000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.mark.slow
def test_two_processes_share_a_step(tiny, tmp_path: Path) -> None:
    """Each takes a part: weights move as with one process that takes both, and one writes.

    They stop together, and go on. Each ends before Python does: that aborted some of them.
    """
    script = tmp_path / "train.py"
    script.write_text(
        "import atexit, runpy\n"
        "atexit.register(print, 'Python ends')\n"
        "runpy.run_module('svggt.train', run_name='__main__')\n"
    )
    weights = tmp_path / "tiny.safetensors"
    save_quantised(tiny.network, weights)
    asked = [str(script), "teacher", "--weights", str(weights), "--minutes", "0", "--lr", "0.1"]
    two = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    two += [*asked, str(tmp_path / "two")]
    one = [sys.executable, *asked, "--accumulate", "2", str(tmp_path / "one")]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true"}
    assert "Python ends" not in _run(two, environment)
    assert "Python ends" in _run(one, environment)
    before = read_network(weights, CPU).state_dict()
    goes_on = [word if word != "0" else "0.3" for word in two]
    moved_by_one = read_network(tmp_path / "two" / "weights.safetensors", CPU)
    _run(goes_on, environment)
    assert facts_of(tmp_path / "two" / "weights.safetensors").step > 1
    shared, alone = (
        torch.cat(
            [(tensor - before[name]).flatten() for name, tensor in moved.state_dict().items()]
        )
        for moved in (
            moved_by_one,
            read_network(tmp_path / "one" / "weights.safetensors", CPU),
        )
    )
    rows = (tmp_path / "two" / "log.csv").read_text().splitlines()
    assert len(rows) == 1 + facts_of(tmp_path / "two" / "weights.safetensors").step
    assert torch.cosine_similarity(shared, alone, dim=0) > 0.99 and alone.abs().max() > 1e-4


def test_what_trains_needs_little_else() -> None:
    """A machine for training has no tyro, av, viser, gradio, trimesh, hub and plots."""
    names = ("__main__", "study", "ablation", "teacher_corruption", "probe", "recorded")
    imports = "; ".join(f"import svggt.train.{name}" for name in names)
    code = f"import sys; {imports}; print(*sorted(n.split('.')[0] for n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    missing = {"tyro", "av", "viser", "gradio", "trimesh", "huggingface_hub", "cv2", "cmap"}
    assert not (missing | {"matplotlib", "accelerate"}) & set(done.stdout.split())
