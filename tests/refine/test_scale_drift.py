"""The world's scale drifts by itself, and the model's depth says so."""

from __future__ import annotations

import numpy as np

from svggt import metrics
from svggt.refine.scale_drift import ScaleDrift

COUNT = 200
RNG = np.random.default_rng(1)
NOISE = 0.15 * RNG.normal(size=COUNT)  # of the model's scale
DRIFT = np.cumsum(0.015 * RNG.normal(size=COUNT)) - 0.006 * np.arange(COUNT)
PATH = np.cumsum(np.stack([np.cos(0.05 * np.arange(COUNT)), np.sin(0.05 * np.arange(COUNT)),
                           0 * np.arange(COUNT)], 1), 0)  # fmt: skip


def drifted(path: np.ndarray, drift: np.ndarray) -> np.ndarray:
    """What tracking makes of a path in a world whose scale wanders."""
    scale = np.exp((drift[1:] + drift[:-1]) / 2)[:, None]
    return np.concatenate([path[:1], path[:1] + np.cumsum(scale * np.diff(path, axis=0), 0)])


def shown(log_scales: np.ndarray, centres: np.ndarray) -> ScaleDrift:
    filter_ = ScaleDrift()
    for count in range(1, len(centres) + 1):
        filter_.place(centres[:count], filter_.update(log_scales[:count]))
    filter_.place(centres, filter_.update(log_scales, lag=len(centres)))
    return filter_


def test_drift_is_taken_out() -> None:
    centres = drifted(PATH, DRIFT)
    before = metrics.trajectory_error(centres, PATH)
    after = metrics.trajectory_error(shown(DRIFT + NOISE, centres).centres, PATH)
    assert after < 0.4 * before


def test_without_drift_the_models_noise_moves_little() -> None:
    found = shown(NOISE, PATH)
    assert np.abs(found.drift).max() < 0.2
    assert metrics.trajectory_error(found.centres, PATH) < 0.03 * np.ptp(PATH, axis=0).max()


def test_keyframe_by_keyframe_ends_where_all_at_once_does() -> None:
    """Also where older keyframes move, as windows move them."""
    centres, log_scales = drifted(PATH, DRIFT), DRIFT + NOISE
    one_by_one = ScaleDrift()
    for count in range(1, COUNT + 1):
        seen = log_scales[:count].copy()
        seen[-5:] += 0.05  # until the window has gone by
        one_by_one.place(centres[:count], one_by_one.update(seen))
    one_by_one.place(centres, one_by_one.update(log_scales, lag=COUNT))
    at_once = ScaleDrift()
    at_once.place(centres, at_once.update(log_scales, lag=COUNT))
    assert np.abs(one_by_one.drift - at_once.drift).max() < 0.011  # what is not worth a move
    assert np.abs(one_by_one.means - at_once.means).max() < 1e-9


def test_the_first_keyframe_stays_and_steps_keep_their_direction() -> None:
    centres = drifted(PATH, DRIFT)
    found = shown(DRIFT + NOISE, centres)
    assert np.array_equal(found.centres[0], centres[0]) and abs(found.drift[0]) < 0.011
    before, after = np.diff(centres, axis=0), np.diff(found.centres, axis=0)
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    assert np.allclose((before * after).sum(1), lengths)
