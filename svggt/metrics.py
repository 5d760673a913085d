"""Errors of depth maps and trajectories. Protocols: each docstring."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from svggt import geometry

Array = NDArray[np.floating]


def absrel(predicted: Array, true: Array) -> float:
    """Mean |s p - t| / t over valid pixels, with one scale s, the median of t / p.

    Args:
        predicted: any shape, positive.
        true: the same shape; 0 where unknown.
    """
    valid = true > 0
    predicted, true = predicted[valid], true[valid]
    scale = np.median(true / predicted)
    return float(np.mean(np.abs(scale * predicted - true) / true))


def delta1(predicted: Array, true: Array) -> float:
    """Share of valid pixels within a factor of 1.25, with the scale of `absrel`."""
    valid = true > 0
    predicted, true = predicted[valid], true[valid]
    ratio = np.median(true / predicted) * predicted / true
    return float(np.mean(np.maximum(ratio, 1 / ratio) < 1.25))


def chamfer(one: Array, other: Array) -> float:
    """Symmetric chamfer distance: mean of both clouds' mean distance to the other's nearest point.

    Args:
        one: (N, 3).
        other: (M, 3), in the same coordinates.
    """
    return sum(nearest_distances(one, other)) / 2


def nearest_distances(one: Array, other: Array) -> tuple[float, float]:
    """Mean distance of each cloud's points to the other's nearest: accuracy and completeness.

    Args:
        one: (N, 3).
        other: (M, 3), in the same coordinates.
    """
    there, back = distances_between(one, other)
    return float(there.mean()), float(back.mean())


def distances_between(one: Array, other: Array) -> tuple[Array, Array]:
    """Distances (N,) and (M,) of the points of either cloud to the other's nearest.

    Args:
        one: (N, 3).
        other: (M, 3), in the same coordinates.
    """
    return nearest(one, other)[0], nearest(other, one)[0]


def nearest(points: Array, cloud: Array) -> tuple[Array, NDArray[np.intp]]:
    """Distance (N,) of each point (N, 3) to the nearest of a cloud (M, 3), and its number there."""
    distances, numbers = KDTree(cloud).query(points, workers=-1)
    return np.asarray(distances), np.asarray(numbers)


def rotation_errors(predicted: Array, true: Array) -> Array:
    """Angles in degrees between (N, 3, 4) world_from_cam, each relative to its first frame."""
    return geometry.rotation_angle(
        np.swapaxes(_relative(predicted)[:, :, :3], 1, 2) @ _relative(true)[:, :, :3]
    )


def trajectory_error(predicted: Array, true: Array) -> float:
    """ATE: RMS distance of camera positions (N, 3) after the best Sim(3), in true units."""
    aligned = geometry.Similarity(*geometry.align_sim3(predicted, true)).points(predicted)
    return float(np.sqrt(np.mean(np.sum((aligned - true) ** 2, axis=1))))


def quotients(windows: list[tuple[Array, Array]]) -> tuple[float, float]:
    """Rotation and trajectory error, divided by those of a camera that never moved.

    Sum of errors over sum of the motionless camera's; 1 says that nothing was learned of the
    motion. A motionless camera's rotation error is the motion itself, its ATE the RMS distance
    of the true positions from their mean. NaN where nothing turns, or nothing moves.

    Args:
        windows: (predicted, true) world_from_cam of consecutive frames, (N, 3, 4) each.
    """
    still = [np.broadcast_to(true[:1], true.shape) for _, true in windows]
    rotation = sum(float(rotation_errors(p, t).mean()) for p, t in windows)
    turned = sum(
        float(rotation_errors(s, t).mean()) for s, (_, t) in zip(still, windows, strict=True)
    )
    ate = sum(trajectory_error(p[:, :, 3], t[:, :, 3]) for p, t in windows)
    moved = sum(
        trajectory_error(s[:, :, 3], t[:, :, 3]) for s, (_, t) in zip(still, windows, strict=True)
    )
    return rotation / turned if turned else np.nan, ate / moved if moved else np.nan


def wrong_motion(predicted: Array, true: Array, depth: Array, span: int = 30) -> Array:
    """Which frames' motion over the last `span` frames is wrong.

    By more than 10 degrees, or by more than a tenth of its length, at least 5 % of the scene's
    median depth; lengths in the scale of the best Sim(3) of the whole trajectory.

    Args:
        predicted: (N, 3, 4) world_from_cam.
        true: the same of the truth.
        depth: (N,) median depth that is seen, in true units.
        span: frames.

    Returns:
        (N,) bool; the first frame is right.
    """
    scale, _ = geometry.align_sim3(predicted[:, :, 3], true[:, :, 3])
    since = np.maximum(np.arange(len(true)) - span, 0)
    mine, theirs = (
        geometry.compose(geometry.invert(poses[since]), poses) for poses in (predicted, true)
    )
    turned = geometry.rotation_angle(np.swapaxes(mine[:, :, :3], 1, 2) @ theirs[:, :, :3])
    off = np.linalg.norm(scale * mine[:, :, 3] - theirs[:, :, 3], axis=1)
    allowed = np.maximum(0.1 * np.linalg.norm(theirs[:, :, 3], axis=1), 0.05 * depth)
    return (turned > 10) | (off > allowed)


def gap(predicted: Array, same: tuple[int, int], true: Array | None = None) -> float:
    """How far one frame is from where it should be beside another, by the length of the path.

    Args:
        predicted: (N, 3, 4) world_from_cam.
        same: numbers of two frames; without a truth they were taken at the same place.
        true: (N, 3, 4), the truth.
    """
    path = np.linalg.norm(np.diff(predicted[:, :, 3], axis=0), axis=1).sum()
    a, b = same
    away = predicted[b, :, 3] - predicted[a, :, 3]
    if true is not None:
        # In the first one's axes and the truth's share of its own path.
        own = predicted[a, :, :3].T @ away / path
        length = np.linalg.norm(np.diff(true[:, :, 3], axis=0), axis=1).sum()
        theirs = true[a, :, :3].T @ (true[b, :, 3] - true[a, :, 3]) / length
        return float(np.linalg.norm(own - theirs))
    return float(np.linalg.norm(away) / path)


def window_starts(num_frames: int, size: int) -> range:
    """First frames of about seven windows of `size`, spread over a clip."""
    return range(0, num_frames - size + 1, max(1, (num_frames - size) // 6 + 1))


def resample(depth: Array, shape: tuple[int, ...]) -> Array:
    """The nearest predicted pixel of every true one; both cover the same picture."""
    rows = (np.arange(shape[0]) * depth.shape[0]) // shape[0]
    columns = (np.arange(shape[1]) * depth.shape[1]) // shape[1]
    return depth[rows[:, None], columns]


def _relative(world_from_cam: Array) -> Array:
    """Poses in the first camera's frame."""
    return geometry.compose(geometry.invert(world_from_cam[:1]), world_from_cam)
