"""Transformer layers shared by the encoder, the aggregator and the camera head.

Attention takes the way of attending as a function, so that one block serves a bidirectional
clip, a causal clip and a stream with a cached token memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svggt.model.chunks import Chunks
from svggt.model.rope import Rope

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(queries, keys, values), each (B, heads, tokens, head_dim), to (B, heads, tokens, head_dim)."""

_MOST_SCORES = 50_000_000  # 100 MB in bfloat16


def attend_all(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Every token sees every token."""
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and _few(q, k):
        # PyTorch's fused kernel computes bfloat16 in float32 there; two products do not.
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        return torch.softmax(scores, dim=-1) @ v
    return F.scaled_dot_product_attention(q, k, v)


def _few(q: Tensor, k: Tensor) -> bool:
    """Whether the scores of all pairs are few enough to be written down."""
    return q.shape[:2].numel() * q.shape[2] * k.shape[2] <= _MOST_SCORES


def attend_past(tokens_per_frame: int) -> Attend:
    """Frame t sees all tokens of frames 0..t (block-causal attention), exactly.

    Frame by frame, so that the fused kernel needs no mask and no work is done above the diagonal.
    """
    if tokens_per_frame == 1:
        return partial(F.scaled_dot_product_attention, is_causal=True)

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        steps = range(tokens_per_frame, k.shape[2] + 1, tokens_per_frame)
        frames = [
            attend_all(q[:, :, end - tokens_per_frame : end], k[:, :, :end], v[:, :, :end])
            for end in steps
        ]
        return torch.cat(frames, dim=2)

    return attend


def attend_past_at_once(tokens_per_frame: int, frames: int, device: torch.device) -> Attend:
    """What `attend_past` does, in one masked call: fewer launches, a mask of all token pairs.

    For training, whose clips are short and whose gradients would pass through every slice.

    Args:
        tokens_per_frame: P.
        frames: S, of every clip.
        device: where the tokens are.
    """
    frame = torch.arange(frames, device=device).repeat_interleave(tokens_per_frame)
    mask = frame[:, None] >= frame[None, :]  # (S P, S P)
    return partial(F.scaled_dot_product_attention, attn_mask=mask)


class LayerScale(nn.Module):
    """Multiplies each channel by a learned factor."""

    def __init__(self, dim: int, init: float):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), init))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between."""

    def __init__(self, dim: int, hidden: int, out: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Attention(nn.Module):
    """Multi-head attention; queries and keys are optionally normed per head, then rotated."""

    def __init__(self, dim: int, num_heads: int, qk_norm: bool):
        super().__init__()
        head_dim = dim // num_heads
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.q_norm = nn.LayerNorm(head_dim) if qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(head_dim) if qk_norm else nn.Identity()
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, attend: Attend, rope: Rope | None) -> Tensor:
        return self.merge(attend(*self.project(x, rope)))

    def project(self, x: Tensor, rope: Rope | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (B, heads, N, head_dim) each, of tokens (B, N, C)."""
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))  # (B, N, 3, heads, head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        q, k = self.q_norm(q), self.k_norm(k)
        if rope is not None:
            q, k = rope.rotate(q), rope.rotate(k)
        return q, k, v

    def merge(self, attended: Tensor) -> Tensor:
        """(B, heads, N, head_dim) to (B, N, C)."""
        return self.proj(attended.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A pre-norm transformer block with layer scale; the MLP is four times as wide.

    Args:
        dim: width.
        num_heads: heads of the attention.
        qk_norm: norm queries and keys over head_dim (aggregator only).
        eps: the layer norms' epsilon; 1e-6 in the encoder, 1e-5 elsewhere.
        layer_scale: initial value; 0.01 is for fine-tuning, from scratch begin at 0.3 to 1.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        qk_norm: bool = False,
        eps: float = 1e-5,
        layer_scale: float = 0.01,
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim, num_heads, qk_norm)
        self.ls1 = LayerScale(dim, layer_scale)
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = Mlp(dim, 4 * dim, dim)
        self.ls2 = LayerScale(dim, layer_scale)

    def forward(self, x: Tensor, attend: Attend = attend_all, rope: Rope | None = None) -> Tensor:
        return self._finish(x, self.attn(self.norm1(x), attend, rope))

    def in_chunks(self, x: Tensor, rope: Rope, tokens_per_frame: int, chunks: Chunks) -> Tensor:
        """What `forward` makes of (B, S * P, C) with `attend_all`, some frames at a time."""
        if chunks.frames is None:
            return self(x, attend_all, rope)
        pieces = x.split(chunks.frames * tokens_per_frame, dim=1)
        projected = []
        for piece in pieces:
            projected.append(self.attn.project(self.norm1(piece), rope))
            chunks.turn()
        keys, values = (torch.cat([each[i] for each in projected], dim=2) for i in (1, 2))
        finished = []
        for piece, (queries, _, _) in zip(pieces, projected, strict=True):
            attended = attend_all(queries, keys, values)
            finished.append(self._finish(piece, self.attn.merge(attended)))
            chunks.turn()
        return torch.cat(finished, dim=1)

    def with_residual(self, x: Tensor, rope: Rope) -> tuple[Tensor, Tensor]:
        """What `forward` makes of (B, P, C), and the norm (B, P) of what the MLP adds to it."""
        x = x + self.ls1(self.attn(self.norm1(x), attend_all, rope))
        added = self._mlp(x)
        return x + added, added.norm(dim=-1)

    def _finish(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.ls1(attended)
        return x + self._mlp(x)

    def _mlp(self, x: Tensor) -> Tensor:
        return self.ls2(self.mlp(self.norm2(x)))
