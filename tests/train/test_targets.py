"""Poses, targets and matches against geometry that is known by construction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from svggt import geometry
from svggt.train.batch import camera_points, rays, targets_of
from svggt.train.matching import (
    AttentionProbe,
    correspondences_of,
    displacement_loss,
    matching_loss,
    places_of,
)
from svggt.train.poses import (
    angle_between,
    compose,
    encode_pose,
    invert,
    quaternion_of,
    rotation_of,
    transform,
)
from svggt.train.tracks import follow
from tests.train.clips import VIEWS, plane, turned, walk

SIZE = (56, 84)


@pytest.mark.parametrize("axis", [(1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), (0.6, 0.0, 0.8)])
@pytest.mark.parametrize("degrees", [0.0, 0.01, 30.0, 90.0, 179.0, -120.0])
def test_a_rotation_comes_back_from_its_quaternion(degrees: float, axis) -> None:
    rotation = turned(degrees, axis)
    assert torch.allclose(rotation_of(quaternion_of(rotation)), rotation, atol=1e-6)
    assert angle_between(torch.eye(3), rotation).item() == pytest.approx(abs(degrees), abs=1e-4)


def test_an_encoded_pose_is_what_the_network_says() -> None:
    """The numpy decoder that every prediction goes through reads it back."""
    cam_from_world = invert(walk(4))[None]
    encoded = encode_pose(cam_from_world, VIEWS)
    decoded, intrinsics = geometry.decode_pose(encoded.numpy(), SIZE)
    assert np.allclose(decoded, cam_from_world.numpy(), atol=1e-6)
    expected = SIZE[1] / 2 / np.tan(VIEWS[0, 1].item() / 2)
    assert np.allclose(intrinsics[..., 0, 0], expected)


def test_rays_are_those_that_points_are_made_by() -> None:
    """As `geometry.unproject` has them, for the intrinsics that the pose encoding means."""
    _, intrinsics = geometry.decode_pose(encode_pose(walk(1)[None], VIEWS).numpy()[0, 0], SIZE)
    ours = rays(SIZE, VIEWS)[0].numpy()
    assert np.allclose(ours, geometry.unproject(np.ones(SIZE), intrinsics), atol=1e-6)


def test_targets_are_in_the_first_cameras_world_with_mean_distance_one() -> None:
    batch = plane(walk(4), SIZE)
    targets = targets_of(batch)
    assert targets.world_points.norm(dim=-1).mean().item() == pytest.approx(1, abs=1e-5)
    assert torch.allclose(targets.pose_enc[0, 0, :7], torch.tensor([0, 0, 0, 0, 0, 0, 1.0]))
    for number in range(4):  # every frame's depth, unprojected and placed, is its point map
        cam_from_world = torch.cat(
            [
                rotation_of(targets.pose_enc[0, number, 3:7]),
                targets.pose_enc[0, number, :3, None],
            ],
            dim=1,
        )
        points = targets.depth[0, number, ..., None] * rays(SIZE, VIEWS)[0]
        world = transform(points, invert(cam_from_world))
        assert torch.allclose(world, targets.world_points[0, number], atol=1e-5)
    moved = torch.cat([turned(40.0), torch.tensor([[1.0], [2.0], [3.0]])], dim=1)
    same = targets_of(_moved(batch, moved))
    assert torch.allclose(same.pose_enc, targets.pose_enc, atol=1e-5)
    assert torch.allclose(same.world_points, targets.world_points, atol=1e-5)


def _moved(batch, to_from):
    return replace(batch, world_from_cam=compose(to_from, batch.world_from_cam))


def test_what_is_unknown_does_not_count() -> None:
    batch = plane(walk(3), SIZE)
    batch.depth[:, :, :10] = 0
    targets = targets_of(batch)
    assert not targets.valid[:, :, :10].any() and targets.valid[:, :, 10:].all()
    known = targets.world_points.norm(dim=-1)[targets.valid]
    assert known.mean().item() == pytest.approx(1, abs=1e-5)


def test_points_land_where_they_are_seen() -> None:
    batch = plane(walk(3), SIZE)
    correspondences = correspondences_of(targets_of(batch), patch=14)
    assert correspondences.grid == (4, 6) and not correspondences.seen[:, 1, :, 1].any()
    patch = 2 * 6 + 4  # third row, fifth column of frame 0
    row, column = 2 * 14 + 7, 4 * 14 + 7
    point = transform(camera_points(batch)[0, 0, row, column], batch.world_from_cam[0, 0])
    there = transform(point, invert(batch.world_from_cam[0, 2]))
    tangents = torch.tan(VIEWS[0] / 2)
    x = (there[0] / there[2] / tangents[1] + 1) * SIZE[1] / 2
    y = (there[1] / there[2] / tangents[0] + 1) * SIZE[0] / 2
    assert correspondences.seen[0, 0, patch, 2]
    expected = torch.stack([x, y]) / 14 - 0.5
    assert torch.allclose(correspondences.places[0, 0, patch, 2], expected, atol=1e-4)


def test_what_is_hidden_or_out_of_sight_is_not_matched() -> None:
    batch = plane(walk(2), SIZE)
    open_to = correspondences_of(targets_of(batch), patch=14).seen
    batch.depth[0, 1] = batch.depth[0, 1] * 0.5  # something nearer stands before it all
    hidden = correspondences_of(targets_of(batch), patch=14).seen
    assert open_to[0, 0, :, 1].any() and not hidden[0, 0, :, 1].any()
    away = torch.stack([walk(1)[0], torch.cat([turned(120.0), torch.zeros(3, 1)], dim=1)])
    assert not correspondences_of(targets_of(plane(away, SIZE)), patch=14).seen.any()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_a_thing_that_moves_is_followed_as_if_the_camera_had_moved(order: tuple[int, ...]) -> None:
    """A camera that goes right, and a world that goes left by as much: one and the same to it."""
    step = torch.tensor([0.2, 0.02, 0.0])
    poses = torch.eye(3, 4).repeat(3, 1, 1)
    poses[:, :, 3] = step * torch.arange(3.0)[:, None]
    walks = plane(poses, SIZE)
    moves = replace(
        walks,
        world_from_cam=torch.eye(3, 4).expand(1, 3, 3, 4),
        motion=-step.expand(1, 3, *SIZE, 3),
    )
    pixels = torch.tensor([[30, 20], [60, 40], [80, 10]]).expand(1, 3, 3, 2)
    one, other = (
        follow(targets_of(batch.reordered(torch.tensor(order))), pixels) for batch in (walks, moves)
    )
    assert torch.allclose(one.places, other.places, atol=1e-3)
    assert torch.equal(one.seen, other.seen) and one.seen.float().mean() > 0.7
    assert (one.places[0, 0, 0, 0] - one.places[0, 0, 0, 1]).norm() > 2


def test_displacement_is_how_far_points_moved_since_the_first_frame() -> None:
    """Who says it pays nothing; a frame off by a patch pays for that frame alone."""
    correspondences = correspondences_of(targets_of(plane(walk(3), SIZE)), patch=14)
    pred = correspondences.places[:, :, :, 0] - places_of(correspondences.grid)
    assert displacement_loss(pred, correspondences).item() == pytest.approx(0, abs=1e-6)
    pred[:, 0] += 100  # the first frame is not asked
    assert displacement_loss(pred, correspondences).item() == pytest.approx(0, abs=1e-6)
    seen = correspondences.seen[:, :, :, 0].sum((0, 2))
    pred[:, 1, :, 0] += 1.0
    expected = 0.95 * seen[1] / seen.sum()
    loss = displacement_loss(pred, correspondences)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)


def test_matching_is_least_where_queries_are_keys_of_the_right_patch() -> None:
    """With keys that are one-hot per patch, the query that mixes the four nearest is best."""
    batch = plane(walk(2), SIZE)
    correspondences = correspondences_of(targets_of(batch), patch=14)
    rows, columns = correspondences.grid
    patches = rows * columns
    keys = (30 * torch.eye(patches)).repeat(2, 1)[None]
    right = torch.zeros(2, patches, patches)
    for frame, other in ((0, 1), (1, 0)):
        for patch in range(patches):
            x, y = correspondences.places[0, frame, patch, other].tolist()
            column = min(max(round(x), 0), columns - 1)
            right[frame, patch, min(max(round(y), 0), rows - 1) * columns + column] = 1
    good, found = matching_loss(right.flatten(0, 1)[None], keys, correspondences)
    lost, missed = matching_loss(torch.zeros(1, 2 * patches, patches), keys, correspondences)
    assert found.item() == 1.0 and missed.item() < 0.3 and good < lost
    assert lost.item() == pytest.approx(np.log(patches), abs=1e-4)


@pytest.mark.parametrize("causal", [False, True])
def test_watching_queries_and_keys_changes_nothing(tiny, causal: bool) -> None:
    images, watcher = torch.rand(2, 3, 3, 28, 42), AttentionProbe((1,))
    with torch.no_grad():
        plain = tiny.network(images, causal)
        watched = tiny.network(images, causal, watch=watcher)
    assert torch.allclose(plain.depth, watched.depth, atol=1e-5)
    tokens = 3 * (tiny.network.config.num_special_tokens + 2 * 3)
    queries, keys = watcher.seen[1]
    head_dim = tiny.network.config.embed_dim // tiny.network.config.num_heads
    assert queries.shape == keys.shape == (2, tokens, head_dim) and set(watcher.seen) == {1}
