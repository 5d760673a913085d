"""The track head: points of a clip's first frame followed through all its frames.

A features-only dense head feeds an iterative tracker in the manner of CoTracker (arXiv
2307.07635). The tracker attends over all frames of a clip, so tracking is an operation on a
clip: after n frames of a stream its tracks are those of the n-frame clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svggt.model.config import ModelConfig, TrackConfig
from svggt.model.dense_head import DenseHead
from svggt.model.layers import Mlp
from svggt.model.rope import sinusoids


@dataclass(frozen=True)
class TrackOutput:
    """What became of N query points in S frames.

    Attributes:
        iterations: one (B, S, N, 2) per iteration, pixels (x, y) of the input pictures; the
            last one is the answer. Frame 0 keeps the query.
        visibility: (B, S, N) in [0, 1].
        confidence: (B, S, N) in [0, 1].
    """

    iterations: list[Tensor]
    visibility: Tensor
    confidence: Tensor


class TrackHead(nn.Module):
    """Features of every frame, and the tracker over them."""

    def __init__(self, config: ModelConfig, track: TrackConfig):
        super().__init__()
        self.feature_extractor = DenseHead(config, track.latent_dim, out_channels=None)
        self.tracker = Tracker(track)

    def forward(
        self, tokens: dict[int, Tensor], size: tuple[int, int], query_points: Tensor
    ) -> TrackOutput:
        """Tracks (B, N, 2) query points, pixels (x, y) of frame 0, through the clip."""
        return self.tracker(self.feature_extractor(tokens, size), query_points)


class Tracker(nn.Module):
    """Refines coordinates and features of all points in all frames together."""

    def __init__(self, config: TrackConfig):
        super().__init__()
        self.config = config
        latent = config.latent_dim
        window = (2 * config.corr_radius + 1) ** 2
        # Flow embedding (2 axes of C/2), flow twice, correlation, feature.
        self.width = latent + 4 + latent + latent
        self.query_ref_token = nn.Parameter(torch.randn(1, 2, self.width))
        self.corr_mlp = Mlp(config.corr_levels * window, config.hidden_size, latent)
        self.updateformer = UpdateTransformer(config, self.width)
        self.fmap_norm = nn.LayerNorm(latent)
        self.ffeat_norm = nn.GroupNorm(1, latent)
        self.ffeat_updater = nn.Sequential(nn.Linear(latent, latent), nn.GELU())
        self.vis_predictor = nn.Sequential(nn.Linear(latent, 1))
        self.conf_predictor = nn.Sequential(nn.Linear(latent, 1))

    def forward(self, features: Tensor, query_points: Tensor) -> TrackOutput:
        """Tracks points over feature maps (B, S, C, h, w); see `TrackHead.forward`."""
        config, frames = self.config, features.shape[1]
        maps = self.fmap_norm(features.movedim(2, -1)).movedim(-1, 2)
        pyramid = _pyramid(maps, config.corr_levels)
        query = query_points / config.stride  # (B, N, 2)
        coords = query[:, None].expand(-1, frames, -1, -1)
        start = _sample(maps[:, 0], query).transpose(1, 2)  # (B, N, C)
        latents = start[:, None].expand(-1, frames, -1, -1)
        constant = self._positions(query, maps.shape[-2:])[:, None] + self._frame_tokens(frames)
        iterations = []
        for _ in range(config.iters):
            delta = self.updateformer(self._describe(coords, latents, pyramid) + constant)
            coords = coords + delta[..., :2]
            coords = torch.cat([query[:, None], coords[:, 1:]], dim=1)
            latents = latents + self.ffeat_updater(self._norm_update(delta[..., 2:]))
            iterations.append(coords * config.stride)
        return TrackOutput(
            iterations=iterations,
            visibility=self.vis_predictor(latents)[..., 0].sigmoid(),
            confidence=self.conf_predictor(latents)[..., 0].sigmoid(),
        )

    def _describe(self, coords: Tensor, latents: Tensor, pyramid: list[Tensor]) -> Tensor:
        """The tracker's input (B, S, N, width): where each point moved, and what is there."""
        flow = coords - coords[:, :1]
        scaled = flow / self.config.max_scale
        correlation = self.corr_mlp(_correlate(coords, latents, pyramid, self.config.corr_radius))
        embedded = _embed_flow(flow, self.config.latent_dim // 2)
        # The published input carries the scaled flow twice; the weights depend on it.
        return torch.cat([embedded, scaled, scaled, correlation, latents], dim=-1)

    def _positions(self, query: Tensor, grid: torch.Size) -> Tensor:
        """(B, N, width) sinusoidal embedding of the query's place in the feature map."""
        columns = torch.arange(grid[1], device=query.device, dtype=query.dtype)
        rows = torch.arange(grid[0], device=query.device, dtype=query.dtype)
        table = sinusoids(columns, rows, self.width, base=10000.0)
        return _sample(table.expand(len(query), -1, -1, -1), query).transpose(1, 2)

    def _frame_tokens(self, frames: int) -> Tensor:
        """(S, 1, width): a learned token for frame 0, another for the rest."""
        first, rest = self.query_ref_token[0]
        return torch.stack([first, *[rest] * (frames - 1)])[:, None]

    def _norm_update(self, delta: Tensor) -> Tensor:
        return self.ffeat_norm(delta.flatten(0, 2)).view_as(delta)


class UpdateTransformer(nn.Module):
    """Attention over time for each track, and over tracks (through virtual ones) for each frame."""

    def __init__(self, config: TrackConfig, width: int):
        super().__init__()
        hidden, heads = config.hidden_size, config.num_heads
        self.input_norm = nn.LayerNorm(width)
        self.input_transform = nn.Linear(width, hidden)
        self.output_norm = nn.LayerNorm(hidden)
        self.flow_head = nn.Linear(hidden, 2 + config.latent_dim)
        # Spelt as in the published checkpoints.
        self.virual_tracks = nn.Parameter(torch.randn(1, config.num_virtual_tracks, 1, hidden))
        rounds = range(config.depth)
        self.time_blocks = nn.ModuleList(SelfBlock(hidden, heads) for _ in rounds)
        self.space_virtual_blocks = nn.ModuleList(SelfBlock(hidden, heads) for _ in rounds)
        self.space_point2virtual_blocks = nn.ModuleList(CrossBlock(hidden, heads) for _ in rounds)
        self.space_virtual2point_blocks = nn.ModuleList(CrossBlock(hidden, heads) for _ in rounds)

    def forward(self, described: Tensor) -> Tensor:
        """(B, S, N, width) to updates (B, S, N, 2 + C) of coordinates and features."""
        batch, frames, count, _ = described.shape
        tokens = self.input_transform(self.input_norm(described)).transpose(1, 2)  # (B, N, S, C)
        virtual = self.virual_tracks.expand(batch, -1, frames, -1)
        x = torch.cat([tokens, virtual], dim=1)
        for over_time, from_points, among_virtual, to_points in zip(
            self.time_blocks,
            self.space_virtual2point_blocks,
            self.space_virtual_blocks,
            self.space_point2virtual_blocks,
            strict=True,
        ):
            x = over_time(x.flatten(0, 1)).view_as(x)
            space = x.transpose(1, 2).flatten(0, 1)  # (B * S, N + virtual, C)
            points, virtual = space[:, :count], space[:, count:]
            virtual = among_virtual(from_points(virtual, points))
            points = to_points(points, virtual)
            x = torch.cat([points, virtual], dim=1).unflatten(0, (batch, frames)).transpose(1, 2)
        return self.flow_head(self.output_norm(x[:, :count] + tokens)).transpose(1, 2)


class SelfBlock(nn.Module):
    """Deviation from a usual block that the checkpoints depend on: the skip carries norm1(x)."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        self.mlp = Mlp(dim, 4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x)
        x = x + self.attn(x, x, x, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class CrossBlock(nn.Module):
    """As `SelfBlock`, attending to a context that is normed too."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.norm1, self.norm_context = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.cross_attn = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        self.mlp = Mlp(dim, 4 * dim, dim)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        x, context = self.norm1(x), self.norm_context(context)
        x = x + self.cross_attn(x, context, context, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


def _pyramid(maps: Tensor, levels: int) -> list[Tensor]:
    """(B, S, C, h, w) at full, half, quarter ... resolution, averaged."""
    pyramid = [maps]
    for _ in range(levels - 1):
        halved = F.avg_pool2d(pyramid[-1].flatten(0, 1), kernel_size=2)
        pyramid.append(halved.unflatten(0, maps.shape[:2]))
    return pyramid


def _correlate(coords: Tensor, latents: Tensor, pyramid: list[Tensor], radius: int) -> Tensor:
    """Dot products of each point's feature with the maps around it.

    Sampling is linear, so the maps' features are sampled before the product, which needs less
    memory than the product's own map over the picture.

    Returns:
        (B, S, N, levels * (2 radius + 1)^2).
    """
    offset = torch.arange(-radius, radius + 1, device=coords.device, dtype=coords.dtype)
    # The published window pairs "ij" offsets with (x, y) as they are: x varies slowest.
    window = torch.cartesian_prod(offset, offset)  # (K, 2)
    flat_coords, flat_latents = coords.flatten(0, 1), latents.flatten(0, 1)
    scale = latents.shape[-1] ** 0.5
    levels = []
    for level, maps in enumerate(pyramid):
        around = flat_coords[:, :, None] / 2**level + window  # (B * S, N, K, 2)
        sampled = _sample(maps.flatten(0, 1), around.flatten(1, 2), padding="zeros")
        sampled = sampled.unflatten(2, around.shape[1:3])  # (B * S, C, N, K)
        levels.append(torch.einsum("bnc,bcnk->bnk", flat_latents, sampled) / scale)
    return torch.cat(levels, dim=-1).unflatten(0, coords.shape[:2])


def _embed_flow(flow: Tensor, channels: int) -> Tensor:
    """(..., 2) to (..., 2 * channels): per axis, sines and cosines interleaved."""
    steps = torch.arange(0, channels, 2, device=flow.device, dtype=flow.dtype)
    angles = flow[..., None] * (steps * (1000.0 / channels))  # (..., 2, channels / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-3)


def _sample(maps: Tensor, points: Tensor, padding: str = "border") -> Tensor:
    """Samples (B, C, h, w) bilinearly at (B, N, 2) pixels (x, y), to (B, C, N)."""
    height, width = maps.shape[-2:]
    # A map one pixel wide has no extent: any coordinate but 0 then lies outside.
    extent = points.new_tensor([max(width - 1, 1), max(height - 1, 1)])
    grid = (2 * points / extent - 1)[:, None]  # (B, 1, N, 2)
    sampled = F.grid_sample(maps, grid, mode="bilinear", padding_mode=padding, align_corners=True)
    return sampled[:, :, 0]
