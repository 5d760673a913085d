"""Points worth drawing, in bands; and merged by voxels."""

from __future__ import annotations

import numpy as np
import pytest

from svggt.scene.clouds import NUM_BANDS, Cloud, banded, depth_edges, merge
from svggt.scene.posed_frame import PosedFrame
from tests.scene.frames import correction, prediction


def test_what_nobody_looked_at_is_in_the_first_band_without_edges() -> None:
    made = prediction()
    first, *others = banded(PosedFrame(made, None), stride=1)
    assert len(others) == NUM_BANDS - 1 and not any(map(len, others))
    assert 0.75 * made.depth.size < len(first.points) == len(first.colors)
    z = first.points[:, 2]
    assert not ((z > 1.01) & (z < 1.99)).any()


def test_what_is_far_has_a_band_of_its_own() -> None:
    made = prediction()
    made.depth[:12] = 50.0
    *near, far, _ = banded(PosedFrame(made, None), stride=1)
    assert len(far) > 100 and far.points[:, 2].min() > 49
    assert Cloud.joined(near).points[:, 2].max() < 3


def test_the_point_heads_points_are_drawn_where_it_was_run() -> None:
    made = prediction(3, turn=20.0)
    world = made.camera_points + np.array([0, 0, 1])  # not what depth says
    pose = made.world_from_cam
    points = (world @ pose[:, :3].T + pose[:, 3]).astype(np.float32)
    object.__setattr__(made, "world_points", points)
    object.__setattr__(made, "world_points_conf", made.depth_conf)
    drawn = np.concatenate([cloud.points for cloud in banded(PosedFrame(made, None), 1)])
    assert set(np.round(drawn[:, 2], 3).tolist()) == {2.0, 3.0}
    # A correction's scale and focal length, 1.25 times shorter, apply to them too.
    refined = correction(3, (0, 0, 0), np.log(2.0))
    scaled = np.concatenate([cloud.points for cloud in banded(PosedFrame(made, refined), 1)])
    assert np.allclose(scaled, drawn * [2.5, 2.5, 2.0], rtol=1e-5)


def test_no_point_flies_between_two_depths() -> None:
    edges = depth_edges(prediction().depth)
    assert edges[20, 30:60].all() and edges[19, 30:60].all() and edges[39, 30:60].all()
    assert not edges[0:18].any() and not edges[22:38, 32:58].any()


def test_what_moves_is_left_out() -> None:
    left = np.zeros((12, 18), bool)
    left[:, :9] = True
    shot = PosedFrame(prediction(0), correction(0, (0, 0, 0), moving=left))
    cloud, *_ = banded(shot, 1)
    assert len(cloud) and cloud.points[:, 0].min() > -0.1


def test_a_voxel_holds_one_point_the_mean() -> None:
    points = np.array([[0.1, 0.1, 0.1], [0.3, 0.1, 0.1], [5.5, 0, 0], [-0.1, 0, 0]])
    colors = np.array([[0, 0, 0], [200, 100, 0], [9, 9, 9], [7, 7, 7]], np.uint8)
    merged = merge([Cloud(points[:2], colors[:2]), Cloud(points[2:], colors[2:])], voxel=1.0)
    order = np.argsort(merged.points[:, 0])
    assert np.allclose(merged.points[order], [[-0.1, 0, 0], [0.2, 0.1, 0.1], [5.5, 0, 0]])
    assert merged.colors[order].tolist() == [[7, 7, 7], [100, 50, 0], [9, 9, 9]]


def test_nothing_merges_to_nothing() -> None:
    assert len(merge([Cloud.empty()] * 2, voxel=1.0)) == len(merge([Cloud.empty()])) == 0


def test_a_point_is_as_large_as_what_it_stands_for() -> None:
    """Neighbours at one depth touch, at any stride and scale, before and after they are merged."""
    made, stride = prediction(), 2
    made.depth[:12] = 50.0
    first, *_, far, _ = banded(PosedFrame(made, None), stride)
    apart = stride / made.intrinsics[0, 0]
    assert apart * 2 < first.size < 1.5 * apart * 2  # most lie 2 away
    assert far.size == pytest.approx(25 * first.size)
    grown = first.moved(np.eye(3, 4), np.array([3.0, 3.0, 3.0]))
    assert grown.size == pytest.approx(3 * first.size)
    shifted = Cloud(first.points + 0.1 * first.size, first.colors, first.size)
    merged = merge([first, shifted])
    assert merged.size == pytest.approx(first.size) and len(merged) < 1.5 * len(first)
