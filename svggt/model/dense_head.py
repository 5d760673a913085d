"""Dense prediction heads: depth, point map, and features for tracking (DPT, arXiv 2103.13413)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svggt.model.chunks import WHOLE, Chunks
from svggt.model.config import ModelConfig
from svggt.model.rope import axis_sinusoids, spanned


class ResidualConvUnit(nn.Module):
    """Two 3x3 convolutions with a skip connection.

    Deviation from DPT that the checkpoints depend on: the published unit applies its ReLU in
    place, so the skip connection carries relu(x), not x.
    """

    def __init__(self, features: int):
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        return self.conv2(F.relu(self.conv1(x))) + x


class FusionBlock(nn.Module):
    """Joins a coarser map with the next finer level. The coarsest block has no lateral."""

    def __init__(self, features: int, lateral: bool):
        super().__init__()
        self.out_conv = nn.Conv2d(features, features, 1)
        if lateral:
            self.resConfUnit1 = ResidualConvUnit(features)
        self.resConfUnit2 = ResidualConvUnit(features)

    def forward(self, x: Tensor, lateral: Tensor | None, size: tuple[int, int]) -> Tensor:
        if lateral is not None:
            x = x + self.resConfUnit1(lateral)
        return self.out_conv(_resize(self.resConfUnit2(x), size))


class Scratch(nn.Module):
    """The convolutions from four levels to one map; named as in the published checkpoints."""

    def __init__(self, config: ModelConfig, features: int, out_channels: int | None):
        super().__init__()
        for level, channels in enumerate(config.dpt_out_channels, start=1):
            self.add_module(
                f"layer{level}_rn", nn.Conv2d(channels, features, 3, padding=1, bias=False)
            )
            self.add_module(f"refinenet{level}", FusionBlock(features, lateral=level < 4))
        if out_channels is None:  # features only
            self.output_conv1 = nn.Conv2d(features, features, 3, padding=1)
            return
        self.output_conv1 = nn.Conv2d(features, features // 2, 3, padding=1)
        self.output_conv2 = nn.Sequential(
            nn.Conv2d(features // 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, out_channels, 1)
        )

    def fuse(self, levels: list[Tensor], turn: Callable[[], None]) -> Tensor:
        """Four maps, fine to coarse, to one of twice the finest one's size.

        Args:
            levels: the maps.
            turn: called after each; see `Chunks`.
        """
        laterals = [self.get_submodule(f"layer{i}_rn")(x) for i, x in enumerate(levels, start=1)]
        x, lateral = laterals[3], None
        for level in (4, 3, 2, 1):
            height, width = laterals[max(level - 2, 0)].shape[-2:]
            size = (height, width) if level > 1 else (2 * height, 2 * width)
            x = self.get_submodule(f"refinenet{level}")(x, lateral, size)
            lateral = laterals[level - 2]
            turn()
        return self.output_conv1(x)


class DenseHead(nn.Module):
    """From the tokens of four layers to a map over the picture.

    Args:
        config: sizes.
        features: width of the fusion.
        out_channels: channels of the prediction, the last one being the raw confidence;
            None for a head that ends with its features.
    """

    def __init__(self, config: ModelConfig, features: int, out_channels: int | None):
        super().__init__()
        self.config = config
        self.out_channels = out_channels
        dim = 2 * config.embed_dim
        first, second, _, fourth = config.dpt_out_channels
        self.norm = nn.LayerNorm(dim)
        self.projects = nn.ModuleList(nn.Conv2d(dim, c, 1) for c in config.dpt_out_channels)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(first, first, kernel_size=4, stride=4),
                nn.ConvTranspose2d(second, second, kernel_size=2, stride=2),
                nn.Identity(),
                nn.Conv2d(fourth, fourth, kernel_size=3, stride=2, padding=1),
            ]
        )
        self.scratch = Scratch(config, features, out_channels)

    def forward(
        self, tokens: dict[int, Tensor], size: tuple[int, int], chunks: Chunks = WHOLE
    ) -> Tensor:
        """Predicts for every frame.

        Args:
            tokens: layer -> (B, S, P, 2 C), of the aggregator.
            size: (H, W) of the pictures.
            chunks: how the pass is cut; no frame knows of another here.

        Returns:
            (B, S, out_channels, H, W) raw predictions; a features-only head returns
            (B, S, features, H / r, W / r) with r the tracker's `down_ratio`.
        """
        count = tokens[self.config.dpt_layers[0]].shape[1]
        pieces = [
            self._predict({layer: x[:, span] for layer, x in tokens.items()}, size, chunks.turn)
            for span in chunks.spans(count)
        ]
        return torch.cat(pieces, dim=1)

    def _predict(
        self, tokens: dict[int, Tensor], size: tuple[int, int], turn: Callable[[], None]
    ) -> Tensor:
        batch, frames = tokens[self.config.dpt_layers[0]].shape[:2]
        x = self.scratch.fuse(self._levels(tokens, size), turn)
        if self.out_channels is None:
            assert self.config.track is not None
            ratio = self.config.track.down_ratio
            x = _resize(x, (size[0] // ratio, size[1] // ratio))
        else:
            inner, relu, last = self.scratch.output_conv2
            x = relu(inner(_add_uv(_resize(x, size), size)))
            # The last one is float32, also where the rest is reduced.
            x = last(x.to(cast(nn.Conv2d, last).weight.dtype))
        return x.unflatten(0, (batch, frames))

    def _levels(self, tokens: dict[int, Tensor], size: tuple[int, int]) -> list[Tensor]:
        """The four layers' patch tokens as maps at 4, 2, 1 and 1/2 times the patch grid."""
        rows = size[0] // self.config.patch_size
        levels = []
        for layer, project, resize in zip(
            self.config.dpt_layers, self.projects, self.resize_layers, strict=True
        ):
            patches = tokens[layer][:, :, self.config.num_special_tokens :].flatten(0, 1)
            patches = self.norm(patches.to(self.norm.weight.dtype))
            x = project(patches.transpose(1, 2).unflatten(2, (rows, -1)))
            if self.out_channels is not None:  # features for tracking carry no position
                x = _add_uv(x, size)
            levels.append(resize(x))
        return levels


