"""Bundle adjustment of a sliding window of keyframes, with the model's depth as a prior.

A pure function from arrays to arrays, so that it runs in this process or another. The factor
graph is GTSAM's.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import gtsam
import numpy as np
from gtsam.symbol_shorthand import K, L, X
from numpy.typing import NDArray

from svggt.refine.camera import Camera

Array = NDArray[Any]
Indices = NDArray[Any]

PIXEL_SIGMA = 1.0  # of a tracked corner
_HUBER = 1.5
_HELD = 1e-4  # of a pose that fixes the gauge
_FIXED = 1e-6  # of what is no variable
_FREE = 1e3  # of what a factor does not speak of
_FAR = 0.9  # log focal length from its prior
_BENT = 0.15  # distortion


@dataclass(frozen=True)
class WindowProblem:
    """K keyframes, M landmarks and O observations.

    Attributes:
        world: that the keyframes stand in; see `RefinerState`.
        first_keyframe: index of the oldest keyframe in its stream.
        ids: (M,) the landmarks' ids in their stream.
        world_from_cam: (K, 3, 4) of the keyframes, oldest first.
        held: so many of the oldest are fixed.
        focal: in pixels of the tracking picture, whose pixels are square.
        focal_prior: what was known of it before: the camera head's, or what older windows found.
        focal_sigma: relative, of that prior; 0 holds focal length and distortion as they are.
        centre: (2,) principal point in pixels.
        radial: distortion found so far; see `Camera`.
        radial_sigma: standard deviation of its prior, which is 0.
        points: (M, 3) landmarks in the world.
        keyframe: (O,) keyframe of each observation.
        landmark: (O,) landmark of each observation.
        pixels: (O, 2) where it was seen.
        anchor: (M,) keyframe whose range to each landmark is known.
        distance: (M,) that range: by the model's depth, or by what has left the window.
        distance_sigma: (M,) relative, of that range.
    """

    world: int
    first_keyframe: int
    ids: Indices
    world_from_cam: Array
    held: int
    focal: float
    focal_prior: float
    focal_sigma: float
    centre: Array
    radial: float
    radial_sigma: float
    points: Array
    keyframe: Indices
    landmark: Indices
    pixels: Array
    anchor: Indices
    distance: Array
    distance_sigma: Array

    def run(self) -> WindowSolution:
        """See `solve`."""
        return solve(self)


@dataclass(frozen=True)
class WindowSolution:
    """The adjusted window.

    Attributes:
        problem: what was asked.
        world_from_cam: (K, 3, 4).
        focal: pixels.
        radial: distortion.
        points: (M, 3).
        errors: (O,) reprojection errors in pixels.
    """

    problem: WindowProblem
    world_from_cam: Array
    focal: float
    radial: float
    points: Array
    errors: Array


def solve(problem: WindowProblem, iterations: int = 8) -> WindowSolution:
    """Adjusts poses, landmarks and calibration (Levenberg-Marquardt, Huber noise).

    A focal length far from its prior is an artefact (of what moves, say): then the window is
    adjusted with the calibration held. Where one pose alone is held the pictures say nothing of
    scale: it stays as it was, and of the depth priors only the proportions count.

    Raises:
        RuntimeError: the graph is singular; the caller keeps what it had.
    """
    solution = _solve(problem, iterations)
    far = abs(np.log(solution.focal / problem.focal_prior)) > _FAR
    if problem.focal_sigma and (far or abs(solution.radial) > _BENT):
        solution = _solve(dataclasses.replace(problem, focal_sigma=0.0), iterations)
    return _in_scale(solution) if problem.held == 1 else solution


def _in_scale(solution: WindowSolution) -> WindowSolution:
    """Grown or shrunk about the held camera until the median range is what it was.

    The depth priors cannot hold it: they are robust, and a world a hundred times too small costs
    them little.
    """
    problem, poses = solution.problem, solution.world_from_cam
    now = _ranges(solution.points, poses, problem.anchor)
    scale = _median_ratio(_ranges(problem.points, problem.world_from_cam, problem.anchor), now)
    held, grown = poses[0, :, 3], poses.copy()
    grown[:, :, 3] = held + scale * (poses[:, :, 3] - held)
    points = held + scale * (solution.points - held)
    return dataclasses.replace(solution, world_from_cam=grown, points=points)


def _prior_distances(problem: WindowProblem) -> Array:
    """(M,) what the depth priors say; in the world's scale where that is free.

    Priors of another scale would draw the world along until an iteration leads through its
    cameras, and ends in a world behind them.
    """
    if problem.held > 1:
        return problem.distance
    now = _ranges(problem.points, problem.world_from_cam, problem.anchor)
    return problem.distance * _median_ratio(now, problem.distance)


def _ranges(points: Array, poses: Array, anchor: Indices) -> Array:
    """(M,) from each landmark to the camera that saw it first."""
    return np.linalg.norm(points - poses[anchor, :, 3], axis=1)


def _median_ratio(a: Array, b: Array) -> float:
    return float(np.exp(np.median(np.log((a + 1e-12) / (b + 1e-12)))))


def _solve(problem: WindowProblem, iterations: int) -> WindowSolution:
    graph, values = _graph(problem), _initial(problem)
    parameters = gtsam.LevenbergMarquardtParams()
    parameters.setMaxIterations(iterations)
    parameters.setRelativeErrorTol(1e-3)
    result = gtsam.LevenbergMarquardtOptimizer(graph, values, parameters).optimize()
    poses = np.stack(
        [result.atPose3(X(i)).matrix()[:3] for i in range(len(problem.world_from_cam))]
    )
    points = np.stack([result.atPoint3(L(i)) for i in range(len(problem.points))])
    calibration = result.atCal3Bundler(K(0))
    focal, radial = calibration.fx(), calibration.k1()
    if not (np.isfinite(poses).all() and np.isfinite(points).all() and focal > 0):
        raise RuntimeError("the window has no finite solution")
    camera = Camera(focal, problem.centre, radial)
    errors = _errors(problem, poses, camera, points)
    return WindowSolution(problem, poses, focal, radial, points, errors)


def _graph(problem: WindowProblem) -> gtsam.NonlinearFactorGraph:
    # A factor an observation: a landmark, seen by a keyframe through the one shared calibration.
    graph = gtsam.NonlinearFactorGraph()
    huber = gtsam.noiseModel.mEstimator.Huber.Create(_HUBER)
    pixel = gtsam.noiseModel.Robust.Create(huber, gtsam.noiseModel.Isotropic.Sigma(2, PIXEL_SIGMA))
    for keyframe, landmark, at in zip(
        problem.keyframe.tolist(), problem.landmark.tolist(), problem.pixels, strict=True
    ):
        graph.add(gtsam.GeneralSFMFactor2Cal3Bundler(at, pixel, X(keyframe), L(landmark), K(0)))
    # A factor a landmark: how far it is from the keyframe that saw it first, as the model says.
    robust = gtsam.noiseModel.mEstimator.Huber.Create(1.0)
    distances = _prior_distances(problem)
    sigmas = problem.distance_sigma * distances
    for landmark, (anchor, distance, sigma) in enumerate(
        zip(problem.anchor.tolist(), distances.tolist(), sigmas.tolist(), strict=True)
    ):
        noise = gtsam.noiseModel.Robust.Create(robust, gtsam.noiseModel.Isotropic.Sigma(1, sigma))
        graph.add(gtsam.RangeFactor3D(X(anchor), L(landmark), distance, noise))
    # Older keyframes hold the window in its place.
    held = gtsam.noiseModel.Isotropic.Sigma(6, _HELD)
    for index in range(problem.held):
        pose = gtsam.Pose3(_square(problem.world_from_cam[index]))
        graph.add(gtsam.PriorFactorPose3(X(index), pose, held))
    for prior in _calibration_priors(problem):
        graph.add(prior)
    return graph


def _calibration_priors(problem: WindowProblem) -> list[gtsam.PriorFactorCal3Bundler]:
    diagonal = gtsam.noiseModel.Diagonal.Sigmas
    if not problem.focal_sigma:
        mean = _calibration(problem, problem.focal, problem.radial)
        held = diagonal(np.array([_FIXED * problem.focal, _FIXED, _FIXED]))
        return [gtsam.PriorFactorCal3Bundler(K(0), mean, held)]
    # The camera head is nearly right, or wrong by a factor of two (narrow views): Cauchy's noise
    # has room for both. The distortion's prior is a factor of its own, which that must not loosen.
    mean = _calibration(problem, problem.focal_prior, 0.0)
    focal = diagonal(np.array([problem.focal_sigma * problem.focal_prior, _FREE, _FREE]))
    cauchy = gtsam.noiseModel.mEstimator.Cauchy.Create(1.0)
    rest = diagonal(np.array([_FREE * problem.focal_prior, problem.radial_sigma, _FIXED]))
    return [
        gtsam.PriorFactorCal3Bundler(K(0), mean, gtsam.noiseModel.Robust.Create(cauchy, focal)),
        gtsam.PriorFactorCal3Bundler(K(0), mean, rest),
    ]


def _initial(problem: WindowProblem) -> gtsam.Values:
    values = gtsam.Values()
    for index, pose in enumerate(problem.world_from_cam):
        values.insert(X(index), gtsam.Pose3(_square(pose)))
    for index, point in enumerate(problem.points):
        values.insert(L(index), point)
    values.insert(K(0), _calibration(problem, problem.focal, problem.radial))
    return values


def _calibration(problem: WindowProblem, focal: float, radial: float) -> gtsam.Cal3Bundler:
    return gtsam.Cal3Bundler(focal, radial, 0.0, *problem.centre)


def _errors(problem: WindowProblem, poses: Array, camera: Camera, points: Array) -> Array:
    errors = np.zeros(len(problem.pixels))
    for number, pose in enumerate(poses):
        mine = problem.keyframe == number
        seen, depth = camera.project(points[problem.landmark[mine]], pose)
        off = np.linalg.norm(seen - problem.pixels[mine], axis=1)
        errors[mine] = np.where(depth > 0, off, np.inf)
    return errors


def _square(pose: Array) -> Array:
    return np.concatenate([pose, [[0.0, 0.0, 0.0, 1.0]]])
