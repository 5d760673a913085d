"""Clips: places seen by cameras that walk through them, under light, through a lens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from svggt.train.batch import ClipBatch
from svggt.train.batch import rays as camera_rays
from svggt.train.synth import models, raycast
from svggt.train.synth.bundles import NOTHING, Rays
from svggt.train.synth.camera_paths import make_walks
from svggt.train.synth.materials import Materials, albedo, make_materials
from svggt.train.synth.models import Library
from svggt.train.synth.rng import Rng
from svggt.train.synth.rooms import Places, make_places
from svggt.train.synth.surfaces import FACES, Met, meet, obstacle

_FAR = 60.0  # metres from which depth counts as unknown
_CLOSE = 0.25  # metres: a clip that is nearer to things for a twentieth of it is not good
_SKY = 0.35  # of a clip must not be unknown
_TILE = 14  # pixels of a side that are cast in one bundle
_AS_IT_IS = 0.6  # of real furniture has its own colours
_DULL = 0.9  # that a mirror gives back
_LIFT = 1e-3  # metres from a surface that a ray of light starts


def compile_rendering() -> None:
    """Fuses the element-wise passes of what rays meet, in this process, from now on."""
    for module, name in ((models, "nearest_of"), (raycast, "nearest_of")):
        setattr(module, name, torch.compile(getattr(module, name), dynamic=True))


@torch.no_grad()
def render_clips(
    count: int, frames: int, size: tuple[int, int], chance: Rng, shadows: bool = True
) -> ClipBatch:
    """Renders clips, exact in depth, cameras and motion.

    Args:
        count: number of clips, B.
        frames: number of frames in each, S.
        size: (H, W) of the pictures, multiples of 14.
        chance: draws everything.
        shadows: cast a ray of light from every pixel too.

    Raises:
        ValueError: a size that is no multiple of 14.
    """
    height, width = size
    if height % _TILE or width % _TILE:
        raise ValueError(f"{width} x {height} pixels: both must be multiples of {_TILE}")
    # What there is, who walks through it, and with which lens.
    places = make_places(count, chance)
    poses = make_walks(places, frames, chance)
    views = _fields_of_view(count, size, chance)
    # One ray a pixel meets the nearest surface; light is computed there, once, for all clips.
    rays = _cast(poses, _tiled(camera_rays(size, views)))
    met = meet(places, rays)
    colors = _lit(places, rays, met, chance, shadows)
    images = _untiled(colors, frames, size).permute(0, 1, 4, 2, 3)
    # What is far or sky has no depth: losses leave it out.
    depth = torch.where(met.distance < _FAR, met.distance, 0.0)
    depth = _untiled(depth, frames, size)  # the rays' z is 1 in their cameras
    return ClipBatch(
        images=_photographed(images, chance),
        depth=depth,
        world_from_cam=poses,
        fields_of_view=views,
        motion=_untiled(_motion(places, met), frames, size),
        when=torch.arange(frames, device=chance.device, dtype=depth.dtype),
        good=_good(depth),
    )


@dataclass(frozen=True, eq=False)
class Appearance:
    """What is odd about surfaces of a place.

    Attributes:
        plain: (B, K + FACES) which sides of primitives and faces of the room have one colour.
        mirrors: (B, K) which primitives are mirrors; their depth is unknown.
    """

    plain: Tensor
    mirrors: Tensor


@torch.no_grad()
def render_frames(
    places: Places,
    poses: Tensor,
    views: Tensor,
    size: tuple[int, int],
    appearance: Appearance,
    seed: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Renders a long clip of one place frame by frame, without shadows.

    Args:
        places: one, B = 1; what moves in it stands still here.
        poses: (1, S, 3, 4) world_from_cam.
        views: (1, 2) vertical and horizontal fields of view, radians.
        size: (H, W) of the pictures, multiples of 14.
        appearance: of its surfaces.
        seed: of light and materials, the same for all frames.

    Yields:
        Pictures (H, W, 3) in linear light, and z-depth (H, W) in metres, 0 where unknown.
    """
    ahead, device = _tiled(camera_rays(size, views)), poses.device
    for number in range(poses.shape[1]):
        rays = _cast(poses[:, number : number + 1], ahead)
        met = meet(places, rays)
        colors = _lit(places, rays, met, Rng(seed, device), False, appearance.plain)
        seen_in = torch.cat([appearance.mirrors, appearance.mirrors.new_zeros(1, 1)], 1)
        mirrored = seen_in[0, met.surface[0].clamp_max(seen_in.shape[1] - 1)]
        mirrored &= met.distance[0] < NOTHING
        if mirrored.any():
            again = _reflected(rays, met, mirrored)
            there = meet(places, again)
            colors[:, mirrored] = _DULL * _lit(
                places, again, there, Rng(seed, device), False, appearance.plain
            )
        known = (met.distance < _FAR) & ~mirrored
        depth = torch.where(known, met.distance, 0.0)
        yield _untiled(colors, 1, size)[0, 0], _untiled(depth, 1, size)[0, 0]


