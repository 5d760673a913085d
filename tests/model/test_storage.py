"""Tokens kept in fewer bits: nearly what was computed, in as many bytes as promised."""

from __future__ import annotations

import pytest
import torch

from svggt.experiments.parity import Fixture
from svggt.model.memory import Memory
from svggt.model.policies import full, window
from svggt.model.storage import Int8Buffer, KeysAndValues, PlainBuffer, Storage
from tests.model.test_streaming import LANDSCAPE, clip, relative_error, stream_clip

SHAPE = (2, 3, 10, 64)  # batch, heads, tokens of a frame, head_dim
STORAGES: tuple[Storage, ...] = ("computed", "bfloat16", "int8")


def frames(count: int) -> list[torch.Tensor]:
    """Tokens with a channel that outgrows the others, as keys have."""
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(SHAPE, generator=generator) for _ in range(count)]
    for tokens in made:
        tokens[..., 7] *= 50
    return made


@pytest.mark.parametrize("per_channel", [True, False])
def test_eight_bits_are_within_half_a_step(per_channel: bool) -> None:
    buffer, given = Int8Buffer(per_channel), frames(5)
    for number, tokens in enumerate(given):
        buffer.write(tokens, 10 * number)
    whole = torch.cat(given, dim=2)
    read = buffer.read(50)
    for number, tokens in enumerate(given):
        step = tokens.abs().amax(dim=2 if per_channel else 3, keepdim=True) / 127
        error = (read[:, :, 10 * number : 10 * number + 10] - tokens).abs()
        assert (error <= 0.51 * step + 1e-3 * tokens.abs()).all()  # scales are halves
    assert read.dtype == whole.dtype and read.shape == whole.shape


def test_keys_are_finer_by_channel_where_one_outgrows_the_others() -> None:
    tokens = frames(1)[0]
    errors = []
    for per_channel in (True, False):
        buffer = Int8Buffer(per_channel)
        buffer.write(tokens, 0)
        errors.append((buffer.read(10) - tokens)[..., :7].abs().mean())
    assert errors[0] < errors[1] / 5


def test_a_frame_takes_the_place_of_another() -> None:
    for buffer in (PlainBuffer(), PlainBuffer(torch.bfloat16), Int8Buffer(True), Int8Buffer(False)):
        first, second, third = frames(3)
        buffer.write(first, 0, capacity=30)
        buffer.write(second, 10)
        room = buffer.nbytes
        buffer.write(third, 10)
        assert torch.allclose(buffer.read(20)[:, :, 10:], third, atol=2.0, rtol=0.01)
        assert torch.allclose(buffer.read(20)[:, :, :10], first, atol=2.0, rtol=0.01)
        assert buffer.nbytes == room


def test_bytes_are_what_is_promised() -> None:
    sizes = {}
    for storage in STORAGES:
        kept = KeysAndValues.of(storage)
        for number, tokens in enumerate(frames(8)):
            kept.write(tokens, tokens, 10 * number, capacity=80)
        sizes[storage] = kept.nbytes
    assert sizes["computed"] == 2 * 8 * 4 * frames(1)[0].numel()
    assert sizes["bfloat16"] == sizes["computed"] // 2
    assert sizes["int8"] < 0.3 * sizes["computed"]


@pytest.mark.parametrize("storage", ["bfloat16", "int8"])
def test_a_stream_says_nearly_the_same(parity: Fixture, storage: Storage) -> None:
    network, images = parity.network(), clip(8, 1, LANDSCAPE, torch.float32)
    with torch.no_grad():
        exact, ours = (stream_clip(network, images, full(kept)) for kept in ("computed", storage))
        assert not torch.equal(ours.depth, exact.depth)
        assert relative_error(ours.depth, exact.depth) < 0.02


def test_a_window_in_eight_bits_is_a_quarter(parity: Fixture) -> None:
    network, images = parity.network(), clip(5, 1, LANDSCAPE, torch.float32)
    sizes = []
    for policy in (window(3), window(3, "int8")):
        memory = Memory(network.config, policy)
        with torch.no_grad():
            for number in range(5):
                network.step(images[:, number : number + 1], memory)
                memory.commit()
        sizes.append(sum(layer.nbytes for layer in memory._layers))
    assert sizes[1] < 0.4 * sizes[0]  # at head_dim 16 scales weigh more