def activate_depth(raw: Tensor) -> tuple[Tensor, Tensor]:
    """(B, S, 2, H, W) to depth (B, S, H, W, 1), positive, and confidence (B, S, H, W), >= 1."""
    return raw[:, :, :1].movedim(2, -1).exp(), 1 + raw[:, :, -1].exp()


def activate_points(raw: Tensor) -> tuple[Tensor, Tensor]:
    """(B, S, 4, H, W) to world points (B, S, H, W, 3) and confidence (B, S, H, W), >= 1."""
    points = raw[:, :, :3].movedim(2, -1)
    return points.sign() * points.abs().expm1(), 1 + raw[:, :, -1].exp()


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def _add_uv(x: Tensor, picture: tuple[int, int], weight: float = 0.1) -> Tensor:
    """Adds a sinusoidal embedding of where in the picture each cell lies."""
    aspect = picture[1] / picture[0]
    diagonal = (aspect**2 + 1) ** 0.5
    channels, height, width = x.shape[1:]
    like = (channels // 2, weight, x.device, x.dtype)
    columns = _axis_embedding(width, aspect / diagonal, *like)
    return x + spanned(columns, _axis_embedding(height, 1 / diagonal, *like))


@lru_cache(maxsize=128)  # small, and the same for every frame of a size
@torch.inference_mode(False)  # kept: a later training step must be able to use it
def _axis_embedding(
    count: int, half: float, channels: int, weight: float, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """(channels, count) of one axis, weighted; computed in doubles."""
    axis = _centred_axis(count, half, device)
    return (weight * axis_sinusoids(axis, channels, base=100.0)).to(dtype)


def _centred_axis(count: int, half: float, device: torch.device) -> Tensor:
    """Centres of `count` cells that span [-half, half]."""
    edge = half * (count - 1) / count
    # Built on the CPU: not every accelerator knows float64.
    return torch.linspace(-edge, edge, count, dtype=torch.float64).to(
        device, torch.float32 if device.type == "mps" else torch.float64
    )
