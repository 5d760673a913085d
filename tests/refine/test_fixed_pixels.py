"""What stands still in the picture while the camera moves is told from the scene."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from svggt.geometry import compose, invert, rotation_angle, rotation_from_quaternion
from svggt.refine.camera import Camera
from svggt.refine.field import still
from svggt.refine.fixed_pixels import FixedPixels
from svggt.refine.refiner import Refiner
from svggt.refine.solver import SolverProcess, WaitingSolver
from tests.refine.scenes import FOCAL, HEIGHT, WIDTH, Rendered, look, render

CAMERA = Camera(FOCAL, np.array([WIDTH / 2, HEIGHT / 2]))


def tilted(n: int) -> NDArray[np.floating]:
    """World_from_cam of a camera that looks down more and more."""
    half = np.radians(2.5 * n) / 2
    rotation = rotation_from_quaternion(np.array([np.sin(half), 0, 0, np.cos(half)]))
    return np.concatenate([rotation, [[0.02 * n], [0.02 * n], [0.0]]], axis=1)


PATH = [look(2.0 * n, (0.1 * n, 0.02 * n, 0.02 * n)) for n in range(6)]
HAND = np.zeros((HEIGHT, WIDTH), bool)
HAND[180:, 120:300] = True
BARS = np.zeros((HEIGHT, WIDTH), bool)
BARS[:40] = BARS[-40:] = True


def covered(clip: Rendered, where: NDArray[np.bool_], like: NDArray[np.uint8]) -> Rendered:
    """The same picture before a part of each; what the model says of its depth is something."""
    greys = [np.where(where, like, grey) for grey in clip.greys]
    depths = [np.where(where, 1.5, said.depth).astype(np.float32) for said in clip.predictions]
    said = [replace(p, depth=d) for p, d in zip(clip.predictions, depths, strict=True)]
    return Rendered(greys, said, clip.world_from_cam)


def noisy(clip: Rendered) -> Rendered:
    """As a camera sees it."""
    rng = np.random.default_rng(0)
    greys = [(g + rng.normal(0, 2, g.shape)).clip(0, 255).astype(np.uint8) for g in clip.greys]
    return Rendered(greys, clip.predictions, clip.world_from_cam)


def found(clip: Rendered) -> NDArray[np.bool_]:
    """The mask after all pictures of a clip, each a keyframe whose camera is known."""
    fixed = FixedPixels()
    for a, b in itertools.pairwise(range(len(clip.greys))):
        motion = compose(invert(clip.world_from_cam[a]), clip.world_from_cam[b])
        depth = clip.predictions[b].depth
        fixed = fixed.advance(clip.greys[a], clip.greys[b], depth, CAMERA, motion)
    return np.broadcast_to(fixed.mask, (HEIGHT, WIDTH))


def test_a_camera_that_turns_right_sees_what_was_on_the_right() -> None:
    """Only where that differs a pixel that stayed says anything."""
    was = np.full((HEIGHT, WIDTH), 100, np.uint8)
    was[:, 300:340] = 200
    now, depth = np.full_like(was, 100), np.full(was.shape, 3.0)
    motion = compose(invert(look(0.0, (0, 0, 0))), look(5.0, (0, 0, 0)))  # some 35 pixels
    fixed = FixedPixels().advance(was, now, depth, CAMERA, motion)
    proven = fixed.proven[50:-50].any(axis=0)
    assert proven[270:295].all() and not proven[305:].any() and not proven[:255].any()


@pytest.mark.parametrize(
    ("path", "where", "like"),
    [
        (PATH, HAND, render([look(77.0, (0, 0, 0))]).greys[0]),
        ([tilted(n) for n in (0, 1, 2, 3, 4, 3, 2, 1, 0)], BARS, np.zeros_like(HAND, np.uint8)),
    ],
    ids=["a hand", "bars"],
)
def test_it_is_found_and_nothing_else_is(path, where, like) -> None:
    mask = found(noisy(covered(render(path), where, like)))
    assert mask[where].mean() > 0.9
    beside = np.pad(where, 12, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(beside, (25, 25)).any(axis=(2, 3))
    assert mask[~around].mean() < 0.01


@pytest.mark.parametrize(
    "path",
    [
        PATH,
        [look(0, (0, 0, 0))] * 6,
        [look(0, (0, 0, 0.3 * n)) for n in range(6)],  # ahead: what is far hardly moves
    ],
    ids=["a walk", "a camera that stands", "straight on"],
)
def test_a_scene_is_not_fixed(path) -> None:
    assert not found(noisy(render(path))).any()


def test_a_plain_wall_with_an_edge_along_the_way_is_not_fixed() -> None:
    clip = render([look(2.0 * n, (0.1 * n, 0, 0)) for n in range(6)])
    plain = np.full((HEIGHT, WIDTH), 180, np.uint8)
    plain[150:] = 90  # as a skirting that the camera pans along
    assert not found(noisy(replace(clip, greys=[plain] * 6))).any()


def test_what_is_uncovered_counts_again() -> None:
    with_hand = covered(render(PATH), HAND, render([look(77.0, (0, 0, 0))]).greys[0])
    away = render([look(2.0 * n, (0.1 * n, 0, 0)) for n in range(6, 8)])
    clip = Rendered(
        with_hand.greys + away.greys,
        with_hand.predictions + away.predictions,
        np.concatenate([with_hand.world_from_cam, away.world_from_cam]),
    )
    assert not found(clip).any()


def test_a_camera_with_a_hand_before_it_is_followed_by_what_moves() -> None:
    poses = [look(1.5 * n, (0.05 * n, 0, 0.01 * n)) for n in range(40)]
    clip = noisy(covered(render(poses), HAND, render([look(77.0, (0, 0, 0))]).greys[0]))
    with SolverProcess() as process:
        refiner = Refiner(WaitingSolver(process))
        told = [
            refiner.add(grey, said)[-1]
            for grey, said in zip(clip.greys, clip.predictions, strict=True)
        ]
    turn = told[-1].world_from_cam[:, :3].T @ clip.world_from_cam[-1][:, :3]
    assert rotation_angle(turn) < 1
    x, y = np.round(refiner.state.tracks.pixels).astype(int).T
    assert not HAND[y, x].any()
    drawn = still(told[-1].moving, HAND.shape)
    assert drawn[HAND].mean() < 0.15 and drawn[~HAND].mean() > 0.9
