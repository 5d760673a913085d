"""Rendered clips: exact, seeded, and what they promise of motion."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from svggt.train.batch import camera_points, targets_of
from svggt.train.batch import rays as camera_rays
from svggt.train.matching import correspondences_of
from svggt.train.poses import transform
from svggt.train.synth.bundles import NOTHING, Bundles, Rays
from svggt.train.synth.camera_paths import STEPS, make_walks
from svggt.train.synth.furniture import BOX, CYLINDER, ELLIPSOID, PIECES
from svggt.train.synth.models import Library, Models, nearest_triangle
from svggt.train.synth.raycast import nearest
from svggt.train.synth.render import render_clips
from svggt.train.synth.rng import Rng
from svggt.train.synth.rooms import Places, make_places, rotation_by
from svggt.train.synth.surfaces import meet

CPU = torch.device("cpu")
SIZE = (42, 56)
MATERIALS = Library.on(CPU).colors.shape[1]  # of a model


def one(shape: int, turn: Tensor | None = None, velocity: float = 0.0) -> Places:
    """A place with one thing at (0, -1, 3), half as large as (1, 0.5, 0.25)."""
    none = torch.zeros(1)
    return Places(
        half_room=torch.full((1, 2), 50.0),
        height=torch.full((1,), 50.0),
        open_air=torch.ones(1, dtype=torch.bool),
        shape=torch.tensor([[shape]]),
        rotation=(torch.eye(3) if turn is None else turn)[None, None],
        centre=torch.tensor([[[0.0, -1.0, 3.0]]]),
        half=torch.tensor([[[1.0, 0.5, 0.25]]]),
        velocity=torch.tensor([[[0.0, 0.0, velocity]]]),
        piece=none.long()[None],
        models=standing(torch.zeros(1, 1, dtype=torch.long)),
        middles=torch.zeros(1, 1, 3),
    )


def standing(model: Tensor, turn: Tensor | None = None, scale: float = 1.0) -> Models:
    """Models (B, M) of the library in the middle of their places."""
    rotation = (torch.eye(3) if turn is None else turn).expand(*model.shape, -1, -1)
    zeros = torch.zeros(*model.shape, 3)
    return Models(model, rotation, scale * torch.ones(model.shape), zeros, zeros)


def single(origin: Tensor, direction: Tensor, frame: Tensor | None = None) -> Rays:
    """Rays (B, N, 3), each for itself."""
    when = torch.zeros(origin.shape[:2]) if frame is None else frame
    return Rays(origin, direction, when, origin)


def met(place: Places, *ray: list[float], frame: float = 0.0) -> float:
    """Distance to a thing from an origin in a direction."""
    origin, direction = (torch.tensor([[x]]) for x in ray)
    rays = single(origin, direction, torch.tensor([[frame]]))
    return nearest(place, Bundles.of(rays))[0].item()


AHEAD = [0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("shape", "x", "expected"),
    [
        (BOX, 0.0, 2.75),
        (BOX, 0.9, 2.75),
        (BOX, 1.1, NOTHING),
        (ELLIPSOID, 0.0, 2.75),
        (ELLIPSOID, 0.6, 3 - 0.25 * 0.8),
        (CYLINDER, 0.6, 3 - 0.25 * 0.8),
        (CYLINDER, 1.01, NOTHING),
    ],
)
def test_a_ray_meets_a_thing_where_it_is(shape: int, x: float, expected: float) -> None:
    assert met(one(shape), [x, -1.0, 0.0], AHEAD) == pytest.approx(expected, abs=1e-4)


def test_a_cylinder_has_caps_and_a_turned_box_is_deeper() -> None:
    above, below = [0.3, -4.0, 3.0], [0.0, 1.0, 0.0]
    assert met(one(CYLINDER), above, below) == pytest.approx(2.5, abs=1e-4)
    quarter = rotation_by(torch.tensor([0.0, torch.pi / 2, 0.0]))
    assert met(one(BOX, quarter), [0.0, -1.0, 0.0], AHEAD) == pytest.approx(2.0, abs=1e-4)


def test_what_moves_is_met_where_it_is_then() -> None:
    place = one(BOX, velocity=0.1)
    assert met(place, [0.0, -1.0, 0.0], AHEAD, frame=5.0) == pytest.approx(3.25, abs=1e-4)


def test_from_within_a_thing_is_not_seen() -> None:
    assert met(one(BOX), [0.0, -1.0, 3.0], AHEAD) == NOTHING


def test_a_ray_meets_the_triangle_that_it_passes_through() -> None:
    """Against the plane of every triangle and the point's place between its corners, in doubles."""
    generator = torch.Generator().manual_seed(1)
    library = Library.on(CPU)
    models = torch.arange(0, len(library.low), 9)
    turn = rotation_by(torch.tensor([0.2, 1.0, 0.1]))
    shape = (len(models), 300, 3)
    origin = 4 * torch.nn.functional.normalize(torch.randn(shape, generator=generator), dim=-1)
    direction = 0.4 * (torch.rand(shape, generator=generator) - 0.5) - 0.3 * origin
    rays = single(origin, direction)
    found, _, _ = nearest_triangle(standing(models[:, None], turn, 1.2), Bundles.of(rays))
    a, b, c = (1.2 * library.triangles[models].double() @ turn.T.double())[:, None].unbind(-2)
    start, ahead = origin.double()[:, :, None], direction.double()[:, :, None]
    normal = torch.linalg.cross(b - a, c - a).expand(-1, 300, -1, -1)
    distance = ((a - start) * normal).sum(-1) / (ahead * normal).sum(-1)
    point = start + distance[..., None] * ahead
    inside = [
        (torch.linalg.cross(q - p, point - p) * normal).sum(-1) > 0
        for p, q in ((a, b), (b, c), (c, a))
    ]
    expected = torch.where(inside[0] & inside[1] & inside[2], distance, NOTHING).amin(-1)
    assert 0.1 < (expected < NOTHING).double().mean() < 0.9
    same = (found.view(expected.shape) - expected).abs() < 1e-3
    assert same.double().mean() > 0.999  # but for rays that touch an edge


