"""A stream is atomic, returns to the CPU, and equals the batch pass of the same pictures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.offline import predict_clip
from svggt.engine.stream import Stream
from svggt.errors import ModelOverflow
from svggt.model.policies import bounded, full, window
from svggt.prediction import FramePrediction
from svggt.settings import Budget
from tests.conftest import make_frames


def assert_equal(ours: FramePrediction, theirs: FramePrediction) -> None:
    assert np.allclose(ours.depth, theirs.depth, rtol=1e-5)
    assert np.allclose(ours.cam_from_world, theirs.cam_from_world, atol=1e-5)
    assert np.allclose(ours.intrinsics, theirs.intrinsics, rtol=1e-5)


def test_stream_equals_the_clip_in_one_pass(tiny: LoadedModel) -> None:
    frames = make_frames(6)
    stream = Stream(tiny, full())
    for ours, theirs in zip(
        [stream.step(f) for f in frames], predict_clip(tiny, frames, causal=True), strict=True
    ):
        assert_equal(ours, theirs)
    assert stream.num_frames == 6


def test_predictions_keep_shapes_and_ranges(tiny: LoadedModel) -> None:
    prediction = Stream(tiny, full(), points=True).step(make_frames(1)[0])
    assert prediction.depth.shape == prediction.depth_conf.shape == (56, 84)
    assert prediction.world_points is not None and prediction.world_points.shape == (56, 84, 3)
    assert (prediction.depth > 0).all() and (prediction.depth_conf >= 1).all()
    assert prediction.cam_from_world.shape == (3, 4) and prediction.memory_bytes > 0
    assert isinstance(prediction.depth, np.ndarray)


@pytest.mark.parametrize(
    "policy",
    [
        full(),
        window(2),
        window(2, "int8"),
        full("bfloat16"),
        bounded("blocks", Budget(3, "frames")),
    ],
    ids=range(5),
)
def test_a_failed_step_leaves_the_stream_as_it_was(tiny: LoadedModel, policy) -> None:
    frames = make_frames(5)
    undisturbed, stream = Stream(tiny, policy), Stream(tiny, policy)
    for frame in frames:
        broken = BreakingHead(tiny.network.depth_head)
        tiny.network.depth_head = broken
        with pytest.raises(RuntimeError, match="out of memory"):
            stream.step(frame)
        tiny.network.depth_head = broken.head
        assert_equal(stream.step(frame), undisturbed.step(frame))


class BreakingHead(torch.nn.Module):
    """Fails as a full device does, after all of the backbone has run."""

    def __init__(self, head: torch.nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, *_: object) -> None:
        raise torch.OutOfMemoryError("out of memory")


def test_another_size_is_refused_and_changes_nothing(tiny: LoadedModel) -> None:
    stream = Stream(tiny, full())
    stream.step(make_frames(1)[0])
    with pytest.raises(ValueError, match="70"):
        stream.step(make_frames(1, height=70)[0])
    assert stream.num_frames == 1
    stream.step(make_frames(2)[1])


def test_overflow_is_an_error_with_a_remedy(parity, tiny: LoadedModel) -> None:
    network = parity.network()
    with torch.no_grad():
        network.depth_head.scratch.output_conv2[2].bias.fill_(1e4)  # exp overflows
    stream = Stream(dataclasses.replace(tiny, network=network), full())
    with pytest.raises(ModelOverflow, match="float32"):
        stream.step(make_frames(1)[0])
    assert stream.num_frames == 0


def test_streams_share_weights_and_nothing_else(tiny: LoadedModel) -> None:
    frames, others = make_frames(4), make_frames(4, seed=1)
    alone = [Stream(tiny, full()).step(frames[0])]
    one, two = Stream(tiny, full()), Stream(tiny, full())
    first = [(one.step(a), two.step(b)) for a, b in zip(frames, others, strict=True)]
    assert_equal(first[0][0], alone[0])
    assert not np.allclose(first[3][0].depth, first[3][1].depth)
