"""Streaming equals the causal batch pass; a step that fails leaves no trace."""

from __future__ import annotations

import pytest
import torch

from svggt.experiments.parity import (
    Fixture,
    relative_error,
    stream_clip,
    streaming_errors,
)
from svggt.model import aggregator
from svggt.model.chunks import Chunks
from svggt.model.memory import Memory
from svggt.model.network import VGGT
from svggt.model.policies import full, published_camera_memory, window

LANDSCAPE, PORTRAIT = (56, 84), (84, 56)
BOUNDS = {torch.float32: 1e-5, torch.float64: 1e-10}


def clip(frames: int, batch: int, size: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(frames)
    return torch.rand(batch, frames, 3, *size, generator=generator, dtype=torch.float64).to(dtype)


@pytest.fixture(scope="module", params=BOUNDS, ids=str)
def network(request: pytest.FixtureRequest, parity: Fixture) -> VGGT:
    return parity.network(request.param)


@pytest.mark.parametrize("size", [LANDSCAPE, PORTRAIT], ids=["landscape", "portrait"])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("frames", range(1, 9))
def test_streaming_equals_batch(
    network: VGGT, frames: int, batch: int, size: tuple[int, int]
) -> None:
    dtype = network.camera_head.token_norm.weight.dtype
    with torch.no_grad():
        errors = streaming_errors(network, clip(frames, batch, size, dtype))
    assert max(errors.values()) <= BOUNDS[dtype], errors


def test_tracks_of_a_stream_are_those_of_its_clip(parity: Fixture) -> None:
    network = parity.network(torch.float64)
    images, queries = parity.images.double(), parity.query_points
    assert queries is not None and network.track_head is not None
    with torch.no_grad():
        streamed = stream_clip(network, images, full())
        tracks = network.track_head(streamed.tokens, (56, 84), queries.double())
        clip_tracks = network.track(images, queries.double(), causal=True)
    for ours, theirs in zip(tracks.iterations, clip_tracks.iterations, strict=True):
        assert relative_error(ours, theirs) <= 1e-8  # rounding grows with every iteration
    assert relative_error(tracks.visibility, clip_tracks.visibility) <= 1e-8


def test_a_frame_does_not_see_later_ones(parity: Fixture) -> None:
    network, images = parity.network(), parity.images.clone()
    with torch.no_grad():
        before = network(images, causal=True)
        images[:, -1] = 0
        after, offline = network(images, causal=True), network(images, causal=False)
    assert torch.equal(before.depth[:, :-1], after.depth[:, :-1])
    assert not torch.allclose(offline.depth[:, 0], after.depth[:, 0])


@pytest.mark.parametrize("policy", [window(8), window(100)], ids=lambda p: p.name)
def test_an_unlimited_budget_equals_full(parity: Fixture, policy) -> None:
    images = clip(8, 1, LANDSCAPE, torch.float64)
    network = parity.network(torch.float64)
    with torch.no_grad():
        ours, exact = stream_clip(network, images, policy), stream_clip(network, images, full())
    assert relative_error(ours.depth, exact.depth) <= 1e-10
    assert relative_error(ours.pose_enc, exact.pose_enc) <= 1e-10


def test_window_sees_anchor_and_last_frames(parity: Fixture) -> None:
    """Frame t attends to frames 0 and t - W .. t: a mask over the batch pass says the same."""
    network, frames, size = parity.network(torch.float64), 7, 2
    images = clip(frames, 1, LANDSCAPE, torch.float64)
    tokens = network.config.num_special_tokens + (56 // 14) * (84 // 14)
    number = torch.arange(frames).repeat_interleave(tokens)
    ahead = number[:, None] - number[None]
    seen = ((ahead >= 0) & (ahead <= size)) | ((number == 0)[None] & (ahead >= 0))

    def attend(q, k, v):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)

    with torch.no_grad():
        masked = network.aggregator(images, lambda layer, residual: attend)
        streamed = stream_clip(network, images, window(size)).tokens
    for layer, expected in masked.items():
        assert relative_error(streamed[layer], expected) <= 1e-10


@pytest.mark.parametrize(
    "policy",
    [full(), window(2), published_camera_memory(full()), full("int8"), window(2, "int8")],
    ids=range(5),
)
def test_a_step_rolled_back_leaves_no_trace(parity: Fixture, policy) -> None:
    network, images = parity.network(), parity.images
    with torch.no_grad():
        undisturbed = stream_clip(network, images, policy)
        memory = Memory(network.config, policy)
        for number in range(images.shape[1]):
            network.step(1 - images[:, number : number + 1], memory)  # a failed attempt
            memory.rollback()
            output = network.step(images[:, number : number + 1], memory)
            memory.commit()
            assert torch.equal(output.depth[:, 0], undisturbed.depth[:, number])
            assert torch.equal(output.pose_enc[:, 0], undisturbed.pose_enc[:, number])


def test_window_memory_does_not_grow(parity: Fixture) -> None:
    network, images = parity.network(), clip(12, 1, LANDSCAPE, torch.float32)
    memory, sizes = Memory(network.config, window(3)), []
    with torch.no_grad():
        for number in range(12):
            network.step(images[:, number : number + 1], memory)
            memory.commit()
            sizes.append(memory.nbytes)
    assert len(set(sizes)) == 1
    assert memory.num_frames == 12


def test_full_memory_grows_geometrically(parity: Fixture) -> None:
    network, images = parity.network(), clip(40, 1, LANDSCAPE, torch.float32)
    memory, sizes = Memory(network.config, full()), []
    with torch.no_grad():
        for number in range(40):
            network.step(images[:, number : number + 1], memory)
            memory.commit()
            sizes.append(memory.nbytes)
    assert len(set(sizes[20:])) <= 4  # far fewer reallocations than frames
    assert 40 * sizes[0] <= sizes[-1] <= 1.5 * 40 * sizes[0]


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        window(0)


@pytest.mark.parametrize("causal", [False, True], ids=["offline", "causal"])
@pytest.mark.parametrize("frames", [1, 2, 3, 8])
def test_a_pass_in_chunks_equals_one_pass(network: VGGT, frames: int, causal: bool) -> None:
    dtype = network.camera_head.token_norm.weight.dtype
    images, turns = clip(5, 2, LANDSCAPE, dtype), []
    with torch.no_grad():
        whole = network(images, causal=causal)
        pieces = network(images, causal, chunks=Chunks(frames, lambda: turns.append(1)))
    for name in ("pose_enc", "depth", "depth_conf", "world_points", "world_points_conf"):
        error = relative_error(getattr(pieces, name), getattr(whole, name))
        assert error <= BOUNDS[dtype], (name, error)
    assert len(turns) >= network.config.depth


def test_a_pass_can_be_ended_between_two_chunks(parity: Fixture) -> None:
    def end() -> None:
        raise KeyboardInterrupt

    with torch.no_grad(), pytest.raises(KeyboardInterrupt):
        parity.network()(parity.images, causal=False, chunks=Chunks(1, end))


def test_what_a_stream_leaves_behind_is_fit_for_training(parity: Fixture) -> None:
    """The network keeps constants; a stream makes them without autograd. Pictures learn too."""
    size = (42, 70)  # that no other test has
    aggregator._image_statistics.cache_clear()
    with torch.inference_mode():
        stream_clip(parity.network(), clip(2, 1, size, torch.float32), full())
    images = clip(2, 1, size, torch.float32).requires_grad_(True)
    parity.network().requires_grad_(True)(images, causal=True).depth.sum().backward()
    assert images.grad is not None and images.grad.isfinite().all()
