"""Where a frame's patches are, for policies that choose by what was seen."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

_SAME_SURFACE = 0.15  # of the depth


@dataclass(frozen=True)
class RefinedCamera:
    """What became known of a frame after its prediction.

    Attributes:
        number: the frame's.
        cam_from_world: (3, 4), OpenCV.
        intrinsics: (3, 3) in pixels.
        scale: what the predicted depth is multiplied by.
    """

    number: int
    cam_from_world: Tensor
    intrinsics: Tensor
    scale: float


@dataclass(frozen=True)
class FrameGeometry:
    """A frame's camera, and the depth of a grid of its patches. On the CPU, float32.

    Attributes:
        number: the frame's.
        size: (H, W) of the picture in pixels.
        grid: (rows, columns) of patches over the whole picture.
        cam_from_world: (3, 4), OpenCV.
        intrinsics: (3, 3) in pixels.
        depth: (rows * columns,) z of the patches' centres as predicted, positive.
        confidence: (rows * columns,) of their depth, at least 1.
        scale: of the world, what the depth is multiplied by.
    """

    number: int
    size: tuple[int, int]
    grid: tuple[int, int]
    cam_from_world: Tensor
    intrinsics: Tensor
    depth: Tensor
    confidence: Tensor
    scale: float = 1.0

    def refined(self, camera: RefinedCamera) -> FrameGeometry:
        """The same frame by another camera and scale."""
        return replace(
            self,
            cam_from_world=camera.cam_from_world,
            intrinsics=camera.intrinsics,
            scale=camera.scale,
        )

    @property
    def points(self) -> Tensor:
        """(rows * columns, 3) of the patches' centres in the camera's frame."""
        (rows, columns), (height, width) = self.grid, self.size
        y = (torch.arange(rows) + 0.5) * height / rows
        x = (torch.arange(columns) + 0.5) * width / columns
        pixels = torch.stack([*torch.meshgrid(x, y, indexing="xy"), torch.ones(rows, columns)], -1)
        return (
            self.scale * self.depth[:, None] * (pixels.flatten(0, 1) @ self.intrinsics.inverse().T)
        )

    def thinned(self, most: int) -> FrameGeometry:
        """The same on a coarser grid, of so many patches at most or twice that."""
        rows, columns = self.grid
        step = max(1, round((rows * columns / most) ** 0.5))
        if step == 1:
            return self

        def coarse(values: Tensor) -> Tensor:
            return values.view(rows, columns)[step // 2 :: step, step // 2 :: step].flatten()

        grid = len(range(step // 2, rows, step)), len(range(step // 2, columns, step))
        return replace(
            self, grid=grid, depth=coarse(self.depth), confidence=coarse(self.confidence)
        )

    def save(self) -> dict[str, Tensor]:
        """All of it, by name."""
        return {field.name: torch.as_tensor(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def load(cls, saved: dict[str, Tensor]) -> FrameGeometry:
        """What `save` returned."""
        height, width = saved["size"].tolist()
        rows, columns = saved["grid"].tolist()
        names = ("cam_from_world", "intrinsics", "depth", "confidence")
        tensors = [saved[name].cpu() for name in names]
        size, grid = (height, width), (rows, columns)
        return cls(int(saved["number"]), size, grid, *tensors, scale=float(saved["scale"]))


def seen_by(frames: list[FrameGeometry], others: list[FrameGeometry]) -> Tensor:
    """(F, G, N) bool, [i, j, n]: other j sees the surface that patch n of frame i is on.

    The patch's centre is moved into the other camera and compared with the depth of the patch
    that it falls on there; nearer or further by more than 15 % is another surface.

    Args:
        frames: F, each with N patches.
        others: G, in the same grid and size.
    """
    (rows, columns), (height, width) = others[0].grid, others[0].size
    ours, theirs = (torch.stack([f.cam_from_world for f in each]) for each in (frames, others))
    world = torch.stack([frame.points for frame in frames]) - ours[:, None, :, 3]
    world = world @ ours[:, :, :3]  # (F, N, 3): the rotation's transpose, to rows
    points = torch.einsum("jab,inb->ijna", theirs[:, :, :3], world) + theirs[:, None, :, 3]
    intrinsics = torch.stack([other.intrinsics for other in others])
    pixels = torch.einsum("jab,ijnb->ijna", intrinsics, points)
    depth = points[..., 2]
    x = (pixels[..., 0] / depth * columns / width).floor()
    y = (pixels[..., 1] / depth * rows / height).floor()
    inside = (depth > 0) & (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    place = torch.where(inside, y * columns + x, 0).long()
    depths = torch.stack([other.scale * other.depth for other in others])  # (G, N)
    there = depths[None].expand(len(frames), -1, -1).gather(2, place)
    return inside & ((depth / there - 1).abs() < _SAME_SURFACE)
