"""The picture encoder: a DINOv2 vision transformer with register tokens (arXiv 2304.07193)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svggt.model.config import ModelConfig
from svggt.model.layers import Block


class PatchEmbed(nn.Module):
    """Cuts a picture into square patches and projects each to a token."""

    def __init__(self, patch_size: int, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images)  # (N, C, rows, columns)


class Encoder(nn.Module):
    """Patch tokens of each picture, without its neighbours' influence."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        dim, side = config.embed_dim, config.img_size // config.patch_size
        self.num_registers = config.num_register_tokens
        self.patch_embed = PatchEmbed(config.patch_size, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + side * side, dim))
        self.register_tokens = nn.Parameter(torch.zeros(1, self.num_registers, dim))
        self.mask_token = nn.Parameter(torch.zeros(1, dim))  # unused; checkpoints carry it
        self.blocks = nn.ModuleList(
            Block(dim, config.encoder_heads, eps=1e-6) for _ in range(config.encoder_depth)
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:
        """Encodes normalised pictures (N, 3, H, W) to patch tokens (N, rows * columns, C)."""
        patches = self.patch_embed(images)
        class_position, positions = self._positions(*patches.shape[-2:])
        count = len(images)
        tokens = torch.cat(
            [
                (self.cls_token + class_position).expand(count, -1, -1),
                self.register_tokens.expand(count, -1, -1),  # registers have no position
                patches.flatten(2).transpose(1, 2) + positions,
            ],
            dim=1,
        )
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)[:, 1 + self.num_registers :]

    def _positions(self, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """The class token's position and the learned grid resized to the picture's."""
        class_position, grid = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        side = math.isqrt(grid.shape[1])
        if (rows, columns) == (side, side):
            return class_position, grid
        square = grid.transpose(1, 2).unflatten(2, (side, side))
        # Bicubic is not implemented for half precision on every device.
        wide = square.to(torch.promote_types(square.dtype, torch.float32))
        resized = F.interpolate(wide, size=(rows, columns), mode="bicubic", antialias=True)
        return class_position, resized.to(grid.dtype).flatten(2).transpose(1, 2)
