"""Tokens kept in fewer bits: nearly what was computed, in as many bytes as promised."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch

import svggt.model.storage
from svggt.experiments.parity import Fixture
from svggt.model.host_copy import HostCopy
from svggt.model.policies import bounded, full
from svggt.model.storage import KeysAndValues, TokenBuffer
from svggt.model.token_memory import TokenMemory
from svggt.settings import Budget, Storage
from tests.model.test_streaming import LANDSCAPE, clip, relative_error, stream_clip

SHAPE = (2, 3, 10, 128)  # batch, heads, tokens of a frame, head_dim: two groups of channels
STORAGES: tuple[Storage, ...] = get_args(Storage)
BITS = {"float16": 16, "bfloat16": 16, "int8": 8, "int4": 4}
STEPS = {"int8": 127, "int4": 7.5}  # from the middle to the end of the range


def frames(count: int) -> list[torch.Tensor]:
    """Tokens with a channel that outgrows the others, as keys have."""
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(SHAPE, generator=generator) for _ in range(count)]
    for tokens in made:
        tokens[..., 7] *= 50
    return made


def written(storage: Storage, balanced: bool, count: int) -> TokenBuffer:
    buffer = TokenBuffer(storage, balanced)
    for number, tokens in enumerate(frames(count)):
        buffer.write(tokens, slice(10 * number, 10 * number + 10), capacity=10 * count)
    return buffer


@pytest.mark.parametrize("storage", STEPS)
def test_an_error_is_within_half_a_step_of_its_group(storage: Storage) -> None:
    whole, read = torch.cat(frames(5), dim=2), written(storage, False, 5).read(50)
    groups, error = whole.unflatten(-1, (2, 64)), (read - whole).abs().unflatten(-1, (2, 64))
    step = groups.abs().amax(dim=-1, keepdim=True) / STEPS[storage]
    assert (error <= 0.51 * step + 2e-3 * groups.abs().amax(dim=-1, keepdim=True)).all()
    assert read.dtype == whole.dtype and read.shape == whole.shape


@pytest.mark.parametrize("storage", STEPS)
def test_keys_are_finer_where_one_channel_outgrows_the_others(storage: Storage) -> None:
    whole = torch.cat(frames(5), dim=2)
    errors = [
        (written(storage, b, 5).read(50) - whole)[..., :7].abs().mean() for b in (True, False)
    ]
    assert errors[0] < errors[1] / 4


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("rows", [1, 6], ids=["heads alike", "each head"])
def test_tokens_take_the_place_of_others_and_nothing_else_moves(
    storage: Storage, rows: int
) -> None:
    buffer, new = written(storage, True, 3), frames(4)[3]
    before, room = buffer.read(30), buffer.nbytes
    slots = torch.stack([torch.randperm(30)[:10].sort().values for _ in range(rows)])
    buffer.write(new, slots, capacity=30)
    assert torch.allclose(
        buffer.take(slots), new, atol=25.0 if storage == "int4" else 1.0, rtol=0.1
    )
    touched = torch.zeros(rows, 30, dtype=torch.bool).scatter(1, slots, True)
    kept = ~touched.expand(6, -1).unflatten(0, (2, 3))
    assert torch.equal(buffer.read(30)[kept], before[kept])
    assert buffer.nbytes == room


class Cloned(HostCopy):
    """As a device's: what is written to the host later is not in it."""

    def __init__(self, parts: list[torch.Tensor], end: int, device: torch.device) -> None:
        super().__init__([part.clone() for part in parts], end, device)
        for part in self._parts:
            part[:, :, end:] = 0  # nobody brought these


@pytest.mark.parametrize("rows", [1, 6], ids=["heads alike", "each head"])
def test_what_is_written_while_a_copy_is_on_its_way_is_read(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(svggt.model.storage, "HostCopy", Cloned)
    ours, plain, new = written("host", True, 3), written("host", True, 3), frames(5)
    slots = torch.stack([torch.randperm(30)[:10].sort().values for _ in range(rows)])
    for where, capacity in ((slots, 30), (slice(30, 40), 45)):  # the second needs a larger buffer
        ours.fetch(30)
        for buffer in (ours, plain):
            buffer.write(new[3], where, capacity)
        assert torch.equal(ours.read(30), plain.read(30))
    assert torch.equal(ours.read(40), plain.read(40))


def test_a_layer_is_on_its_way_before_its_turn(
    parity: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first while a frame is encoded, each other one before the last one attends."""
    network, images, done = parity.network(), clip(4, 1, LANDSCAPE, torch.float32), []
    for name in ("fetch", "stage"):
        was = getattr(TokenMemory, name)

        def noted(self: TokenMemory, *arguments: Any, name: str = name, was: Any = was) -> Any:
            done.append((name, self))
            return was(self, *arguments)

        monkeypatch.setattr(TokenMemory, name, noted)
    monkeypatch.setattr(svggt.model.storage, "HostCopy", Cloned)
    policy = bounded("window", Budget(3, "frames"), "host")
    with torch.no_grad():
        ours = stream_clip(network, images, policy)
        layers = list(dict.fromkeys(layer for name, layer in done if name == "fetch"))
        assert len(layers) == network.config.depth
        firsts = [done.index((name, layer)) for layer in layers for name in ("fetch", "stage")]
        fetched, staged = firsts[::2], firsts[1::2]
        assert fetched[0] < staged[0]
        assert all(
            before < fetch < own
            for before, fetch, own in zip(staged, fetched[1:], staged[1:], strict=False)
        )
        exact = stream_clip(network, images, bounded("window", Budget(3, "frames")))
    assert torch.equal(ours.depth, exact.depth)


@pytest.mark.parametrize("storage", BITS)
def test_bytes_are_what_is_promised(storage: Storage) -> None:
    kept, tokens = KeysAndValues(storage), frames(1)[0]
    for number in range(8):
        kept.write(tokens, tokens, slice(10 * number, 10 * number + 10), capacity=80)
    elements = 2 * 8 * tokens.numel()
    scales = {"int8": 2, "int4": 4}.get(storage, 0) * elements // 64  # bytes a group
    channels = 4 * SHAPE[0] * SHAPE[1] * SHAPE[3] if storage in STEPS else 0  # of keys, float32
    assert kept.nbytes == elements * BITS[storage] // 8 + scales + channels
    assert kept.token_bytes(tokens) == (kept.nbytes - channels) // 80


@pytest.mark.parametrize("storage", STORAGES[2:])
def test_a_stream_says_nearly_the_same(parity: Fixture, storage: Storage) -> None:
    network, images = parity.network(), clip(8, 1, LANDSCAPE, torch.float32)
    with torch.no_grad():
        exact, ours = (stream_clip(network, images, full(kept)) for kept in ("computed", storage))
    assert torch.equal(ours.depth, exact.depth) == (storage == "host")
    assert relative_error(ours.depth, exact.depth) < (0.2 if storage == "int4" else 0.02)
