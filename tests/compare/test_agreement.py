"""Agreement of two runs: analytic cases, and evo's figures on the same trajectories."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from evo.core import metrics as evo_metrics
from evo.core.trajectory import PoseTrajectory3D

from svggt import geometry, metrics
from svggt.compare import figures
from svggt.compare.agreement import agree, similarity_of
from svggt.compare.result import ComparisonResult, RunResult, Weights, compare
from svggt.compare.run_config import RunConfig
from svggt.data.truth import Truth
from svggt.geometry import Similarity
from svggt.scene.posed_frame import PosedFrame
from svggt.settings import StreamSettings
from svggt.store.posed_frames import PosedFrames
from tests.scene.frames import prediction

COUNT = 9


def run(scale: float = 1.0, world: Similarity | None = None, noise: float = 0.0):
    """Frames on a curved path; another world and scale say the same of it."""
    rng, shots = np.random.default_rng(1), []
    for number in range(COUNT):
        made = prediction(number, turn=4.0 * number)
        pose = made.world_from_cam.copy()
        pose[:, 3] = [0.3 * number, 0.05 * number**2, 0.2 * np.sin(number)]
        pose[:, 3] += noise * rng.standard_normal(3)
        pose[:, 3] *= scale
        if world is not None:
            pose = world.pose(pose)
        shots.append(
            PosedFrame(
                replace(made, depth=scale * made.depth, cam_from_world=geometry.invert(pose)),
                None,
            )
        )
    return shots


def test_the_same_run_in_another_world_agrees() -> None:
    turn = geometry.rotation_from_quaternion(np.array([0.1, 0.3, -0.2, 0.9]))
    rigid = np.concatenate([turn, [[3.0], [1.0], [-2.0]]], axis=1)
    found = agree(run(2.5, Similarity(1.0, rigid)), run())
    assert found.frames == COUNT and found.delta1 == 1.0
    for name in ("absrel", "rotation_deg", "translation", "ate", "chamfer"):
        assert getattr(found, name) < 1e-5, name


def test_a_trajectorys_figures_are_evos() -> None:
    one, other = run(noise=0.1), run()
    found = agree(one, other)
    paths = [
        PoseTrajectory3D(
            poses_se3=[np.vstack([s.world_from_cam, [0, 0, 0, 1]]) for s in shots],
            timestamps=np.arange(float(COUNT)),
        )
        for shots in (one, other)
    ]
    length = paths[1].path_length
    paths[0].align(paths[1], correct_scale=True)
    ape = evo_metrics.APE(evo_metrics.PoseRelation.translation_part)
    ape.process_data((paths[1], paths[0]))
    expected = ape.get_all_statistics()
    assert found.ate == pytest.approx(expected["rmse"] / length, rel=1e-6)
    assert found.translation == pytest.approx(expected["mean"] / length, rel=1e-6)


def test_depth_off_by_a_factor_in_half_the_pixels() -> None:
    wrong = []
    for shot in run():
        depth = shot.prediction.depth.copy()
        depth[:, :32] *= 1.5
        wrong.append(PosedFrame(replace(shot.prediction, depth=depth), None))
    found = agree(wrong, run())
    share = 8 / 21  # of the columns compared: every fourth of 84
    assert found.delta1 == pytest.approx(1 - share)
    assert found.absrel == pytest.approx(0.5 * share)


def test_chamfer_of_a_shifted_grid_is_the_shift() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(5.0)] * 3), axis=-1).reshape(-1, 3)
    assert metrics.chamfer(grid, grid) == 0
    assert metrics.chamfer(grid + np.array([0.2, 0, 0]), grid) == pytest.approx(0.2)
    assert metrics.chamfer(grid[:50], grid) == metrics.chamfer(grid, grid[:50])


def test_points_of_the_same_pixels_are_brought_together_in_spite_of_outliers() -> None:
    rng = np.random.default_rng(0)
    points, turn = (
        rng.random((300, 3)),
        geometry.rotation_from_quaternion(np.array([0, 0.6, 0, 0.8])),
    )
    wanted = Similarity(1.7, np.concatenate([turn, [[1.0], [0], [2]]], axis=1))
    others = wanted.points(points)
    others[:60] += rng.random((60, 3))
    found = similarity_of(points, others)
    assert np.allclose(found.points(points)[60:], others[60:], atol=0.02)


def test_nothing_in_both_is_told() -> None:
    with pytest.raises(ValueError, match="no frame in both"):
        agree([], run())


def test_paths_of_one_run_in_three_worlds_are_one_path() -> None:
    """A's, B's and the truth's, each in a world and a scale of its own."""
    turn = geometry.rotation_from_quaternion(np.array([0.1, 0.3, -0.2, 0.9]))
    world = Similarity(1.0, np.concatenate([turn, [[3.0], [1.0], [-2.0]]], axis=1))
    a, b, other = run(), run(2.5, world), run(0.4, world)
    poses = np.array([shot.world_from_cam for shot in other])
    truth = Truth(poses, None, rate=1.0, depth=lambda number: None)
    found = compare(cast(PosedFrames, a), cast(PosedFrames, b), truth)
    assert list(found.paths) == ["A", "B", "truth"]
    for name, path in found.paths.items():
        assert np.allclose(path, [shot.world_from_cam[:, 3] for shot in a], atol=1e-4), name
    side = RunResult(
        RunConfig("offline", StreamSettings(), "head"), Weights("", "", ""), found.streamed
    )
    outcome = ComparisonResult(COUNT, side, side, found.agreement, found.paths)
    seen = figures.plan(outcome)["A"]
    lengths = np.linalg.norm(np.diff(seen, axis=0), axis=1).sum()
    true = np.linalg.norm(np.diff(found.paths["A"], axis=0), axis=1).sum()
    assert 0.9 * true < lengths <= true  # seen from where it spreads most
    assert "differ by 0.0% in depth and 0.0° in cameras" in figures.sentence(outcome)
