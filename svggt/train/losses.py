"""What a prediction is worth, against the truth or a teacher: pure functions of tensors.

Sources: VGGT section 3.4 and StreamVGGT equation 7; constants: docs/training.md. Everything is
averaged over what counts, so that a loss does not grow with a batch or a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from svggt.train.poses import compose, decode_pose, invert

EdgeLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(said, true, weight) to what neighbours in a picture cost."""

BETA = 0.1
"""Of the smooth L1 of cameras in equation 7: below it a loss is quadratic."""

_PASS_DECAY = 0.6  # of every pass of the camera head before the last one
_WORST = 8.0  # units of error that one pixel counts at most
_STEEPEST = 2.0  # units of a gradient's error, likewise
_FOUND = 8.0  # pixels from where it is that a followed point counts as found
_FIELD_OF_VIEW = 0.5  # weight beside translation and quaternion


def smooth_l1(error: Tensor, beta: float = BETA) -> Tensor:
    """e^2 / (2 knee) below the knee, else |e| - knee / 2."""
    return F.smooth_l1_loss(error, torch.zeros_like(error), beta=beta, reduction="none")


def camera_loss(
    passes: Sequence[Tensor], target: Tensor, weight: Tensor, beta: float = BETA
) -> Tensor:
    """Of every pass of the camera head, the later ones counting more.

    Args:
        passes: (B, S, 9) each.
        target: (B, S, 9).
        weight: (B,) of clips.
        beta: of the smooth L1.
    """
    total, weights = target.new_zeros(()), 0.0
    for number, pred in enumerate(passes):
        # Translation, quaternion and field of view are averaged apart: four numbers of one and two
        # of the other shall not outweigh each other by how many they are.
        error = smooth_l1(_same_sign(pred, target) - target, beta)
        parts = error[..., :3].mean(-1) + error[..., 3:7].mean(-1)
        parts = parts + _FIELD_OF_VIEW * error[..., 7:].mean(-1)  # (B, S)
        decay = _PASS_DECAY ** (len(passes) - 1 - number)
        total = total + decay * _mean(parts.mean(1), weight)
        weights += decay
    return total / weights


def relative_pose_loss(pred: Tensor, target: Tensor, weight: Tensor, beta: float = BETA) -> Tensor:
    """Of the motion between every two frames, so that errors are not told by the first one alone.

    Rotation by the chord between matrices, translation in the earlier camera's frame.

    Args:
        pred: (B, S, 9).
        target: (B, S, 9).
        weight: (B,) of clips.
        beta: of the smooth L1.
    """
    # Every ordered pair of frames, also a frame with itself, whose motion is the identity.
    ours, theirs = _motions(pred), _motions(target)
    rotation = smooth_l1(ours[..., :3] - theirs[..., :3], beta).sum((-1, -2))
    translation = smooth_l1(ours[..., 3] - theirs[..., 3], beta).mean(-1)
    return _mean((rotation + translation).mean((1, 2)), weight)


def dense_loss(
    pred: Tensor,
    confidence: Tensor,
    target: Tensor,
    valid: Tensor,
    edges: EdgeLoss | None = None,
    alpha: float = 0.1,
) -> Tensor:
    """Absolute error weighted by what the network claims to know, and that of its edges.

    conf |said - true| - alpha log conf: a claim costs where it is wrong and pays where it is right.

    Args:
        pred: (B, S, H, W, C).
        confidence: (B, S, H, W), at least 1.
        target: like `pred`.
        valid: (B, S, H, W); may be weights.
        edges: what neighbours cost; `gradient_loss` if left out.
        alpha: worth of confidence.
    """
    weight = valid.to(pred.dtype)
    # Bounded: a pixel on an edge that is off by a room's depth is not worth more than others.
    error = (pred - target).abs().sum(-1).clamp_max(_WORST)
    claimed = _mean(confidence * error - alpha * confidence.log(), weight)
    return claimed + (edges or gradient_loss)(pred, target, weight)