def _reflected(rays: Rays, met: Met, chosen: Tensor) -> Rays:
    """Where chosen rays (N,) of one place go on; each is a bundle of its own."""
    direction, normal = rays.direction[:, chosen], met.normal[:, chosen]
    point = rays.origin[:, chosen] + met.distance[:, chosen, None] * direction + _LIFT * normal
    onward = direction - 2 * (direction * normal).sum(-1, keepdim=True) * normal
    return Rays(point, onward, rays.frame[:, chosen], point)


def _tiled(pixels: Tensor) -> Tensor:
    """(B, H, W, C) of a picture to (B, tiles, pixels, C): what lies together is cast together."""
    tiles = pixels.unflatten(2, (-1, _TILE)).unflatten(1, (-1, _TILE))
    return tiles.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _untiled(values: Tensor, frames: int, size: tuple[int, int]) -> Tensor:
    """(B, N, ...) in the order of `_cast` to (B, S, H, W, ...)."""
    rows, columns = (side // _TILE for side in size)
    tiles = values.unflatten(1, (frames, rows, columns, _TILE, _TILE))
    return tiles.transpose(3, 4).flatten(4, 5).flatten(2, 3)


def _cast(poses: Tensor, ahead: Tensor) -> Rays:
    """From cameras (B, S, 3, 4) in directions (B, tiles, pixels, 3) of their axes."""
    directions = torch.einsum("bsij,btpj->bstpi", poses[..., :3], ahead)
    origins = poses[:, :, None, :, 3].expand(-1, -1, ahead.shape[1], -1)
    frame = torch.arange(poses.shape[1], device=poses.device, dtype=poses.dtype)
    return Rays(
        origins[:, :, :, None].expand_as(directions).flatten(1, 3),
        directions.flatten(1, 3),
        frame[None, :, None, None].expand(directions.shape[:-1]).flatten(1),
        origins.flatten(1, 2),
    )


def _lit(
    places: Places,
    rays: Rays,
    met: Met,
    chance: Rng,
    shadows: bool,
    plain: Tensor | None = None,
) -> Tensor:
    """Colours (B, N, 3): a lamp in a room, the sun outside, and light from everywhere."""
    # Where the light is: a lamp below the ceiling, or a sun so far that its rays are near parallel.
    count, materials = len(places.height), _materials(places, chance)
    if plain is not None:
        materials = materials.plain(plain)
    point = rays.origin + met.distance.clamp_max(_FAR)[..., None] * rays.direction
    lamp = torch.stack(
        [
            0.7 * places.half_room[:, 0] * chance.uniform(count, low=-1),
            -chance.uniform(count, low=0.7, high=0.98) * places.height,
            0.7 * places.half_room[:, 1] * chance.uniform(count, low=-1),
        ],
        dim=-1,
    )
    sun = point.new_tensor([0.0, -30.0, 0.0]) + 20 * chance.normal(count, 3)
    sun = torch.cat([sun[:, :1], -sun[:, 1:2].abs() - 10, sun[:, 2:]], dim=1)
    outside = places.open_air[:, None]
    light = torch.where(outside, sun, lamp)[:, None]
    # Lambert's cosine, and the lamp's fall-off with distance (softened: rooms reflect).
    towards = light - point
    reach = towards.norm(dim=-1, keepdim=True)
    facing = ((met.normal * towards).sum(-1, keepdim=True) / reach).clamp_min(0)
    falls_off = torch.where(outside[..., None], 1.0, 1 / (1 + 0.15 * reach**2))
    direct = chance.uniform(count, 1, 1, low=0.6, high=2.0) * facing * falls_off
    if shadows:
        direct = direct * _lit_by(light, places, point + _LIFT * met.normal, rays)
    # Light from everywhere, more from above (y is down) than from below.
    up = 0.5 - 0.5 * met.normal[..., 1:2]
    ambient = chance.uniform(count, 1, 1, low=0.4, high=0.9) * (0.6 + 0.4 * up)
    tint = 1 + 0.08 * chance.normal(count, 1, 3)
    colors = albedo(materials.of(met.surface), met.u, met.v) * (ambient + direct * tint)
    sky = chance.uniform(count, 1, 3, low=0.5, high=1.0)
    height = F.normalize(rays.direction, dim=-1)[..., 1:2]
    return torch.where(met.distance[..., None] < NOTHING, colors, sky * (1 + 0.4 * height))


def _materials(places: Places, chance: Rng) -> Materials:
    """Of all surfaces; most models look as they are, the others as anything."""
    # Surfaces are numbered: primitives' sides, the room's faces, then the parts of models.
    own = Library.on(chance.device).colors[places.models.model]  # (B, M, G, 3)
    count, models, each = own.shape[:3]
    pieces = places.middles.shape[1] - models
    faces = pieces + torch.arange(FACES, device=chance.device)
    of_models = pieces + FACES + torch.arange(models * each, device=chance.device) // each
    others = torch.cat([faces, of_models]).expand(count, -1)
    piece = torch.cat([places.piece, others], dim=1)
    drawn = make_materials(piece, pieces + FACES + models, chance)
    as_it_is = chance.happens(count, models, 1, share=_AS_IT_IS).expand(-1, -1, each)
    rest = piece.shape[1] - models * each
    return drawn.painted(rest, own.flatten(1, 2), as_it_is.flatten(1))


def _lit_by(light: Tensor, places: Places, start: Tensor, rays: Rays) -> Tensor:
    """(B, N, 1): 1 where light arrives, a little where something stands before it."""
    towards = light - start
    reach = towards.norm(dim=-1, keepdim=True)
    distance = obstacle(
        places, Rays(start, towards / reach, rays.frame, light.expand_as(rays.apex))
    )
    return torch.where(distance[..., None] < reach, 0.15, 1.0)


def _photographed(images: Tensor, chance: Rng) -> Tensor:
    """Exposure, gamma, a soft lens and a noisy sensor, (B, S, 3, H, W) in [0, 1]."""
    # Exposure differs between clips, and a little between frames of one (a camera that adapts).
    count, frames = images.shape[:2]
    exposure = 0.25 * chance.normal(count, 1, 1, 1, 1) + 0.03 * chance.normal(
        count, frames, 1, 1, 1
    )
    bright = images * exposure.exp()
    bright = 1.15 * bright / (1 + 0.25 * bright)  # highlights are kept
    seen = bright.clamp(1e-4, 1) ** chance.uniform(count, 1, 1, 1, 1, low=0.55, high=1.2)
    # Half of the lenses are soft; grain comes after the lens, as on a sensor.
    soft = F.avg_pool2d(F.pad(seen.flatten(0, 1), (1, 1, 1, 1), mode="replicate"), 3, 1)
    share = 0.6 * chance.happens(count, 1, 1, 1, 1, share=0.5)
    seen = seen * (1 - share) + soft.unflatten(0, (count, frames)) * share
    grain = chance.uniform(count, 1, 1, 1, 1, high=0.03)
    return (seen + grain * chance.normal(*images.shape)).clamp(0, 1)


def _fields_of_view(count: int, size: tuple[int, int], chance: Rng) -> Tensor:
    """(B, 2) vertical and horizontal, of square pixels; the longer side spans 43 to 83 degrees."""
    height, width = size
    longer = chance.uniform(count, low=0.75, high=1.45)
    focal = max(size) / 2 / torch.tan(longer / 2)
    return 2 * torch.atan(torch.stack([height / 2 / focal, width / 2 / focal], dim=-1))


def _motion(places: Places, met: Met) -> Tensor:
    """(B, N, 3) metres a frame that what was met moves by itself; the sky does not."""
    still = torch.zeros(len(places.velocity), FACES, 3, device=places.velocity.device)
    materials = Library.on(still.device).colors.shape[1]
    models = places.models.velocity.repeat_interleave(materials, dim=1)
    velocity = torch.cat([places.velocity, still, models], dim=1)
    chosen = velocity.gather(1, met.surface[..., None].expand(-1, -1, 3))
    return torch.where(met.distance[..., None] < NOTHING, chosen, 0.0)


def _good(depth: Tensor) -> Tensor:
    """(B,): not within a thing, and not of the sky alone."""
    known = depth > 0
    enough = known.float().mean((1, 2, 3)) > _SKY
    close = ((depth < _CLOSE) & known).float().mean((1, 2, 3)) < 0.05
    return enough & close
