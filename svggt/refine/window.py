"""Bundle adjustment of a sliding window of keyframes, with the model's depth as a prior.

A pure function from arrays to arrays, so that it runs in this process or another. The factor
graph is GTSAM's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gtsam
import numpy as np
from gtsam.symbol_shorthand import K, L, X
from numpy.typing import NDArray

Array = NDArray[Any]
Indices = NDArray[Any]

PIXEL_SIGMA = 1.0  # of a tracked corner
_HUBER = 1.5
_HELD = 1e-4  # of a pose that fixes the gauge


@dataclass(frozen=True)
class WindowProblem:
    """K keyframes, M landmarks and O observations.

    Attributes:
        first_keyframe: index of the oldest keyframe in its stream.
        ids: (M,) the landmarks' ids in their stream.
        world_from_cam: (K, 3, 4) of the keyframes, oldest first; the oldest is held.
        hold_second: hold the second oldest too: its baseline carries the scale.
        focal: in pixels of the tracking picture, whose pixels are square.
        focal_prior: what the camera head says of it, in the same pixels.
        focal_sigma: relative, of that prior.
        centre: (2,) principal point in pixels.
        points: (M, 3) landmarks in the world.
        keyframe: (O,) keyframe of each observation.
        landmark: (O,) landmark of each observation.
        pixels: (O, 2) where it was seen.
        anchor: (M,) keyframe that saw a landmark first, -1 if it has left the window.
        distance: (M,) range from the anchor that the model's depth says.
        distance_sigma: relative, of that range.
    """

    first_keyframe: int
    ids: Indices
    world_from_cam: Array
    hold_second: bool
    focal: float
    focal_prior: float
    focal_sigma: float
    centre: Array
    points: Array
    keyframe: Indices
    landmark: Indices
    pixels: Array
    anchor: Indices
    distance: Array
    distance_sigma: float


@dataclass(frozen=True)
class WindowSolution:
    """The adjusted window.

    Attributes:
        problem: what was asked.
        world_from_cam: (K, 3, 4).
        focal: pixels.
        points: (M, 3).
        errors: (O,) reprojection errors in pixels.
    """

    problem: WindowProblem
    world_from_cam: Array
    focal: float
    points: Array
    errors: Array


def solve(problem: WindowProblem, iterations: int = 6) -> WindowSolution:
    """Adjusts poses, landmarks and focal length (Levenberg-Marquardt, Huber noise).

    Raises:
        RuntimeError: the graph is singular; the caller keeps what it had.
    """
    graph, values = _graph(problem), _initial(problem)
    parameters = gtsam.LevenbergMarquardtParams()
    parameters.setMaxIterations(iterations)
    parameters.setRelativeErrorTol(1e-4)
    result = gtsam.LevenbergMarquardtOptimizer(graph, values, parameters).optimize()
    poses = np.stack(
        [result.atPose3(X(i)).matrix()[:3] for i in range(len(problem.world_from_cam))]
    )
    points = np.stack([result.atPoint3(L(i)) for i in range(len(problem.points))])
    focal = result.atCal3_S2(K(0)).fx()
    if not (np.isfinite(poses).all() and np.isfinite(points).all() and focal > 0):
        raise RuntimeError("the window has no finite solution")
    errors = _errors(problem, poses, focal, points)
    return WindowSolution(problem, poses, focal, points, errors)


def _graph(problem: WindowProblem) -> gtsam.NonlinearFactorGraph:
    graph = gtsam.NonlinearFactorGraph()
    huber = gtsam.noiseModel.mEstimator.Huber.Create(_HUBER)
    pixel = gtsam.noiseModel.Robust.Create(huber, gtsam.noiseModel.Isotropic.Sigma(2, PIXEL_SIGMA))
    for keyframe, landmark, at in zip(
        problem.keyframe.tolist(), problem.landmark.tolist(), problem.pixels, strict=True
    ):
        graph.add(gtsam.GeneralSFMFactor2Cal3_S2(at, pixel, X(keyframe), L(landmark), K(0)))
    robust = gtsam.noiseModel.mEstimator.Huber.Create(1.0)
    for landmark, (anchor, distance) in enumerate(
        zip(problem.anchor.tolist(), problem.distance.tolist(), strict=True)
    ):
        if anchor >= 0:
            sigma = gtsam.noiseModel.Isotropic.Sigma(1, problem.distance_sigma * distance)
            noise = gtsam.noiseModel.Robust.Create(robust, sigma)
            graph.add(gtsam.RangeFactor3D(X(anchor), L(landmark), distance, noise))
    held = gtsam.noiseModel.Isotropic.Sigma(6, _HELD)
    for index in range(2 if problem.hold_second else 1):
        pose = gtsam.Pose3(_square(problem.world_from_cam[index]))
        graph.add(gtsam.PriorFactorPose3(X(index), pose, held))
    prior = _calibration(problem.focal_prior, problem)
    graph.add(gtsam.PriorFactorCal3_S2(K(0), prior, _focal_noise(problem)))
    return graph


def _initial(problem: WindowProblem) -> gtsam.Values:
    values = gtsam.Values()
    for index, pose in enumerate(problem.world_from_cam):
        values.insert(X(index), gtsam.Pose3(_square(pose)))
    for index, point in enumerate(problem.points):
        values.insert(L(index), point)
    values.insert(K(0), _calibration(problem.focal, problem))
    return values


def _calibration(focal: float, problem: WindowProblem) -> gtsam.Cal3_S2:
    return gtsam.Cal3_S2(focal, focal, 0.0, *problem.centre)


def _focal_noise(problem: WindowProblem) -> gtsam.noiseModel.Base:
    """One number is free: fx and fy move together, all else is held."""
    together = np.zeros((5, 5))
    together[:2, :2] = (max(problem.focal_sigma, 1e-6) * problem.focal) ** 2
    return gtsam.noiseModel.Gaussian.Covariance(together + 1e-6 * np.eye(5))


def _errors(problem: WindowProblem, world_from_cam: Array, focal: float, points: Array) -> Array:
    poses = world_from_cam[problem.keyframe]
    seen = points[problem.landmark] - poses[:, :, 3]
    camera = np.einsum("oji,oj->oi", poses[:, :, :3], seen)
    pixels = focal * camera[:, :2] / np.maximum(camera[:, 2:], 1e-6) + problem.centre
    return np.where(camera[:, 2] > 0, np.linalg.norm(pixels - problem.pixels, axis=1), np.inf)


def _square(pose: Array) -> Array:
    return np.concatenate([pose, [[0.0, 0.0, 0.0, 1.0]]])
