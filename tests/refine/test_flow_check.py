"""The picture as a witness: the camera's motion agrees with it, and what is not does not."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from svggt.geometry import compose, invert
from svggt.refine.camera import Camera
from svggt.refine.flow_check import FlowCheck, textured
from svggt.refine.refiner import Refiner
from svggt.refine.solver import SolverProcess, WaitingSolver
from tests.refine.scenes import FOCAL, HEIGHT, WIDTH, look, render

SIZE = (HEIGHT, WIDTH)
CAMERA = Camera(FOCAL, np.array([WIDTH / 2, HEIGHT / 2]))
PATH = [look(1.0 * n, (0.06 * n, 0.01 * n, 0.02 * n)) for n in range(8)]


def judged(clip, motions) -> float:
    check = FlowCheck().look(textured(clip.greys[0]), clip.predictions[0].depth, SIZE)
    for number, motion in enumerate(motions, 1):
        flow = check.follow(*clip.greys[number - 1 : number + 1])
        check = check.advance(flow, 1.0, CAMERA, motion)
        check = check.look(flow.points, clip.predictions[number].depth, SIZE)
    return check.agreement


def steps(poses):
    return [compose(invert(a), b) for a, b in itertools.pairwise(poses)]


def test_the_true_motion_agrees_and_others_do_not() -> None:
    clip = render(PATH)
    assert judged(clip, steps(PATH)) > 0.95
    turned = [look(2.0 * n, pose[:, 3]) for n, pose in enumerate(PATH)]
    assert judged(clip, steps(turned)) < 0.1
    backwards = [invert(step) for step in steps(PATH)]
    assert judged(clip, backwards) < 0.1


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_what_moves_by_itself_counts_by_its_area(share: float) -> None:
    clip = render(PATH, mover=share)
    assert judged(clip, steps(PATH)) == pytest.approx(1 - share, abs=0.12)


def test_depth_may_be_wrong_by_half() -> None:
    assert judged(render(PATH, scales=[1.5, 0.7] * 4), steps(PATH)) > 0.95


def test_nothing_is_said_of_a_picture_without_texture() -> None:
    grey = np.full((HEIGHT, WIDTH), 127, np.uint8)
    check = FlowCheck().look(textured(grey), np.ones(SIZE), SIZE)
    assert not len(check.pixels)
    flow = check.follow(grey, grey)
    assert check.advance(flow, 1.0, CAMERA, np.eye(3, 4)).agreement == 1.0


def test_a_camera_that_half_of_the_picture_contradicts_is_told() -> None:
    """Below the middle another camera sees another way; the corners kept agree all the same."""
    above = render([look(2.0 * n, (0.03 * n, 0, 0)) for n in range(16)])
    below = render([look(-2.0 * n, (0, 0.03 * n, 0)) for n in range(16)])
    middle, told = HEIGHT // 2, []
    with SolverProcess() as process:
        refiner = Refiner(WaitingSolver(process))
        for number, said in enumerate(above.predictions):
            grey, depth = above.greys[number].copy(), said.depth.copy()
            grey[middle:] = below.greys[number][middle:]
            depth[middle:] = below.predictions[number].depth[middle:]
            told += refiner.add(grey, dataclasses.replace(said, depth=depth))[-1:]
    assert {c.status for c in told[1:]} == {"weak"}
    assert np.mean([c.inlier_share for c in told[1:]]) > 0.8  # that would say: tracked
    assert all(0.3 < c.agreement < 0.7 for c in told[1:])
