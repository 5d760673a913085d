"""2-D rotary position embedding of a frame's tokens, and the sinusoidal tables of the heads."""

from __future__ import annotations

import torch
from torch import Tensor


class Rope:
    """Cosines and sines that rotate the queries and keys of one frame's tokens.

    The first half of head_dim turns with the patch's row, the second with its column; positions
    start at 1, special tokens sit at 0. A position does not depend on the frame, so a rotated
    key is final and can be cached (docs/conventions.md).

    Args:
        grid: (rows, columns) of patches.
        num_special: tokens before the patches.
        head_dim: width of one attention head, a multiple of 4.
        frequency: base of the angles.
        like: a tensor on the wanted device. Tables are float32, or float64 beside float64.
    """

    def __init__(
        self, grid: tuple[int, int], num_special: int, head_dim: int, frequency: float, like: Tensor
    ):
        dtype = torch.promote_types(like.dtype, torch.float32)
        half = head_dim // 2
        exponents = torch.arange(0, half, 2, device=like.device, dtype=dtype) / half
        rows = torch.arange(1, grid[0] + 1, device=like.device, dtype=dtype)
        columns = torch.arange(1, grid[1] + 1, device=like.device, dtype=dtype)
        patches = torch.cartesian_prod(rows, columns)  # (rows * columns, 2)
        positions = torch.cat([patches.new_zeros(num_special, 2), patches])
        angles = positions[:, :, None] / frequency**exponents  # (P, 2, head_dim / 4)
        angles = torch.cat([angles, angles], dim=-1).flatten(1)  # (P, head_dim)
        a, b, c, d = angles.sin().chunk(4, dim=-1)
        self.cos, self.sin = angles.cos(), torch.cat([-a, b, -c, d], dim=-1)

    def rotate(self, x: Tensor) -> Tensor:
        """Rotates (B, heads, S * P, head_dim), frame by frame; computed in the tables' dtype."""
        frames = x.to(self.cos.dtype).unflatten(2, (-1, self.cos.shape[0]))
        a, b, c, d = frames.chunk(4, dim=-1)
        turned = torch.cat([b, a, d, c], dim=-1)  # the sines have the signs
        return (frames * self.cos + turned * self.sin).flatten(2, 3).to(x.dtype)


def sinusoids(x: Tensor, y: Tensor, channels: int, base: float) -> Tensor:
    """A sinusoidal embedding of the grid spanned by two axes.

    The first half of the channels comes from x, the second from y; each half is all sines, then
    all cosines, of frequencies base^(-k / (channels / 4)).

    Args:
        x: (W,) coordinates of the columns, float64.
        y: (H,) coordinates of the rows, float64.

    Returns:
        (channels, H, W), float64.
    """
    of_x, of_y = (axis_sinusoids(axis, channels // 2, base) for axis in (x, y))
    return spanned(of_x, of_y)


def axis_sinusoids(axis: Tensor, channels: int, base: float) -> Tensor:
    """Half of `sinusoids`, of one axis (N,): (channels, N), its sines before its cosines."""
    half = channels // 2
    omega = base ** (-torch.arange(half, device=axis.device, dtype=axis.dtype) / half)
    angles = omega[:, None] * axis
    return torch.cat([angles.sin(), angles.cos()])


def spanned(of_x: Tensor, of_y: Tensor) -> Tensor:
    """(C, W) of columns and (C, H) of rows to (2 C, H, W) of the grid."""
    return torch.cat(
        [
            of_x[:, None, :].expand(-1, of_y.shape[1], -1),
            of_y[:, :, None].expand(-1, -1, of_x.shape[1]),
        ]
    )
