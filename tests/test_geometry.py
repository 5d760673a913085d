"""Cameras, checked against analytic cases and scipy-free algebra."""

from __future__ import annotations

import numpy as np
import pytest

from svggt import geometry

RNG = np.random.default_rng(0)


def random_rotation() -> np.ndarray:
    return geometry.rotation_from_quaternion(RNG.normal(size=4))


def test_quaternions_of_any_length_are_rotations() -> None:
    quaternions = RNG.normal(size=(50, 4)) * RNG.uniform(0.1, 9, size=(50, 1))
    rotations = geometry.rotation_from_quaternion(quaternions)
    assert np.allclose(rotations @ np.swapaxes(rotations, 1, 2), np.eye(3))
    assert np.allclose(np.linalg.det(rotations), 1)


def test_a_quarter_turn_about_z() -> None:
    half = np.sqrt(0.5)
    turned = geometry.rotation_from_quaternion(np.array([0, 0, half, half])) @ [1, 0, 0]
    assert np.allclose(turned, [0, 1, 0])


def test_fields_of_view_become_focal_lengths() -> None:
    pose = np.array([0, 0, 0, 0, 0, 0, 1, np.pi / 2, np.pi / 3])
    _, intrinsics = geometry.decode_pose(pose, (100, 200))
    assert np.isclose(intrinsics[1, 1], 50)  # vertical first
    assert np.isclose(intrinsics[0, 0], 100 / np.tan(np.pi / 6))
    assert np.allclose(intrinsics[:2, 2], [100, 50])


def test_unprojecting_and_projecting_returns_the_pixel() -> None:
    intrinsics = np.array([[80.0, 0, 31], [0, 90, 22], [0, 0, 1]])
    depth = RNG.uniform(1, 5, size=(40, 60))
    points = geometry.unproject(depth, intrinsics)
    pixels = points @ intrinsics.T
    u, v = np.meshgrid(np.arange(60), np.arange(40))
    assert np.allclose(pixels[..., :2] / pixels[..., 2:], np.stack([u, v], -1))


def test_inverse_and_composition() -> None:
    transform = np.concatenate([random_rotation(), RNG.normal(size=(3, 1))], axis=1)
    identity = geometry.compose(transform, geometry.invert(transform))
    assert np.allclose(identity, np.eye(3, 4))


@pytest.mark.parametrize("degrees", [1e-4, 0.3, 45, 179.9])
def test_rotation_angle(degrees: float) -> None:
    half = np.radians(degrees) / 2
    quaternion = np.array([np.sin(half), 0, 0, np.cos(half)])
    angle = geometry.rotation_angle(geometry.rotation_from_quaternion(quaternion))
    assert np.isclose(angle, degrees, rtol=1e-6)


def test_sim3_is_recovered() -> None:
    source, rotation = RNG.normal(size=(20, 3)), random_rotation()
    target = 2.5 * source @ rotation.T + [1, -2, 3]
    scale, rigid = geometry.align_sim3(source, target)
    assert np.isclose(scale, 2.5)
    assert np.allclose(rigid, np.concatenate([rotation, [[1], [-2], [3]]], axis=1))


def test_a_collapsed_trajectory_aligns_to_the_mean() -> None:
    target = RNG.normal(size=(9, 3))
    scale, rigid = geometry.align_sim3(np.ones((9, 3)), target)
    assert scale == 0
    assert np.allclose(rigid[:, 3], target.mean(axis=0))