def test_furniture_far_from_the_sun_is_met_where_it_is() -> None:
    """Rays of light pass through a point 40 metres away: what they meet must not shift."""
    generator = torch.Generator().manual_seed(2)
    library, sun = Library.on(CPU), torch.tensor([20.0, -30.0, 15.0])
    models = torch.arange(0, len(library.low), 9)
    start = 2 * torch.rand((len(models), 400, 3), generator=generator) - torch.tensor([1.0, 2.0, 1])
    direction = torch.nn.functional.normalize(sun - start, dim=-1)
    rays = Rays(start, direction, torch.zeros(start.shape[:2]), sun.expand(len(models), 1, 3))
    lit = nearest_triangle(standing(models[:, None]), Bundles.of(rays))[0].view(start.shape[:2])
    each = nearest_triangle(standing(models[:, None]), Bundles.of(single(start, direction)))[0]
    off = (lit - each.view(lit.shape)).abs()
    assert (lit < NOTHING).any() and (off < 1e-3).float().mean() > 0.999


def test_where_no_furniture_is_in_sight_none_is_met() -> None:
    models = standing(torch.zeros(1, 1, dtype=torch.long))
    rays = single(torch.tensor([[[9.0, -9.0, 0.0]]]), torch.tensor([[[0.0, -1.0, 0.0]]]))
    assert nearest_triangle(models, Bundles.of(rays))[0].item() == NOTHING


def test_real_furniture_is_above_the_floor_and_as_large_as_furniture() -> None:
    library = Library.on(CPU)
    assert len(library.low) > 100
    assert library.high[:, 1].max() < 0.02  # y down; few triangles sink in a little
    size = library.high - library.low
    assert (size.amax(-1) > 0.29).all() and (size.amax(-1) < 3.1).all()


def test_a_point_is_where_every_camera_sees_it() -> None:
    """What one camera sees nothing hides from another but what that one sees itself."""
    chance = Rng(3, CPU)
    places = make_places(4, chance)
    places = replace(places, velocity=0 * places.velocity)
    poses = make_walks(places, 3, chance)
    views = torch.full((4, 2), 0.9)
    seen = torch.einsum("bij,bhwj->bhwi", poses[:, 0, :, :3], camera_rays(SIZE, views)).flatten(
        1, 2
    )
    start = poses[:, 0, None, :, 3].expand_as(seen)
    first = meet(places, single(start, seen)).distance
    clear = first.amin(1, keepdim=True) > 0.25  # a camera within a thing does not see it
    there = (first < 60) & clear
    points = start + first[..., None] * seen
    other = poses[:, 2, None, :, 3].expand_as(seen)
    back = meet(places, single(other, points - other)).distance
    assert clear.sum() > 1
    assert (back[there] <= 1 + 1e-3).all()  # something is met there at the latest
    assert (torch.abs(back[there] - 1) < 1e-3).float().mean() > 0.3  # much is in sight of both


