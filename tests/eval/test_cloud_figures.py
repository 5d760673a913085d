"""Points against the truth's: a perfect cloud is perfect, and one that is off is so far off."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from svggt.data.truth import Truth
from svggt.eval.cloud_figures import cloud_figures, true_points
from svggt.media.examples import EXAMPLES


@pytest.fixture(scope="module")
def truth() -> Truth:
    source = EXAMPLES[0].truth
    assert source is not None
    return Truth.load(source)


def test_a_perfect_cloud_in_another_world_is_perfect(truth: Truth) -> None:
    count = 24
    points, positions = true_points(truth, count), truth.world_from_cam[:count, :, 3]
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    there = (0.3 * each @ turn.T + np.array([5, -2, 1]) for each in (points, positions))
    found = cloud_figures(*there, truth)
    assert found.accuracy < 1e-6 and found.completeness < 1e-6
    assert found.f_5cm == found.f_10cm == pytest.approx(1)


def test_precision_and_recall_are_told_apart(truth: Truth) -> None:
    """Half of the points miss nothing of accuracy; strangers far away miss nothing else."""
    count = 24
    points, positions = true_points(truth, count), truth.world_from_cam[:count, :, 3]
    left = points[points[:, 0] < np.median(points[:, 0])]
    half = cloud_figures(left, positions, truth)
    assert half.accuracy < 1e-6 and half.f_5cm == pytest.approx(2 / 3, abs=0.05)
    more = np.concatenate([points, points + np.array([100.0, 0, 0])])
    strange = cloud_figures(more, positions, truth)
    assert strange.completeness < 1e-6 and strange.f_10cm == pytest.approx(2 / 3, abs=0.01)


def test_what_is_not_known_is_said(truth: Truth) -> None:
    positions = truth.world_from_cam[:8, :, 3]
    with pytest.raises(ValueError, match="no intrinsics"):
        cloud_figures(positions, positions, dataclasses.replace(truth, intrinsics=None))
    with pytest.raises(ValueError, match="no depth"):
        cloud_figures(positions, positions, dataclasses.replace(truth, depth=lambda number: None))
    with pytest.raises(ValueError, match="no points"):
        cloud_figures(np.zeros((0, 3)), positions, truth)