def gradient_loss(pred: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Of the differences between neighbours at three scales: edges stay sharp, planes flat.

    Args:
        pred: (B, S, H, W, C).
        target: like `pred`.
        weight: (B, S, H, W); a difference counts where both its pixels do.
    """
    total = pred.new_zeros(())
    for step in (1, 2, 4):
        # The difference of errors is the error of differences: one array for both axes.
        error = (pred - target)[:, :, ::step, ::step]
        here = weight[:, :, ::step, ::step]
        for axis in (2, 3):
            difference = torch.diff(error, dim=axis).abs().sum(-1).clamp_max(_STEEPEST)
            length = here.shape[axis]
            both = here.narrow(axis, 1, length - 1) * here.narrow(axis, 0, length - 1)
            total = total + _mean(difference, both)
    return total


def normal_loss(pred: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Of the directions of surfaces at three scales: 1 - cos of the angle between normals.

    Args:
        pred: (B, S, H, W, 3) points.
        target: like `pred`.
        weight: (B, S, H, W); a normal counts where the three points it is made of do.
    """
    total = pred.new_zeros(())
    for step in (1, 2, 4):
        ours, theirs = (_normals(x[:, :, ::step, ::step]) for x in (pred, target))
        here = weight[:, :, ::step, ::step]
        corner = here[:, :, :-1, :-1] * here[:, :, 1:, :-1] * here[:, :, :-1, 1:]
        total = total + _mean(1 - (ours * theirs).sum(-1), corner)
    return total


def aligned(pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Said, after the scale and shift a frame that bring it nearest to the truth, least squares.

    Args:
        pred: (B, S, H, W, C); one scale and a shift per channel for every frame.
        target: like `pred`.
        valid: (B, S, H, W); unlike the published code, which fits over all pixels.
    """
    # Closed form of min over (scale, shift) of sum w (scale pred + shift - target)^2: the slope of
    # the regression of target on pred, through both weighted means.
    weight = valid.to(pred.dtype)[..., None]
    count = weight.sum((2, 3), keepdim=True).clamp_min(1)
    mean, target_mean = ((x * weight).sum((2, 3), keepdim=True) / count for x in (pred, target))
    centred, target_centred = (pred - mean) * weight, (target - target_mean) * weight
    variance = (centred**2).sum((2, 3, 4), keepdim=True).clamp_min(1e-12)
    scale = (centred * target_centred).sum((2, 3, 4), keepdim=True) / variance
    return scale * (pred - mean) + target_mean


def track_loss(
    pred: Tensor,
    visibility: Tensor,
    confidence: Tensor,
    target: Tensor,
    seen: Tensor,
    sure: Tensor | None = None,
) -> Tensor:
    """Of followed points: position where they are seen, visibility, and confidence.

    Position is weighted by what a teacher is sure of; without one, confidence should say whether
    a point was found.

    Args:
        pred: (B, S, N, 2) pixels.
        visibility: (B, S, N) in [0, 1].
        confidence: (B, S, N) in [0, 1].
        target: like `pred`.
        seen: (B, S, N), 1 where a point is visible.
        sure: (B, S, N) a teacher's confidence; None: all count alike.
    """
    # What counts as found must not be learnt through: it is a label, not a loss.
    weight = seen.to(pred.dtype)
    distance = (pred - target).abs().mean(-1)
    found = (distance.detach() < _FOUND).to(pred.dtype) if sure is None else sure
    position = _mean(distance, weight if sure is None else weight * sure)
    claims = _mean(F.binary_cross_entropy(confidence, found, reduction="none"), weight)
    return position + claims + F.binary_cross_entropy(visibility, weight)


def _normals(points: Tensor) -> Tensor:
    """(B, S, H - 1, W - 1, 3) of length 1."""
    corner = points[:, :, :-1, :-1]
    down, right = points[:, :, 1:, :-1] - corner, points[:, :, :-1, 1:] - corner
    return F.normalize(torch.linalg.cross(right, down), dim=-1)


def _motions(pose_enc: Tensor) -> Tensor:
    """(B, S, S, 3, 4) camera j from camera i."""
    cam_from_world = decode_pose(pose_enc)
    return compose(cam_from_world[:, None], invert(cam_from_world)[:, :, None])


def _same_sign(pred: Tensor, target: Tensor) -> Tensor:
    """A quaternion and its negative are one rotation: the nearer one is meant."""
    flips = (pred[..., 3:7] * target[..., 3:7]).sum(-1, keepdim=True) < 0
    quaternion = torch.where(flips, -pred[..., 3:7], pred[..., 3:7])
    return torch.cat([pred[..., :3], quaternion, pred[..., 7:]], dim=-1)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp_min(1e-6)
