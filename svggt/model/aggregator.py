"""The aggregator: blocks inside a frame alternating with blocks over frames (VGGT, section 3.2).

Knows nothing of how far a frame may look: the caller passes a way of attending per global layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import cast

import torch
from torch import Tensor, nn

from svggt.model.chunks import WHOLE, Chunks
from svggt.model.config import ModelConfig
from svggt.model.encoder import Encoder
from svggt.model.layers import Attend, Block
from svggt.model.rope import Rope


class Aggregator(nn.Module):
    """Turns pictures into tokens that know of each other."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        dim = config.embed_dim
        self.patch_embed = Encoder(config)
        self.frame_blocks = self._blocks()
        self.global_blocks = self._blocks()
        # Index 0 is the stream's first frame, index 1 every later one.
        self.camera_token = nn.Parameter(1e-6 * torch.randn(1, 2, 1, dim))
        self.register_token = nn.Parameter(
            1e-6 * torch.randn(1, 2, config.num_register_tokens, dim)
        )

    def _blocks(self) -> nn.ModuleList:
        config = self.config
        return nn.ModuleList(
            Block(config.embed_dim, config.num_heads, qk_norm=True) for _ in range(config.depth)
        )

    def forward(
        self,
        images: Tensor,
        attend: Callable[[int, Tensor | None], Attend] | None,
        first_frames: Sequence[int] = (0,),
        chunks: Chunks = WHOLE,
        residuals: bool = False,
    ) -> dict[int, Tensor]:
        """Tokens of the layers that the heads read.

        Args:
            images: (B, S, 3, H, W) in [0, 1], H and W multiples of the patch.
            attend: layer, residual -> how the tokens of all S frames attend in that global
                block; None: every token to every token.
            first_frames: number in its stream of the first frame of each clip; one: of all.
            chunks: how the pass is cut; a global block is cut only where all attend to all.
            residuals: tell `attend` how much the frame block's MLP changed each token, (B * S, P);
                else None.

        Returns:
            layer -> (B, S, P, 2 C): [frame block's output | global block's output], where the
            P tokens of a frame are camera, registers, patches.
        """
        config = self.config
        batch, frames, _, height, width = images.shape
        x = chunks.over(self.patch_embed, self._normalise(images).flatten(0, 1))
        x = torch.cat([self._special_tokens(batch, frames, first_frames), x], dim=1)
        grid = (height // config.patch_size, width // config.patch_size)
        head_dim = config.embed_dim // config.num_heads
        rope = Rope(grid, config.num_special_tokens, head_dim, config.rope_frequency, like=x)
        wanted = {*config.dpt_layers, config.depth - 1}
        outputs = {}
        for layer, (frame_block, global_block) in enumerate(
            zip(self.frame_blocks, self.global_blocks, strict=True)
        ):
            residual = None
            if residuals:
                inside, residual = cast(Block, frame_block).with_residual(x, rope)
            else:
                inside = chunks.over(partial(frame_block, rope=rope), x)  # (B * S, P, C)
            across = inside.unflatten(0, (batch, frames)).flatten(1, 2)  # (B, S * P, C)
            if attend is None:
                block = cast(Block, global_block)
                across = block.in_chunks(across, rope, x.shape[1], chunks)
            else:
                across = global_block(across, attend(layer, residual), rope)
            chunks.turn()
            x = across.unflatten(1, (frames, -1)).flatten(0, 1)
            if layer in wanted:
                outputs[layer] = torch.cat([inside, x], dim=-1).unflatten(0, (batch, frames))
        return outputs

    def _normalise(self, images: Tensor) -> Tensor:
        """ImageNet statistics, in the weights' dtype."""
        mean, std = _image_statistics(images.device, images.dtype)
        return ((images - mean) / std).to(self.camera_token.dtype)

    def _special_tokens(self, batch: int, frames: int, first_frames: Sequence[int]) -> Tensor:
        """(B * S, 1 + registers, C); which of the pair depends on the frame's number only."""
        pairs = torch.cat([self.camera_token, self.register_token], dim=2)[0]
        clips = [torch.arange(n, n + frames, device=pairs.device) for n in first_frames]
        numbers = clips[0] if len(clips) == 1 else torch.cat(clips)
        return pairs[(numbers > 0).long()].repeat(batch // len(clips), 1, 1)


@lru_cache(maxsize=8)  # brought to a device once: a copy from the host would wait for it
@torch.inference_mode(False)  # kept: a later training step must be able to use it
def _image_statistics(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean and deviation (3, 1, 1) of ImageNet's pictures."""
    mean = torch.tensor([0.485, 0.456, 0.406], device=device, dtype=dtype).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225], device=device, dtype=dtype).view(3, 1, 1)
    return mean, std
