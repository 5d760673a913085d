"""A camera's pose from known points and where they are seen (OpenCV)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from svggt.geometry import compose, invert

Array = NDArray[Any]

MIN_INLIERS = 12
AGREES = 3.0
"""Standard deviations within which a point agrees."""

_WIDEST = 1.5  # tangent; distortion is not followed further out
_RANSAC_PIXELS = 4.0  # depth errors included
_KNOWN = 0.1  # spread of a depth that PnP may trust
_ENOUGH_KNOWN = 50
_TURNS = 100
_CLEAR = 0.8  # share of agreeing points that leaves no doubt
_STILL = 1e-5  # radians, or of the world's scale
_NEAR = 0.05  # of the median depth: nearer points say nothing
_TURN_AGREES = np.radians(3.0)  # a shift looks like a small turn
_PIXEL_SIGMA = 1.0
_DOUBT = 3.0  # standard deviations at which a point counts a quarter (Geman-McClure)


@dataclass(frozen=True)
class Camera:
    """The tracking picture's camera: square pixels, one radial distortion.

    A ray (x, y, 1) is seen at focal (1 + radial (x^2 + y^2)) (x, y) + centre.

    Attributes:
        focal: pixels.
        centre: (2,) principal point, pixels.
        radial: distortion; below 0 as a barrel.
    """

    focal: float
    centre: Array
    radial: float = 0.0

    @property
    def matrix(self) -> Array:
        """(3, 3) intrinsics."""
        f, (u, v) = self.focal, self.centre
        return np.array([[f, 0, u], [0, f, v], [0, 0, 1.0]])

    @property
    def distortion(self) -> Array:
        """(4,) as OpenCV has it."""
        return np.array([self.radial, 0, 0, 0])

    def project(self, points: Array, world_from_cam: Array) -> tuple[Array, Array]:
        """Pixels (N, 2) and depths (N,) of world points (N, 3); behind the camera: depth <= 0."""
        cam_from_world = invert(world_from_cam)
        seen = points @ cam_from_world[:, :3].T + cam_from_world[:, 3]
        depth = seen[:, 2]
        rays = seen[:, :2] / np.where(depth > 1e-6, depth, 1.0)[:, None]
        square = np.minimum((rays**2).sum(1, keepdims=True), _WIDEST**2)
        return self.focal * (1 + self.radial * square) * rays + self.centre, depth

    def rays(self, pixels: Array) -> Array:
        """(N, 2) x and y of the rays (x, y, 1) that pixels (N, 2) see."""
        seen = (pixels - self.centre) / self.focal
        rays = seen
        for _ in range(3):  # a fixed point; distortions of cameras are small
            rays = seen / (1 + self.radial * (rays**2).sum(1, keepdims=True))
        return rays

    def lift(self, pixels: Array, depth: Array, world_from_cam: Array) -> Array:
        """World points (N, 3) of pixels (N, 2) at z-depths (N,)."""
        rays = np.concatenate([self.rays(pixels), np.ones((len(pixels), 1))], axis=1)
        return (rays * depth[:, None]) @ world_from_cam[:, :3].T + world_from_cam[:, 3]


@dataclass(frozen=True)
class Uncertain:
    """Points (N, 3) of the world that are known better across than along the ray they were seen by.

    Attributes:
        positions: (N, 3).
        origins: (N, 3) where they were first seen from.
        spreads: (N,) standard deviation of the log of their distance from there.
    """

    positions: Array
    origins: Array
    spreads: Array

    def errors(self, pixels: Array, camera: Camera, world_from_cam: Array) -> tuple[Array, Array]:
        """How far sightings are from what is expected, in standard deviations.

        Args:
            pixels: (N, 2) where they are seen.
            camera: that sees them.
            world_from_cam: (3, 4) its pose.

        Returns:
            (N, 2) errors, and (N, 2, 2) what turned pixels into them: a pixel's noise, and along
            the epipolar line the depth's.
        """
        seen, depth = camera.project(self.positions, world_from_cam)
        rays = (self.positions - self.origins) @ world_from_cam[:, :3]  # in the camera's axes
        ahead = np.where(depth > 1e-6, depth, 1e-6)[:, None]
        # What a raised log distance adds to the projection.
        gain = (camera.focal * rays[:, :2] - (seen - camera.centre) * rays[:, 2:]) / ahead
        along = self.spreads**2 * (gain**2).sum(axis=1) / _PIXEL_SIGMA**2  # of variance
        unit = gain / (np.linalg.norm(gain, axis=1, keepdims=True) + 1e-12)
        shrink = (1 - 1 / np.sqrt(1 + along))[:, None, None]
        whiten = (np.eye(2) - shrink * unit[:, :, None] * unit[:, None, :]) / _PIXEL_SIGMA
        return (whiten @ (pixels - seen)[..., None])[..., 0], whiten


@dataclass(frozen=True)
class Expected:
    """Where a camera should be before anything is seen.

    Attributes:
        world_from_cam: (3, 4).
        reach: standard deviation of its place in each direction, in the world's scale. Where
            depths are uncertain a turn and a shift look alike; this tells them apart.
    """

    world_from_cam: Array
    reach: float


def locate(
    points: Uncertain, pixels: Array, camera: Camera, expected: Expected, seed: int
) -> tuple[Array, Array]:
    """The pose that most points agree with.

    PnP, which trusts the points' depths, is polished; where that leaves doubts so is a turn on
    the spot, which does not ask for depths, and the better end is taken.

    Args:
        points: N of the world, at least 4.
        pixels: (N, 2) where they are seen.
        camera: that sees them.
        expected: where it should be.
        seed: of RANSAC.

    Returns:
        World_from_cam (3, 4), and (N,) by how many standard deviations each point disagrees;
        infinite behind the camera.
    """
    pixels = pixels.astype(np.float64)
    ends = []
    known = points.spreads < _KNOWN
    asked = known if known.sum() >= _ENOUGH_KNOWN else np.ones(len(known), bool)
    by_pnp = _pnp(points.positions[asked], pixels[asked], camera, expected, seed)
    if by_pnp is not None:
        end = polish(points, pixels, camera, expected, by_pnp)
        if known.sum() >= _ENOUGH_KNOWN and (end[1] < AGREES).mean() > _CLEAR:
            return end
        ends.append(end)
    turned = turn_on_the_spot(points, pixels, camera, expected, seed)
    ends.append(polish(points, pixels, camera, expected, turned))
    return min(ends, key=lambda end: _cost(end[0], end[1], expected))


def _cost(world_from_cam: Array, lengths: Array, expected: Expected) -> float:
    """Of a pose: how much points disagree, and how far from the expected place it is."""
    away = np.linalg.norm(world_from_cam[:, 3] - expected.world_from_cam[:, 3]) / expected.reach
    return float((np.minimum(lengths, AGREES) ** 2).sum() + away**2)


def _pnp(points: Array, pixels: Array, camera: Camera, expected: Expected, seed: int):
    start = invert(expected.world_from_cam)
    rotation, translation = cv2.Rodrigues(start[:, :3])[0], start[:, 3:].copy()
    cv2.setRNGSeed(seed)
    found, rotation, translation, _ = cv2.solvePnPRansac(
        points, pixels, camera.matrix, camera.distortion, rotation, translation,
        useExtrinsicGuess=True, iterationsCount=100, reprojectionError=_RANSAC_PIXELS,
        confidence=0.999, flags=cv2.SOLVEPNP_ITERATIVE,
    )  # fmt: skip
    pose = invert(np.concatenate([cv2.Rodrigues(rotation)[0], translation], axis=1))
    return pose if found and np.isfinite(pose).all() else None


def turn_on_the_spot(
    points: Uncertain, pixels: Array, camera: Camera, expected: Expected, seed: int
) -> Array:
    """World_from_cam at the expected place, turned so that most directions agree (RANSAC)."""
    place = expected.world_from_cam[:, 3]
    rays = np.concatenate([camera.rays(pixels), np.ones((len(pixels), 1))], axis=1)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    ways = points.positions - place
    ways /= np.linalg.norm(ways, axis=1, keepdims=True) + 1e-12
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, len(rays), (_TURNS, 2))
    turns = _frames(ways[pairs]) @ _frames(rays[pairs]).transpose(0, 2, 1)
    agreement = np.einsum("ni,tij,nj->tn", ways, turns, rays) > np.cos(_TURN_AGREES)
    chosen = agreement[agreement.sum(axis=1).argmax()]
    u, _, vt = np.linalg.svd(ways[chosen].T @ rays[chosen])
    turn = (u * np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])) @ vt
    return np.concatenate([turn, place[:, None]], axis=1)


def _frames(pairs: Array) -> Array:
    """(T, 3, 3) axes that two directions (T, 2, 3) span."""
    first, second = pairs[:, 0], pairs[:, 1]
    normal = np.cross(first, second)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    return np.stack([first, normal, np.cross(first, normal)], axis=2)


def polish(
    points: Uncertain,
    pixels: Array,
    camera: Camera,
    expected: Expected,
    world_from_cam: Array,
    iterations: int = 8,
) -> tuple[Array, Array]:
    """The pose near a first one that uncertain points agree with (Gauss-Newton, robust).

    Points whose depth is unknown hold it by their epipolar lines alone. See `locate`.
    """
    pose, sure = world_from_cam, 1 / expected.reach**2
    for _ in range(iterations):
        error, whiten = points.errors(pixels, camera, pose)
        _, depth = camera.project(points.positions, pose)
        weights = 1 / (1 + (error**2).sum(axis=1) / _DOUBT**2)
        weights *= depth > _NEAR * np.median(depth)
        jacobian = (weights[:, None, None] * whiten) @ _jacobian(points.positions, camera, pose)
        jacobian, error = jacobian.reshape(-1, 6), (weights[:, None] * error).ravel()
        normal, target = jacobian.T @ jacobian, jacobian.T @ error
        normal[3:, 3:] += sure * np.eye(3)
        target[3:] -= sure * pose[:, :3].T @ (expected.world_from_cam[:, 3] - pose[:, 3])
        step = np.linalg.solve(normal + 1e-6 * np.eye(6), target)
        turn = cv2.Rodrigues(step[:3])[0]
        pose = compose(pose, invert(np.concatenate([turn, step[3:, None]], axis=1)))
        if np.abs(step).max() < _STILL:
            break
    error, _ = points.errors(pixels, camera, pose)
    _, depth = camera.project(points.positions, pose)
    return pose, np.where(depth > 0, np.linalg.norm(error, axis=1), np.inf)


def _jacobian(positions: Array, camera: Camera, world_from_cam: Array) -> Array:
    """(N, 2, 6) of the projection by a turn and a shift of cam_from_world, from the left."""
    cam_from_world = invert(world_from_cam)
    x, y, z = (positions @ cam_from_world[:, :3].T + cam_from_world[:, 3]).T
    z = np.where(z > 1e-6, z, 1e-6)
    u, v, zero = x / z, y / z, np.zeros_like(z)
    rows = [
        [-u * v, 1 + u * u, -v, 1 / z, zero, -u / z],
        [-1 - v * v, u * v, u, zero, 1 / z, -v / z],
    ]
    return camera.focal * np.moveaxis(np.array(rows), -1, 0)