def test_depth_unprojected_is_where_the_frames_agree() -> None:
    """Targets, matches and masks of rendered clips fit together."""
    clip = render_clips(6, 3, SIZE, Rng(5, CPU), shadows=False)
    targets = targets_of(clip)
    world = transform(camera_points(clip), clip.world_from_cam[:, :, None, None])
    assert torch.isfinite(world).all() and torch.isfinite(targets.pose_enc).all()
    correspondences = correspondences_of(targets, patch=14)
    assert correspondences.seen[clip.good].float().mean() > 0.1


def test_who_is_not_asked_is_not_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles of rays, of cameras and of lamps, meet what single rays meet among everything."""
    clip = render_clips(6, 3, SIZE, Rng(19, CPU))
    monkeypatch.setattr(Bundles, "reach", lambda _, centre, radius: radius == radius)
    slowly = render_clips(6, 3, SIZE, Rng(19, CPU))
    for field in fields(clip):
        quickly, all_asked = (getattr(x, field.name).float() for x in (clip, slowly))
        same = torch.isclose(quickly, all_asked, atol=1e-3)
        assert same.float().mean() > 0.9999, field.name  # but for rays that touch an edge


def test_the_same_seed_is_the_same_clip() -> None:
    first, again, other = (render_clips(2, 2, SIZE, Rng(seed, CPU)) for seed in (1, 1, 2))
    for field in fields(first):
        assert torch.equal(getattr(first, field.name), getattr(again, field.name)), field.name
    assert not torch.equal(first.depth, other.depth)


@pytest.mark.parametrize("size", [(42, 56), (56, 42), (28, 70)])
def test_pictures_are_pictures(size) -> None:
    clip = render_clips(3, 2, size, Rng(7, CPU))
    assert clip.images.shape == (3, 2, 3, *size) and clip.depth.shape == (3, 2, *size)
    assert clip.images.min() >= 0 and clip.images.max() <= 1
    assert clip.images.std(dim=(-1, -2)).mean() > 0.03  # something is in them
    tangents = torch.tan(clip.fields_of_view / 2)
    assert torch.allclose(tangents[:, 1] / tangents[:, 0], torch.tensor(size[1] / size[0]))


def test_cameras_move_as_a_hand_does() -> None:
    chance = Rng(11, CPU)
    places = make_places(64, chance)
    poses = make_walks(places, 8, chance)
    steps = torch.diff(poses[..., 3], dim=1).norm(dim=-1)
    assert steps.median() > STEPS[0] and steps.max() < 6 * STEPS[1]
    half = torch.stack(
        [places.half_room[:, 0], 0.5 * places.height, places.half_room[:, 1]], dim=-1
    )
    middle = torch.stack([0 * places.height, -0.5 * places.height, 0 * places.height], dim=-1)
    assert ((poses[..., 3] - middle[:, None]).abs() < half[:, None]).all()  # within the room
    rotation = poses[..., :3]
    assert torch.allclose(rotation @ rotation.transpose(-1, -2), torch.eye(3), atol=1e-4)
    assert (torch.linalg.det(rotation) > 0.99).all()
    assert (rotation[..., 1, 1] > 0).float().mean() > 0.95  # nearly upright


def test_most_clips_are_good_and_some_things_move() -> None:
    clip = render_clips(40, 2, (28, 42), Rng(13, CPU), shadows=False)
    assert clip.good.float().mean() > 0.6
    moving = clip.moving.flatten(1).any(1)
    assert 0.02 < moving.float().mean() < 0.6


def test_what_does_not_move_stays() -> None:
    """One camera, two moments: depth differs only where something that moves is or was."""
    chance = Rng(17, CPU)
    places = make_places(12, chance)
    pose = make_walks(places, 1, chance)[:, 0]
    views = torch.full((12, 2), 0.9)
    seen = torch.einsum("bij,bhwj->bhwi", pose[..., :3], camera_rays((28, 42), views)).flatten(1, 2)
    start = pose[:, None, :, 3].expand_as(seen)
    moves = torch.cat(
        [
            (places.velocity != 0).any(-1),
            torch.zeros(12, 6, dtype=torch.bool),
            (places.models.velocity != 0).any(-1).repeat_interleave(MATERIALS, dim=1),
        ],
        dim=1,
    )
    first, later = (
        meet(places, single(start, seen, torch.full(seen.shape[:2], t))) for t in (0.0, 4.0)
    )
    still = ~moves.gather(1, first.surface) & ~moves.gather(1, later.surface)
    assert torch.equal(first.distance[still], later.distance[still]) and not still.all()


def test_furniture_stands_on_the_floor() -> None:
    for piece in PIECES:
        lowest = min(part.centre[1] - part.half[1] - part.thick[1] for part in piece)
        assert -0.03 <= lowest <= 0.01
