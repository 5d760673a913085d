"""The network is the published one: outputs on the fixture, names and shapes of checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from svggt.experiments import parity as experiment
from svggt.experiments.parity import Fixture
from svggt.model.config import PRESETS, ModelConfig
from svggt.model.network import VGGT

DATA = Path(__file__).parent.parent / "data"


@pytest.fixture(scope="module")
def errors(parity: Fixture) -> dict[str, float]:
    with torch.no_grad():
        return experiment.parity_errors(parity)


def test_every_recorded_output_is_compared(parity: Fixture, errors: dict[str, float]) -> None:
    assert set(errors) == set(parity.recorded)
    assert {f"{m}/depth" for m in ("offline", "causal")} < set(errors)
    assert "published_streaming/pose_enc" in errors


def test_outputs_equal_the_published_ones(errors: dict[str, float]) -> None:
    above = {name: e for name, e in errors.items() if not e <= experiment.bound_of(name)}
    assert not above


def test_the_check_can_fail(parity: Fixture) -> None:
    network = parity.network()
    with torch.no_grad():
        network.depth_head.norm.weight.mul_(1.01)
        depth = network(parity.images, causal=True).depth
    error = experiment.relative_error(depth, parity.recorded["causal/depth"])
    assert error > experiment.BOUND


def test_published_camera_memory_differs_from_the_exact_one(parity: Fixture) -> None:
    published = parity.recorded["published_streaming/pose_enc"]
    exact = parity.recorded["causal/pose_enc_iter3"]
    assert experiment.relative_error(published, exact) > 0.01


@pytest.mark.parametrize("preset", ["vggt-1b", "streamvggt-1b"])
def test_names_and_shapes_are_the_checkpoints(preset: str) -> None:
    manifest = json.loads((DATA / "vggt_1b_manifest.json").read_text())["tensors"]
    with torch.device("meta"):
        state = VGGT(PRESETS[preset].config).state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == manifest


def test_sizes_survive_json() -> None:
    for preset in PRESETS.values():
        assert ModelConfig.from_json(preset.config.to_json()) == preset.config


def test_unknown_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="no_such_size"):
        ModelConfig.from_json('{"no_such_size": 3}')
