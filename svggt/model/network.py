"""VGGT (arXiv 2503.11651) and StreamVGGT (arXiv 2507.11539) as one network.

The weights are the same either way; `causal` says how far a frame may look. The network is
stateless: what a stream remembers is a `Memory` that the caller passes in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from svggt.model.aggregator import Aggregator
from svggt.model.camera_head import CameraHead
from svggt.model.chunks import WHOLE, Chunks
from svggt.model.config import ModelConfig
from svggt.model.dense_head import DenseHead, activate_depth, activate_points
from svggt.model.layers import Attend, attend_all, attend_past
from svggt.model.memory import Memory
from svggt.model.memory_batch import MemoryBatch
from svggt.model.track_head import TrackHead, TrackOutput

Watch = Callable[[int, Attend], Attend]
"""(layer, its way of attending) to the way that is taken."""


@dataclass(frozen=True)
class NetworkOutput:
    """What the network says of B clips of S frames, on its device.

    Attributes:
        tokens: layer -> (B, S, P, 2 C), the aggregator's tokens that the heads read.
        pose_enc_passes: (B, S, 9) of every pass of the camera head; see `CameraHead`.
        depth: (B, S, H, W, 1) z-depth in the world's scale (the first camera's frame).
        depth_conf: (B, S, H, W), at least 1.
        world_points: (B, S, H, W, 3) in the world frame; None where not asked for.
        world_points_conf: (B, S, H, W), at least 1; None likewise.
    """

    tokens: dict[int, Tensor]
    pose_enc_passes: list[Tensor]
    depth: Tensor
    depth_conf: Tensor
    world_points: Tensor | None
    world_points_conf: Tensor | None

    @property
    def pose_enc(self) -> Tensor:
        """(B, S, 9) of the last pass."""
        return self.pose_enc_passes[-1]


class VGGT(nn.Module):
    """Encoder, aggregator and heads; module names are those of the published checkpoints."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.aggregator = Aggregator(config)
        self.camera_head = CameraHead(config)
        self.point_head = DenseHead(config, config.dpt_features, out_channels=4)
        self.depth_head = DenseHead(config, config.dpt_features, out_channels=2)
        self.track_head = TrackHead(config, config.track) if config.track else None

    def forward(
        self,
        images: Tensor,
        causal: bool,
        points: bool = True,
        chunks: Chunks = WHOLE,
        watch: Watch | None = None,
    ) -> NetworkOutput:
        """Predicts a whole clip at once.

        Args:
            images: (B, S, 3, H, W) in [0, 1], H and W multiples of the patch.
            causal: frame t sees frames 0..t (StreamVGGT); else all of them (VGGT).
            points: run the point head too.
            chunks: how the pass is cut.
            watch: wraps how a global layer attends: training looks at queries and keys by it.
        """
        tokens = self._clip_tokens(images, causal, chunks, watch)
        attend = attend_past(1) if causal else attend_all
        return self._heads(tokens, images, lambda number, block: attend, points, chunks)

    def step(
        self,
        images: Tensor,
        memory: Memory | MemoryBatch,
        points: bool = True,
        chunks: Chunks = WHOLE,
    ) -> NetworkOutput:
        """Predicts the next frame of B streams: (B, 1, 3, H, W).

        The frame is only staged: the caller commits the memory, or rolls it back on an error.

        Args:
            images: in [0, 1], H and W multiples of the patch.
            memory: that all of them share, or one for each.
            points: run the point head too.
            chunks: how the pass is cut.
        """
        past = memory if isinstance(memory, MemoryBatch) else MemoryBatch([memory])
        attend = past.global_attend(self._grid(images))
        tokens = self.aggregator(images, attend, past.first_frames, chunks, past.scores_residual)
        return self._heads(tokens, images, past.camera_attend(), points, chunks)

    def track(self, images: Tensor, query_points: Tensor, causal: bool) -> TrackOutput:
        """Follows (B, N, 2) pixels (x, y) of frame 0 through a clip (B, S, 3, H, W).

        Raises:
            ValueError: these weights have no track head.
        """
        if self.track_head is None:
            raise ValueError("this model has no track head: choose streamvggt-1b or vggt-1b")
        tokens = self._clip_tokens(images, causal)
        return self.track_head(tokens, _size(images), query_points)

    def _clip_tokens(
        self, images: Tensor, causal: bool, chunks: Chunks = WHOLE, watch: Watch | None = None
    ) -> dict[int, Tensor]:
        rows, columns = self._grid(images)
        if not causal and watch is None:
            return self.aggregator(images, None, chunks=chunks)
        past = attend_past(self.config.num_special_tokens + rows * columns)
        attend = past if causal else attend_all
        watched = watch or (lambda layer, way: way)
        return self.aggregator(
            images, lambda layer, residual: watched(layer, attend), chunks=chunks
        )

    def _heads(
        self,
        tokens: dict[int, Tensor],
        images: Tensor,
        camera_attend,
        points: bool,
        chunks: Chunks = WHOLE,
    ) -> NetworkOutput:
        camera_dtype = self.camera_head.token_norm.weight.dtype
        camera_tokens = tokens[self.config.depth - 1][:, :, 0].to(camera_dtype)
        pose_enc_passes = self.camera_head(camera_tokens, camera_attend)
        size = _size(images)
        depth, depth_conf = activate_depth(self.depth_head(tokens, size, chunks))
        world_points = world_points_conf = None
        if points:
            raw = self.point_head(tokens, size, chunks)
            world_points, world_points_conf = activate_points(raw)
        return NetworkOutput(
            tokens, pose_enc_passes, depth, depth_conf, world_points, world_points_conf
        )

    def _grid(self, images: Tensor) -> tuple[int, int]:
        height, width = _size(images)
        patch = self.config.patch_size
        assert height % patch == 0 and width % patch == 0, (height, width)
        return height // patch, width // patch


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]
