"""Loops: recognised, verified, closed; and the same after a stream was kept and resumed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from svggt import geometry, metrics
from svggt.geometry import Similarity
from svggt.refine.camera import Camera
from svggt.refine.correction import Correction
from svggt.refine.loops import Loop, Verify
from svggt.refine.options import RefineOptions
from svggt.refine.pose_graph import PoseGraph
from svggt.refine.recognition import Describe, KeyframeFeatures, most_alike, remember
from svggt.refine.refiner import Refiner
from svggt.refine.snapshot import from_arrays, to_arrays
from svggt.refine.solver import InlineSolver
from tests.refine.scenes import FOCAL, HEIGHT, WIDTH, Rendered, look, render

CAMERA = Camera(FOCAL, np.array([WIDTH / 2, HEIGHT / 2]))
EXACT = RefineOptions(pull=0.0)
FRAMES = 58


def described(clip: Rendered) -> list[KeyframeFeatures]:
    pairs = zip(clip.greys, clip.predictions, strict=True)
    return [Describe(n, grey, said.depth).run() for n, (grey, said) in enumerate(pairs)]


def around(degrees: float, frames: int) -> list[np.ndarray]:
    """A turn, a step beside its middle."""
    turn = np.linspace(0, degrees, frames)
    return [
        look(yaw, (0.6 * np.sin(np.radians(yaw)), 0, 0.6 * np.cos(np.radians(yaw)))) for yaw in turn
    ]


@pytest.fixture(scope="module")
def round_trip() -> Rendered:
    """Once around and a bit further, by depth whose scale grows to twice of what it was."""
    poses = around(400.0, FRAMES)
    return render(poses, scales=np.exp(np.linspace(0, 0.7, FRAMES)))


@pytest.fixture(scope="module")
def told(round_trip: Rendered) -> list[list[Correction]]:
    """What is said with every frame, and in the end."""
    refiner = Refiner(InlineSolver(), EXACT)
    pairs = zip(round_trip.greys, round_trip.predictions, strict=True)
    return [*(refiner.add(grey, said) for grey, said in pairs), refiner.settle()]


def newest(told: list[list[Correction]]) -> dict[int, Correction]:
    return {c.frame: c for corrections in told for c in corrections}


def cameras(corrections: dict[int, Correction]) -> np.ndarray:
    return np.stack([corrections[n].world_from_cam for n in range(len(corrections))])


class NoLoops(InlineSolver):
    """Adjusts windows, and looks for no loop."""

    def another(self) -> InlineSolver:
        class Idle(InlineSolver):
            def submit(self, task) -> None:
                """Answers nothing."""

        return Idle()


def test_the_keyframe_that_saw_the_same_is_the_most_alike() -> None:
    *known, new = described(render([look(yaw, (0, 0, 0)) for yaw in (0, 60, 120, 180, 240, 128)]))
    assert most_alike(known, new, 2)[0] == 2
    assert most_alike([], new, 3) == []


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_loop_says_how_two_keyframes_stand_and_what_their_scales_are(scale: float) -> None:
    poses = [look(0, (0, 0, 0)), look(10, (0.4, 0.1, 0.3))]
    clip = render(poses, scales=np.array([1.0, scale]))
    old, new = described(clip)
    loop = Verify(CAMERA, new, [old], np.ones(2), 0.1, 0).run()
    assert loop is not None and (loop.old, loop.new) == (0, 1)
    rigid = loop.old_from_new.rigid
    assert np.allclose(rigid, clip.world_from_cam[1], atol=0.03)
    assert abs(loop.old_from_new.scale * scale - 1) < 0.03


def test_other_places_and_one_small_thing_are_no_loop() -> None:
    old, new = described(render([look(0, (0, 0, 0)), look(120, (0, 0, 0))]))
    assert Verify(CAMERA, new, [old], np.ones(2), 0.1, 0).run() is None
    # The same poster before another wall: all that agrees lies in one corner of the picture.
    clip = render([look(0, (0, 0, 0)), look(150, (0, 0, 0))])
    clip.greys[1][:100, :140] = clip.greys[0][:100, :140]
    clip.predictions[1].depth[:100, :140] = clip.predictions[0].depth[:100, :140]
    old, new = described(clip)
    assert len(old.match(new)[0]) > 0
    assert Verify(CAMERA, new, [old], np.ones(2), 0.1, 0).run() is None


def test_a_blank_picture_is_described_and_like_nothing() -> None:
    blank = Describe(0, np.full((HEIGHT, WIDTH), 128, np.uint8), np.ones((HEIGHT, WIDTH))).run()
    assert len(blank.pixels) == 0 and most_alike([blank], blank, 3) == []
    assert Verify(CAMERA, blank, [blank], np.ones(2), 0.1, 0).run() is None


def test_of_many_keyframes_those_spread_over_time_are_remembered() -> None:
    blank = Describe(0, np.full((HEIGHT, WIDTH), 128, np.uint8), np.ones((HEIGHT, WIDTH))).run()
    known: list[KeyframeFeatures] = []
    for number in range(1200):
        known = remember(known, dataclasses.replace(blank, keyframe=number))
    numbers = np.array([each.keyframe for each in known])
    assert len(known) == 500 and numbers[0] == 0 and numbers[-1] == 1199
    assert np.diff(numbers).max() <= 8


def circle(count: int, growth: float) -> list[Similarity]:
    """Keyframes around a circle; every step turns a little too far and grows."""
    nodes, node = [], Similarity(1.0, look(0, (0, 0, 0)))
    step = Similarity(growth, look(360 / (count - 1) + 0.3, (1, 0, 0)))
    for _ in range(count):
        nodes.append(node)
        rigid = geometry.compose(node.rigid, scaled(step.rigid, node.scale))
        node = Similarity(node.scale * step.scale, rigid)
    return nodes


def scaled(rigid: np.ndarray, scale: float) -> np.ndarray:
    return np.concatenate([rigid[:, :3], scale * rigid[:, 3:]], axis=1)


def test_a_graph_brings_the_ends_of_a_circle_together() -> None:
    nodes = circle(41, 1.01)  # 12 degrees too far, and half as large again
    loop = Loop(0, 40, Similarity(1.0, look(0, (0, 0, 0))), 3.0, 100)
    ties = np.ones(40, bool)
    closed = PoseGraph(nodes, ties, np.full(41, 3.0), [loop]).run()
    before = np.linalg.norm(nodes[40].rigid[:, 3])
    assert np.linalg.norm(closed.poses[40, :, 3]) < 0.03 * before
    assert geometry.rotation_angle(closed.poses[40, :, :3]) < 0.5 * 41 * 0.3
    assert np.allclose(closed.poses[0], nodes[0].rigid, atol=1e-3)
    # A keyframe's surroundings go where it goes.
    moves = closed.moves(20)
    assert np.allclose(moves.pose(nodes[20].rigid), closed.poses[20], atol=1e-9)
    assert np.isclose(moves.scale * nodes[20].scale, closed.scales[20])


def test_what_nothing_ties_follows_its_neighbours_and_gives_way() -> None:
    """Where tracking was lost the step between two keyframes is a guess: there the loop bends."""
    nodes = circle(41, 1.0)
    loop = Loop(0, 40, Similarity(1.0, look(0, (0, 0, 0))), 3.0, 100)
    ties = np.ones(40, bool)
    ties[24] = False
    closed = PoseGraph(nodes, ties, np.full(41, 3.0), [loop]).run()
    turns = [
        float(geometry.rotation_angle(a[:, :3].T @ b[:, :3]))
        for a, b in zip(closed.poses, closed.poses[1:], strict=False)
    ]
    usual = 360 / 40 + 0.3
    assert abs(turns[24] - usual) > 5 * np.abs(np.delete(turns, 24) - usual).max()


def test_a_round_trip_closes(round_trip: Rendered, told: list[list[Correction]]) -> None:
    """Depth says that the world grows all the way round; a loop says that it does not."""
    refiner, closed = Refiner(NoLoops(), EXACT), newest(told)
    pairs = zip(round_trip.greys, round_trip.predictions, strict=True)
    opened = newest([*(refiner.add(grey, said) for grey, said in pairs), refiner.settle()])
    assert all(c.closes is None for c in opened.values())
    loops = {c.frame: c.closes for c in closed.values() if c.closes is not None}
    once = 360 / 400 * (FRAMES - 1)
    assert loops and all(abs(frame - old - once) < 8 for frame, old in loops.items())
    whole = (0, round(once))
    truth = round_trip.world_from_cam
    gaps = [metrics.gap(cameras(each), whole, truth) for each in (opened, closed)]
    assert gaps[0] > 0.04 and gaps[1] < 0.5 * gaps[0]
    # Steps and depth grow alike: each frame still sees the world that its neighbours see.
    sizes = [steps_by_depth(round_trip, each) for each in (opened, closed)]
    assert np.allclose(np.log(sizes[0] / sizes[1]), 0, atol=0.1)


def steps_by_depth(clip: Rendered, corrections: dict[int, Correction]) -> np.ndarray:
    """(N - 1,) how far the camera went to the next frame, by the median depth."""
    steps = np.linalg.norm(np.diff(cameras(corrections)[:, :, 3], axis=0), axis=1)
    depths = [np.median(corrections[n].correct(clip.predictions[n].depth)) for n in corrections]
    return steps / np.array(depths[:-1])


def test_a_loop_is_found_as_well_by_a_stream_that_was_kept(
    round_trip: Rendered, told: list[list[Correction]]
) -> None:
    resumed = Refiner(InlineSolver(), EXACT)
    pairs = zip(round_trip.greys, round_trip.predictions, strict=True)
    for number, (grey, prediction) in enumerate(pairs):
        if number in (25, 54):
            resumed.settle_window()
            state = from_arrays(to_arrays(resumed.state))
            resumed = Refiner(InlineSolver(), EXACT, state)
        ours = resumed.add(grey, prediction)
        assert [c.frame for c in ours] == [c.frame for c in told[number]]
        for a, b in zip(ours, told[number], strict=True):
            assert np.allclose(a.world_from_cam, b.world_from_cam, rtol=0, atol=1e-9)
            assert a.closes == b.closes
    assert resumed.state.loops
