"""Blocks: a stream begins anew within its budget, and stays in one world."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from svggt import geometry
from svggt.engine.blocks import in_world
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.stream import Stream
from svggt.geometry import Similarity
from svggt.model.policies import bounded, full, window
from svggt.prediction import FramePrediction
from svggt.settings import Budget, BudgetError
from tests.conftest import make_frames
from tests.engine.test_stream import assert_equal
from tests.scene.frames import correction

TOKENS, LAYERS, TOKEN_BYTES = 5 + 4 * 6, 4, 2 * 48 * 4 + 16


def run(stream: Stream, numbers: range) -> list[FramePrediction]:
    return [stream.step(frame) for frame in make_frames(max(numbers) + 1)[numbers.start :]]


@pytest.mark.parametrize("frames", [3, 6, 9, 11])
def test_both_blocks_together_stay_within_a_budget_of_frames(
    tiny: LoadedModel, frames: int
) -> None:
    stream = Stream(tiny, bounded("blocks", Budget(frames, "frames")))
    most, begun = 0, []
    for frame in make_frames(3 * frames):
        stream.step(frame)
        held = [block.memory.frames_held for block in stream._blocks]
        most = max(most, sum(held))
        begun.append(stream._blocks[0].first)
        memory = stream.memory_map()
        assert memory is not None and memory.frames[-1] == frame.number
        # Nothing is dropped from a block: it has all frames since it began.
        assert memory.frames.tolist() == list(range(begun[-1], frame.number + 1))
    assert frames - 3 <= most <= frames
    assert stream.num_frames == 3 * frames and len(set(begun)) > 2


@pytest.mark.parametrize("unit", ["tokens", "bytes"])
def test_a_budget_of_another_unit_is_never_exceeded(tiny: LoadedModel, unit) -> None:
    amount = 7 * TOKENS * LAYERS * (1 if unit == "tokens" else 2 * TOKEN_BYTES)
    stream = Stream(tiny, bounded("blocks", Budget(amount, unit)))
    for frame in make_frames(20):
        stream.step(frame)
        memories = [block.memory for block in stream._blocks]
        if unit == "bytes":
            assert sum(memory.global_bytes for memory in memories) <= amount
        else:
            kept = [ids.shape[1] for memory in memories for ids in memory.kept_ids()]
            assert sum(kept) <= amount
    assert stream._blocks[0].first > 0


@pytest.mark.parametrize("budget", [Budget(2, "frames"), Budget(100, "tokens")])
def test_a_budget_that_holds_no_two_blocks_says_what_does(
    tiny: LoadedModel, budget: Budget
) -> None:
    stream = Stream(tiny, bounded("blocks", budget))
    with pytest.raises(BudgetError, match="choose ") as refused:
        stream.step(make_frames(1)[0])
    assert stream.num_frames == 0
    enough = Stream(
        tiny, bounded("blocks", Budget.parse(str(refused.value).split("choose ")[1][:-8]))
    )
    assert len(run(enough, range(9))) == 9


def test_an_unlimited_budget_equals_full(tiny: LoadedModel) -> None:
    blocks, exact = (Stream(tiny, policy) for policy in (bounded("blocks", None), full()))
    for ours, theirs in zip(run(blocks, range(9)), run(exact, range(9)), strict=True):
        assert_equal(ours, theirs)


def test_a_block_is_a_fresh_stream_in_the_world_of_the_one_before(tiny: LoadedModel) -> None:
    frames = make_frames(14)
    stream = Stream(tiny, bounded("blocks", Budget(6, "frames")), points=True)
    shown, worlds = [], []
    for frame in frames:
        shown.append(stream.step(frame))
        block = stream._blocks[0]
        worlds.append((block.first, block.world))
    assert len({first for first, _ in worlds}) > 3
    for number, (first, world) in enumerate(worlds[:-1]):
        # What took over after a frame speaks from the next one on.
        fresh = Stream(tiny, full(), points=True)
        own = [fresh.step(frame) for frame in frames[first : number + 2]]
        expected = in_world(own[-1], world)
        assert_equal(shown[number + 1], expected)
        points = expected.world_points
        assert points is not None and shown[number + 1].world_points is not None
        assert np.allclose(shown[number + 1].world_points, points, atol=1e-3)
        if first and first != worlds[number - 1][0]:  # it took over here
            assert world is not None
            assert np.allclose(world.pose(own[-2].world_from_cam), shown[number].world_from_cam)
            shared = range(first, number + 1)
            ratios = [np.median(np.log(shown[n].depth / own[n - first].depth)) for n in shared]
            assert np.log(world.scale) == pytest.approx(np.median(ratios), abs=1e-4)


def test_what_is_moved_stays_one_scene(tiny: LoadedModel) -> None:
    """Depth, camera and points of a moved frame agree as they did before."""
    prediction = Stream(tiny, full(), points=True).step(make_frames(1)[0])
    turn = geometry.rotation_from_quaternion(np.array([0.1, -0.3, 0.2, 0.9]))
    world = Similarity(1.7, np.concatenate([turn, [[1.0], [2.0], [-3.0]]], axis=1))
    moved = in_world(prediction, world)
    assert moved.head_points is not None and prediction.head_points is not None
    assert np.allclose(moved.head_points, 1.7 * prediction.head_points, atol=1e-3)
    assert np.allclose(moved.camera_points, 1.7 * prediction.camera_points, rtol=1e-4)


def test_what_is_saved_goes_on_the_same(tiny: LoadedModel) -> None:
    policy = bounded("blocks", Budget(6, "frames"), "int8")
    for saved_after in (0, 1, 3, 4, 9):
        whole, resumed = Stream(tiny, policy), Stream(tiny, policy)
        frames = make_frames(saved_after + 6)
        for frame in frames[:saved_after]:
            whole.step(frame)
        resumed.load({name: tensor.clone() for name, tensor in whole.save().items()})
        assert resumed.num_frames == saved_after
        # Where a device knows no float64 (MPS) only the memory goes there.
        memory = [n for n, tensor in whole.save().items() if tensor.dtype == torch.float64]
        assert not [name for name in memory if ".memory." in name]
        for frame in frames[saved_after:]:
            ours, theirs = resumed.step(frame), whole.step(frame)
            assert np.array_equal(ours.depth, theirs.depth)
            assert np.array_equal(ours.cam_from_world, theirs.cam_from_world)


def test_changes_while_it_runs_stay_in_its_world(tiny: LoadedModel) -> None:
    """From a window to blocks and on to keyframes: one world, and all budgets hold."""
    frames = make_frames(30)
    stream = Stream(tiny, window(4))
    for frame in frames[:8]:
        stream.step(frame)
    stream = stream.with_policy(bounded("blocks", Budget(6, "frames")))
    for frame in frames[8:20]:
        stream.step(frame)
        assert sum(block.memory.frames_held for block in stream._blocks) <= 6
    assert stream._blocks[0].first >= 8  # what the window kept has gone
    world = stream._blocks[0].world
    stream = stream.with_policy(bounded("keyframes", Budget(4, "frames")))
    assert len(stream._blocks) == 1 and stream._blocks[0].world is world
    for frame in frames[20:]:
        stream.step(frame)
        memory = stream.memory_map()
        assert memory is not None and memory.frames[-1] == frame.number
    assert stream.num_frames == 30


def test_refined_cameras_reach_a_memory_under_its_own_numbers(tiny: LoadedModel) -> None:
    stream = Stream(tiny, bounded("blocks", Budget(6, "frames")))
    run(stream, range(12))
    first = stream._blocks[0].first
    assert first > 0
    stream = stream.with_policy(bounded("coverage", Budget(4, "frames")))
    seen = []
    memory = stream._blocks[0].memory
    memory.correct = seen.append  # pyright: ignore[reportAttributeAccessIssue]
    stream.correct([correction(number, (0, 0, 0)) for number in (first - 1, first + 2)])
    assert [[camera.number for camera in cameras] for cameras in seen] == [[2]]
