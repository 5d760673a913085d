"""Metrics of the published tables: analytic cases, and evo as the oracle of trajectories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evo.core import metrics as evo_metrics
from evo.tools import file_interface
from scipy.spatial.transform import Rotation

from svggt import geometry
from svggt.eval.depth_maps import DepthErrors, known_pixels, scale_between, seen_part
from svggt.eval.protocol import Protocol
from svggt.eval.reconstruction import cloud_errors, median_shift_and_scale
from svggt.eval.table import Table
from svggt.eval.trajectories import pose_auc, pose_errors


def trajectory(seed: int, frames: int = 40) -> np.ndarray:
    """World_from_cam of a camera that turns and walks at random."""
    rng = np.random.default_rng(seed)
    turns = Rotation.from_rotvec(np.cumsum(rng.normal(0, 0.05, (frames, 3)), axis=0)).as_matrix()
    places = np.cumsum(rng.normal(0, 0.1, (frames, 3)), axis=0)
    return np.concatenate([turns, places[:, :, None]], axis=2)


def shaken(poses: np.ndarray, seed: int, degrees: float = 2.0, metres: float = 0.05) -> np.ndarray:
    """The same with errors, in another world and scale."""
    rng = np.random.default_rng(seed)
    off = Rotation.from_rotvec(np.radians(degrees) * rng.normal(size=(len(poses), 3))).as_matrix()
    turned = np.concatenate(
        [poses[:, :, :3] @ off, poses[:, :, 3:] + metres * rng.normal(size=(len(poses), 3, 1))], 2
    )
    turn = geometry.rotation_from_quaternion(rng.normal(size=4))
    world = geometry.Similarity(0.3, np.concatenate([turn, [[1.0], [2.0], [3.0]]], axis=1))
    return np.stack([world.pose(pose) for pose in turned])


def write_tum(path: Path, poses: np.ndarray) -> None:
    quaternions = Rotation.from_matrix(poses[:, :, :3]).as_quat()
    rows = np.concatenate([np.arange(len(poses))[:, None], poses[:, :, 3], quaternions], axis=1)
    np.savetxt(path, rows, fmt="%.12f")


def write_kitti(path: Path, poses: np.ndarray) -> None:
    np.savetxt(path, poses.reshape(len(poses), 12), fmt="%.12f")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("form", ["tum", "kitti"])
def test_ate_and_rpe_are_evos(tmp_path: Path, form: str, seed: int) -> None:
    true = trajectory(seed)
    predicted = shaken(true, seed)
    write, read = {
        "tum": (write_tum, file_interface.read_tum_trajectory_file),
        "kitti": (write_kitti, file_interface.read_kitti_poses_file),
    }[form]
    for name, poses in (("true", true), ("predicted", predicted)):
        write(tmp_path / name, poses)
    theirs, reference = read(tmp_path / "predicted"), read(tmp_path / "true")
    theirs.align(reference, correct_scale=True)
    relations = evo_metrics.PoseRelation
    expected = {
        "ate": evo_metrics.APE(relations.translation_part),
        "rpe_translation": evo_metrics.RPE(relations.translation_part, 1, all_pairs=True),
        "rpe_rotation": evo_metrics.RPE(relations.rotation_angle_deg, 1, all_pairs=True),
    }
    ours = pose_errors(predicted, true)
    for name, metric in expected.items():
        metric.process_data((reference, theirs))
        rmse = metric.get_statistic(evo_metrics.StatisticsType.rmse)
        assert getattr(ours, name) == pytest.approx(rmse, rel=1e-6), name


def test_auc_is_the_mean_share_of_pairs_within_each_degree() -> None:
    true = trajectory(1, 12)
    predicted = shaken(true, 1, degrees=6.0, metres=0.02)
    errors = []
    for i in range(12):
        for j in range(i + 1, 12):
            ours, theirs = (np.linalg.inv(four(p[i])) @ four(p[j]) for p in (predicted, true))
            turned = Rotation.from_matrix(ours[:3, :3].T @ theirs[:3, :3]).magnitude()
            a, b = ours[:3, 3], theirs[:3, 3]
            cosine = abs(a @ b) / np.linalg.norm(a) / np.linalg.norm(b)
            errors.append(np.degrees(max(turned, np.arccos(min(1, cosine)))))
    expected = np.mean([(np.array(errors) < degrees).mean() for degrees in range(1, 31)])
    assert 0.1 < expected < 0.9
    assert pose_auc(predicted, true) == pytest.approx(expected)
    assert pose_auc(true, true) == 1


def four(pose: np.ndarray) -> np.ndarray:
    return np.concatenate([pose, [[0, 0, 0, 1]]])


def test_scales_of_depth() -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(1, 5, 10_001)
    predicted = true / 3 * np.exp(0.2 * rng.normal(size=true.shape))
    assert scale_between(predicted, true, "none") == 1
    median = scale_between(predicted, true, "median")
    assert np.median(median * predicted) == pytest.approx(np.median(true))
    least = scale_between(predicted, true, "least")
    error = [np.abs(s * predicted - true).sum() for s in (least, 0.999 * least, 1.001 * least)]
    assert error[0] < min(error[1:])


def test_depth_errors_of_a_known_error() -> None:
    true = np.array([1.0, 2.0, 4.0, 8.0])
    errors = DepthErrors.of(np.array([1.1, 2.2, 4.4, 16.0]), true, "none")
    assert errors.absrel == pytest.approx((0.1 * 3 + 1) / 4)
    assert errors.rmse == pytest.approx(np.sqrt((0.01 + 0.04 + 0.16 + 64) / 4))
    assert (errors.delta1, errors.pixels) == (0.75, 4)
    clipped = DepthErrors.of(np.array([1.1, 2.2, 4.4, 16.0]), true, "none", farthest=10.0)
    assert clipped.rmse == pytest.approx(np.sqrt((0.01 + 0.04 + 0.16 + 4) / 4))
    both = DepthErrors.mean([errors, DepthErrors(0.0, 0.0, 1.0, 12), DepthErrors.mean([])])
    assert (both.absrel, both.pixels) == (pytest.approx(errors.absrel / 4), 16)


def test_what_is_far_or_unknown_does_not_count() -> None:
    true = np.array([[0.0, 1.0], [2.0, 80.0]])
    predicted, known = known_pixels(np.full((2, 2), 3.0, np.float32), true, 70.0)
    assert known.tolist() == [1, 2] and predicted.tolist() == [3, 3]


def test_of_a_tall_picture_the_centre_is_seen() -> None:
    rows = np.arange(100)[:, None].repeat(60, 1)
    assert seen_part(rows, (84, 84))[[0, -1], 0].tolist() == [20, 79]
    assert seen_part(rows.T, (56, 84)) is not None and seen_part(rows.T, (56, 84)).shape == (
        60,
        100,
    )


def test_shift_and_scale_are_those_of_medians() -> None:
    rng = np.random.default_rng(1)
    true = rng.normal([0, 0, 4], 1.0, (500, 3))
    for predicted in (true * 5, np.add(true, [0, 0, 2]), 3 * np.add(true, [0, 0, -1])):
        moved = median_shift_and_scale(predicted, true).points(predicted)
        assert np.allclose(moved, true)  # scale about the eye, shift along the view
    sideways = np.add(true, [1, 0, 0])
    assert not np.allclose(median_shift_and_scale(sideways, true).points(sideways), true, atol=0.1)


def plane(step: float = 0.02, z: float = 2.0, holes: bool = False) -> np.ndarray:
    x, y = np.meshgrid(np.arange(-1, 1, step), np.arange(-1, 1, step))
    points = np.stack([x, y, np.full_like(x, z)], axis=-1).reshape(-1, 3)
    return points[(points[:, 0] < 0)] if holes else points


def test_clouds_of_a_known_distance() -> None:
    errors = cloud_errors(plane(z=2.05), plane(), icp=0.0)
    assert errors.accuracy == pytest.approx(0.05) and errors.completeness == pytest.approx(0.05)
    assert errors.normals == pytest.approx(1) and errors.points == len(plane())
    near = cloud_errors(plane(z=2.05), plane(), icp=0.1)
    assert near.accuracy < 1e-6  # ICP brings it there
    far = cloud_errors(plane(z=2.2), plane(), icp=0.1)
    assert far.accuracy == pytest.approx(0.2)  # and does not where nothing is near
    half = cloud_errors(plane(holes=True), plane(), icp=0.0)
    assert half.accuracy < 1e-9 and half.completeness > 0.2  # each cloud against all of the other


def test_frames_of_a_protocol() -> None:
    assert Protocol(every=200).numbers(500) == [0, 200, 400]
    assert Protocol(first=30, frames=3).numbers(500) == [30, 31, 32]
    assert Protocol(every=3, frames=2).numbers(500) == [0, 3]
    assert Protocol(first=30).numbers(10) == []
    # Neural RGB-D's shortest scene still has three keyframes.
    assert Protocol(every=500, halved=True).numbers(395) == [0, 197, 394]
    assert Protocol(every=500, halved=True).numbers(1400) == [0, 500, 1000]
    assert Protocol(crop=224).changed(crop=None, every=5) == Protocol(crop=224, every=5)


def test_a_table_is_read_by_latex_and_people() -> None:
    table = Table(
        "depth", "Sin_tel", "way & means", "all", (), {"absrel": 0.12345, "rmse": float("nan")},
        {"100 %": {"absrel": 0.2}}, {"a_b": {"absrel": 0.1, "rmse": 1, "delta1": 0.5}},
    )  # fmt: skip
    text = table.latex()
    assert r"a\_b & 0.100 & 1.000 & 0.500 \\" in text and r"100 \%" in text and "$<$" in text
    assert "| **mean of 1** | 0.123 |  |  |" in table.markdown()
