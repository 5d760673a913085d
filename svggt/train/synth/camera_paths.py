"""Hand-held cameras: smooth paths that look at things and keep away from walls."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from svggt.train.synth.rng import Rng
from svggt.train.synth.rooms import Places, rotation_by

STEPS = (0.03, 0.6)
"""Metres between two frames, log-uniform over clips."""

_REACH = 4.0  # metres from the middle that a camera goes in the open
_KEEPS_OFF = 0.85  # of the way to a wall
_LOOKS_AT = 0.8  # of clips look at a piece of furniture
_TURNS = (0.02, 0.12)  # radians a frame of walking to and fro
_TREMBLE = 0.1  # of a step
_ROLL = 0.08  # radians
_AHEAD = 15  # frames that one looks ahead along a way,
_SWAY, _SWAY_RATES = 0.3, (0.03, 0.08)  # and radians beside it, so much of them a frame
_SHAKE = 0.006  # radians, of a hand


def make_walks(places: Places, frames: int, chance: Rng) -> Tensor:
    """World_from_cam (B, S, 3, 4) of a walk through each place."""
    count = len(places.height)
    reach = torch.stack(
        [
            places.half_room[:, 0].clamp_max(_REACH),
            0.4 * places.height,
            places.half_room[:, 1].clamp_max(_REACH),
        ],
        dim=-1,
    )
    middle = torch.stack([0 * places.height, -0.5 * places.height, 0 * places.height], dim=-1)
    target = middle + chance.uniform(count, 3, low=-0.8, high=0.8) * reach
    piece = chance.integers(count, below=places.middles.shape[1])
    looked_at = places.middles[torch.arange(count, device=chance.device), piece]
    at_piece = chance.happens(count, 1, share=_LOOKS_AT)
    target = torch.where(at_piece, looked_at, target)
    away = F.normalize(chance.normal(count, 3) * _flat(chance, 0.3), dim=-1)
    start = target + away * chance.uniform(count, 1, low=0.8, high=3.5)
    step = chance.log_uniform(count, 1, 1, low=STEPS[0], high=STEPS[1])
    path = _paths(start, step, frames, chance)
    path = middle[:, None] + _held_in(path - middle[:, None], _KEEPS_OFF * reach[:, None])
    gaze = target[:, None] + _wander(step, frames, count, chance)
    return _looking(path, gaze, chance)


def make_way_walks(way: Tensor, frames: int, chance: Rng) -> Tensor:
    """World_from_cam (B, S, 3, 4) of a walk along corners (B, N, 3), of even steps, looking ahead.

    The line through the corners is Catmull and Rom's (1974): smooth, and it meets them all.
    """
    line = _spline(way)
    length = (line[:, 1:] - line[:, :-1]).norm(dim=-1).cumsum(1)
    length = torch.cat([torch.zeros_like(length[:, :1]), length], 1)
    whole = length[:, -1:]
    # Cameras look at where they will be, and a little to and fro; the line's end is left for that.
    ahead = whole * _AHEAD / frames
    at = torch.linspace(0, 1, frames, device=way.device) * (whole - ahead)
    path, gaze = _on(line, length, at), _on(line, length, at + ahead)
    step = whole[..., None] / frames
    path = path + _TREMBLE * step * chance.normal(*path.shape)
    when = torch.arange(frames, device=way.device)[None]
    rate, phase = (chance.uniform(len(way), 1, low=a, high=b) for a, b in (_SWAY_RATES, (0, 6.3)))
    sway = torch.zeros_like(path)
    sway[..., 1] = _SWAY * torch.sin(rate * when + phase) + _SHAKE * chance.normal(*when.shape)
    sway[..., 0] = _SHAKE * chance.normal(*when.shape)
    looks = torch.einsum("bsij,bsj->bsi", rotation_by(sway), gaze - path)
    return _looking(path, path + looks, chance)


def make_turns(where: Tensor, frames: int, chance: Rng) -> Tensor:
    """World_from_cam (B, S, 3, 4) of somebody at (B, 3) who turns once about on the spot."""
    angle = torch.linspace(0, 2 * torch.pi, frames, device=where.device)
    round_ = torch.stack([angle.cos(), 0.1 * (3 * angle).sin(), angle.sin()], -1)
    path = where[:, None] + 0.01 * chance.normal(len(where), frames, 3)
    return _looking(path, path + round_, chance)


def _spline(way: Tensor, each: int = 40) -> Tensor:
    """(B, (N - 1) * each + 1, 3) points of the line through corners (B, N, 3)."""
    first, last = 2 * way[:, :1] - way[:, 1:2], 2 * way[:, -1:] - way[:, -2:-1]
    a, b, c, d = (torch.cat([first, way, last], 1)[:, n : n + way.shape[1] - 1] for n in range(4))
    t = (torch.arange(each, device=way.device) / each)[:, None]
    a, b, c, d = (x[:, :, None] for x in (a, b, c, d))
    line = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    return torch.cat([line.flatten(1, 2), way[:, -1:]], 1)


def _on(line: Tensor, length: Tensor, at: Tensor) -> Tensor:
    """Points (B, S, 3) of a line (B, L, 3) with lengths (B, L), so far along it (B, S)."""
    after = torch.searchsorted(length, at.contiguous()).clamp(1, length.shape[1] - 1)
    before = after - 1
    low, high = length.gather(1, before), length.gather(1, after)
    share = ((at - low) / (high - low).clamp_min(1e-9)).clamp(0, 1)[..., None]
    three = (-1, -1, 3)
    one, other = (line.gather(1, n[..., None].expand(three)) for n in (before, after))
    return one * (1 - share) + other * share


def _paths(start: Tensor, step: Tensor, frames: int, chance: Rng) -> Tensor:
    """(B, S, 3): a way that bends and turns back before long, and a hand that trembles."""
    count = len(start)
    ahead, across = (
        F.normalize(chance.normal(count, 1, 3) * _flat(chance, 0.35), dim=-1) for _ in range(2)
    )
    way = ahead * _to_and_fro(count, frames, _TURNS, chance)
    bend = 1.5 * across * _to_and_fro(count, frames, (0.1, 0.9), chance)
    tremble = _TREMBLE * chance.normal(count, frames, 3)
    return start[:, None] + step * (way + 0.5 * bend + tremble)


def _wander(step: Tensor, frames: int, count: int, chance: Rng) -> Tensor:
    """(B, S, 3) that the gaze moves by: half of the clips hold it."""
    drifts = chance.happens(count, 1, 1, share=0.5)
    drift = 1.5 * chance.normal(count, 1, 3) * _to_and_fro(count, frames, (0.1, 0.4), chance)
    return step * (drift * drifts + 0.15 * chance.normal(count, frames, 3))


def _to_and_fro(count: int, frames: int, rates: tuple[float, float], chance: Rng) -> Tensor:
    """(B, S, 1) from 0 on, at first by 1 a frame; turns after a quarter of a period."""
    when = torch.arange(frames, device=chance.device, dtype=torch.float32)[None, :, None]
    rate = chance.uniform(count, 1, 1, low=rates[0], high=rates[1])
    return torch.sin(rate * when) / rate


def _looking(path: Tensor, gaze: Tensor, chance: Rng) -> Tensor:
    """World_from_cam (B, S, 3, 4) of cameras that look at a point, nearly level."""
    count, frames = path.shape[:2]
    ahead = F.normalize(gaze - path + 1e-4, dim=-1)
    down = torch.tensor([0.02, 1.0, 0.01], device=path.device).expand_as(ahead)
    right = F.normalize(torch.linalg.cross(down, ahead), dim=-1)
    below = torch.linalg.cross(ahead, right)
    rotation = torch.stack([right, below, ahead], dim=-1)
    roll = torch.zeros_like(path)
    steady, shaken = chance.normal(count, 1), chance.normal(count, frames)
    roll[..., 2] = _ROLL * steady + 0.1 * _ROLL * shaken
    return torch.cat([rotation @ rotation_by(roll), path[..., None]], dim=-1)


def _held_in(offset: Tensor, reach: Tensor) -> Tensor:
    """Softly bounded, so that a path slows down before a wall."""
    return reach * torch.tanh(offset / reach)


def _flat(chance: Rng, height: float) -> Tensor:
    """People move along the floor more than up and down."""
    return torch.tensor([1.0, height, 1.0], device=chance.device)
