"""Losses in cases whose value is known."""

from __future__ import annotations

import math

import pytest
import torch

from svggt.train.batch import targets_of
from svggt.train.losses import (
    aligned,
    camera_loss,
    dense_loss,
    gradient_loss,
    relative_pose_loss,
    smooth_l1,
    track_loss,
)
from svggt.train.poses import quaternion_of, rotation_of
from tests.train.clips import plane, turned, walk

ONE = torch.ones(1)


def pose(*translation: float) -> torch.Tensor:
    """(1, 1, 9) without rotation."""
    return torch.tensor([[[*translation, 0, 0, 0, 1, 0.9, 1.1]]])


def test_smooth_l1_is_as_the_paper_writes_it() -> None:
    errors = torch.tensor([0.05, -0.05, 0.1, 0.5])
    assert torch.allclose(smooth_l1(errors), torch.tensor([0.0125, 0.0125, 0.05, 0.45]))


def test_a_camera_off_by_a_known_translation() -> None:
    pred, target = pose(0.5, 0, 0), pose(0, 0, 0)
    assert camera_loss([pred], target, ONE).item() == pytest.approx(0.45 / 3)
    both = camera_loss([target, pred], target, ONE).item()  # the last pass counts more
    assert both == pytest.approx(0.45 / 3 / 1.6)
    assert camera_loss([pred, target], target, ONE).item() == pytest.approx(0.6 * 0.45 / 3 / 1.6)


def test_a_quaternion_and_its_negative_are_one_camera() -> None:
    target = targets_of(plane(walk(3), (28, 42))).pose_enc
    pred = target.clone()
    pred[..., 3:7] *= -1
    assert camera_loss([pred], target, ONE).item() == pytest.approx(0, abs=1e-6)
    assert relative_pose_loss(pred, target, ONE).item() == pytest.approx(0, abs=1e-6)


def test_a_clip_that_does_not_count_does_not() -> None:
    target = pose(0, 0, 0).repeat(2, 1, 1)
    pred = torch.cat([pose(0, 0, 0), pose(9, 9, 9)])
    assert camera_loss([pred], target, torch.tensor([1.0, 0.0])).item() == 0


def test_relative_poses_do_not_care_for_the_world() -> None:
    """All cameras wrong by one rotation of the world: no motion between two of them is."""
    target = targets_of(plane(walk(4), (28, 42))).pose_enc
    pred = target.clone()
    turn = turned(25.0, (0.6, 0.0, 0.8))
    pred[..., 3:7] = quaternion_of(rotation_of(target[..., 3:7]) @ turn)
    assert relative_pose_loss(pred, target, ONE).item() == pytest.approx(0, abs=1e-6)
    assert camera_loss([pred], target, ONE).item() > 0.05
    pred[0, 2, 0] += 0.5
    assert relative_pose_loss(pred, target, ONE).item() > 0.01


def test_confidence_is_best_at_alpha_over_the_error() -> None:
    """conf * e - alpha log conf is least at conf = alpha / e (or 1, below which it cannot be)."""
    target, valid = torch.zeros(1, 1, 8, 8, 1), torch.ones(1, 1, 8, 8)
    pred = target + 0.02
    losses = {c: dense_loss(pred, c * valid, target, valid).item() for c in (2.0, 5.0, 12.0)}
    assert min(losses, key=losses.__getitem__) == 5.0
    assert losses[5.0] == pytest.approx(0.1 - 0.1 * math.log(5))


def test_only_valid_pixels_count() -> None:
    target, valid = torch.zeros(1, 1, 8, 8, 1), torch.ones(1, 1, 8, 8)
    pred = target.clone()
    pred[:, :, 3:5, 3:5] = 7.0
    valid[:, :, 3:5, 3:5] = 0
    assert dense_loss(pred, torch.ones(1, 1, 8, 8), target, valid).item() == 0
    assert dense_loss(pred, torch.ones(1, 1, 8, 8), target, torch.ones(1, 1, 8, 8)).item() > 0


def test_gradients_see_no_shift_and_a_slope_for_what_it_is() -> None:
    target, weight = torch.zeros(1, 1, 16, 16, 1), torch.ones(1, 1, 16, 16)
    assert gradient_loss(target + 3, target, weight).item() == 0
    slope = 0.1 * torch.arange(16.0)[None, None, None, :, None].expand_as(target)
    assert gradient_loss(slope, target, weight).item() == pytest.approx(0.1 + 0.2 + 0.4, abs=1e-5)


def test_alignment_undoes_scale_and_shift_of_every_frame_and_looks_at_valid_pixels_only() -> None:
    target = torch.rand(2, 3, 8, 8, 3)
    scales, shift = torch.rand(2, 3, 1, 1, 1) + 0.5, torch.rand(2, 3, 1, 1, 3)
    pred, valid = (target - shift) / scales, torch.ones(2, 3, 8, 8)
    valid[..., :2] = 0
    wrong = pred.clone()
    wrong[..., :2, :] = 99.0
    found = aligned(wrong, target, valid)
    assert torch.allclose(found[..., 2:, :], target[..., 2:, :], atol=1e-4)


def test_tracks_cost_where_they_are_seen() -> None:
    target, seen = torch.zeros(1, 2, 4, 2), torch.tensor([[[1.0] * 4, [0.0] * 4]])
    pred = target.clone()
    pred[:, 1] = 50.0  # hidden there
    sure = torch.ones(1, 2, 4)
    assert track_loss(pred, seen, sure, target, seen).item() == pytest.approx(0, abs=1e-5)
    pred[:, 0] = 2.0
    assert track_loss(pred, seen, sure, target, seen).item() == pytest.approx(2, abs=1e-5)


def test_confidence_learns_whether_a_point_was_found() -> None:
    """It rises where the error is small and falls where it is large; a teacher's is copied."""
    seen, target = torch.ones(1, 2, 4), torch.zeros(1, 2, 4, 2)
    for off, rises in ((2.0, True), (30.0, False)):
        confidence = torch.full((1, 2, 4), 0.5, requires_grad=True)
        track_loss(target + off, seen, confidence, target, seen).backward()
        assert (confidence.grad < 0).all() == rises
    confidence = torch.full((1, 2, 4), 0.5, requires_grad=True)
    loss = track_loss(target + 2, seen, confidence, target, seen, sure=torch.full((1, 2, 4), 0.2))
    loss.backward()
    assert (confidence.grad > 0).all()
    told = 2 + math.log(2)  # of the error's mean, whatever the weight is; and of confidence
    assert loss.item() == pytest.approx(told, abs=1e-4)
