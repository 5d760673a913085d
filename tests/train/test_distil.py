"""Equation 7: what a student that says the same pays, and one that does not."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from svggt.train.distil import (
    distill_tracks_loss,
    distillation_loss,
    in_unit,
    teacher_of,
    tracks_loss,
)
from svggt.train.distributed import prepare
from svggt.train.objective import Objective, draw_queries
from svggt.train.options import WAYS, TrainOptions
from svggt.train.trainer import Trainer
from tests.train.clips import plane, walk

SIZE = (28, 42)
ONE = torch.ones(1)


@pytest.fixture
def teacher_output(tiny):
    """A clip, and what the tiny network says of it."""
    batch = plane(walk(3), SIZE)
    teacher = teacher_of(copy.deepcopy(tiny.network))
    return batch, teacher(batch, draw_queries(batch))


def said_by(tiny, batch, causal: bool = False):
    with torch.no_grad():
        return tiny.network(batch.images, causal)


def test_who_says_the_same_pays_for_what_is_claimed_alone(tiny, teacher_output) -> None:
    batch, taught = teacher_output
    pred = said_by(tiny, batch)
    sure = replace(
        pred,
        pose_enc_passes=[pred.pose_enc],  # earlier passes are on their way
        depth_conf=torch.ones_like(pred.depth_conf),
        world_points_conf=torch.ones_like(pred.world_points_conf),
    )
    losses = distillation_loss(sure, taught, ONE)
    assert all(loss.item() == pytest.approx(0, abs=2e-3) for loss in losses.values()), losses


def test_neither_unit_nor_shift_of_a_depth_map_costs(tiny, teacher_output) -> None:
    """A student in another unit, shifted in every frame, says the same; a bent one does not."""
    batch, taught = teacher_output
    pred = said_by(tiny, batch)
    free = distillation_loss(pred, taught, ONE)
    moved = replace(pred, depth=3 * pred.depth + 0.2)
    assert distillation_loss(moved, taught, ONE)["distill_depth"].item() == pytest.approx(
        free["distill_depth"].item(), abs=1e-2
    )
    bent = replace(pred, depth=pred.depth * torch.linspace(1, 2, SIZE[1])[:, None])
    worse = distillation_loss(bent, taught, ONE)
    assert worse["distill_depth"] > free["distill_depth"] + 0.5
    assert worse["distill_camera"] == free["distill_camera"]


def test_the_parts_have_the_weights_of_equation_seven(tiny, teacher_output) -> None:
    batch, taught = teacher_output
    pred = said_by(tiny, batch)
    off = replace(pred, pose_enc_passes=[taught.pose_enc + torch.eye(9)[0]])
    camera = distillation_loss(off, taught, ONE)["distill_camera"]
    assert camera.item() == pytest.approx(20 * 0.95 / 3, abs=1e-4)
    assert in_unit(pred.depth).mean().item() == pytest.approx(1, abs=1e-4)


def test_tracks_are_taught_where_the_teacher_sees_them(tiny, teacher_output) -> None:
    _, taught = teacher_output
    assert taught.tracks is not None
    pred = replace(taught.tracks, confidence=torch.ones_like(taught.tracks.confidence))
    last = pred.iterations[-1]
    off = replace(pred, iterations=[last + 2.0] * len(pred.iterations))
    exact = replace(pred, iterations=[last] * len(pred.iterations))
    seen = (taught.tracks.visibility > 0.5).float().sum() > 0
    difference = distill_tracks_loss(off, taught.tracks) - distill_tracks_loss(exact, taught.tracks)
    assert difference.item() == pytest.approx(0.5 * 2.0 if seen else 0, abs=1e-4)
    nowhere = torch.zeros(last.shape[:-1], dtype=torch.bool)
    assert tracks_loss(off, last, nowhere).item() == pytest.approx(
        tracks_loss(exact, last, nowhere).item(), abs=1e-5
    )


def test_a_student_learns_what_the_paper_lets_it(tiny) -> None:
    """Encoder, camera token and registers stay; heads and blocks move."""
    network = copy.deepcopy(tiny.network)
    student = Trainer(
        network,
        replace(WAYS["student"], warmup=1, lr=1e-2),
        lambda step, part: plane(walk(3), SIZE),
        teacher=teacher_of(copy.deepcopy(tiny.network)),
    )
    before = copy.deepcopy(network.state_dict())
    metrics = student.take_step()
    assert {"distill_camera", "distill_depth", "distill_points", "distill_tracks"} <= set(metrics)
    assert not {"camera", "depth", "points", "matching"} & set(metrics)
    moved = {n for n, x in network.state_dict().items() if not torch.equal(x, before[n])}
    kept = ("aggregator.patch_embed", "aggregator.camera_token", "aggregator.register_token")
    assert not any(name.startswith(kept) for name in moved)
    for part in ("frame_blocks", "global_blocks", "camera_head", "depth_head", "point_head"):
        assert any(part in name for name in moved), part
    assert any("track_head" in name for name in moved)


def test_a_teacher_stays_as_it_is(tiny) -> None:
    teacher = copy.deepcopy(tiny.network)
    before = copy.deepcopy(teacher.state_dict())
    student = Trainer(
        copy.deepcopy(tiny.network),
        replace(WAYS["mixed"], warmup=1, distill_weight=1.0, matching_layers=(1,)),
        lambda step, part: plane(walk(3), SIZE),
        teacher=teacher_of(teacher),
    )
    metrics = student.take_step()
    assert {"camera", "distill_camera", "tracks", "matching"} <= set(metrics)
    assert all(torch.equal(x, before[n]) for n, x in teacher.state_dict().items())


@pytest.mark.parametrize("options", [{"checkpointing": True}, {"bf16": True}], ids=str)
def test_how_a_step_is_computed_does_not_change_what_it_is(tiny, options: dict) -> None:
    """Blocks computed twice give the same gradients; bfloat16 nearly the same losses."""
    batch = plane(walk(3), SIZE)
    gradients, losses = [], []
    for asked in (
        TrainOptions(matching_layers=(1,)),
        TrainOptions(matching_layers=(1,), **options),
    ):
        network = copy.deepcopy(tiny.network)
        prepare(network, asked, torch.device("cpu"))
        torch.manual_seed(0)
        parts, _ = Objective(network, asked)(batch, True, torch.zeros(1, 4, 2), None)
        torch.stack(list(parts.values())).sum().backward()
        gradients.append(network.aggregator.frame_blocks[0].attn.qkv.weight.grad)
        losses.append(torch.stack(list(parts.values())))
    exact = "checkpointing" in options
    assert torch.allclose(*losses, rtol=1e-6 if exact else 0.1)
    assert not exact or torch.allclose(*gradients, rtol=1e-4)
    assert exact or not torch.equal(*losses)  # it does compute otherwise


def test_two_batches_make_one_step(tiny) -> None:
    """Gradients of two batches, accumulated, are those of both at once."""
    clips = [plane(walk(3), SIZE), plane(walk(4)[1:], SIZE)]
    kept = replace(WAYS["teacher"], warmup=1, shuffled=0.0, matching=0.0, tracks=0.0)
    both = type(clips[0])(
        **{
            name: torch.cat([getattr(clip, name) for clip in clips])
            for name in ("images", "depth", "world_from_cam", "fields_of_view", "motion", "good")
        },
        when=clips[0].when,
    )
    one = Trainer(copy.deepcopy(tiny.network), kept, lambda step, part: both)
    two = Trainer(
        copy.deepcopy(tiny.network), replace(kept, accumulate=2), lambda step, part: clips[part]
    )
    assert one.take_step()["loss"] == pytest.approx(two.take_step()["loss"], rel=1e-4)
    for name, parameter in one.network.named_parameters():
        other = two.network.get_parameter(name)
        assert torch.allclose(parameter, other, atol=2e-4), name
