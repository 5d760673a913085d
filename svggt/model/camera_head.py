"""The camera head: iterative refinement of a 9-number pose encoding (VGGT, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svggt.model.config import ModelConfig
from svggt.model.layers import Attend, Block, Mlp

_POSE_ENC = 9  # translation 3, quaternion x y z w 4, vertical and horizontal field of view 2


class CameraHead(nn.Module):
    """Camera tokens to pose encodings, in a fixed number of passes over the same trunk."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        dim = 2 * config.embed_dim
        self.iterations = config.camera_iterations
        self.trunk = nn.ModuleList(
            Block(dim, config.camera_heads) for _ in range(config.camera_trunk_depth)
        )
        self.token_norm = nn.LayerNorm(dim)
        self.trunk_norm = nn.LayerNorm(dim)
        self.empty_pose_tokens = nn.Parameter(torch.zeros(1, 1, _POSE_ENC))
        self.embed_pose = nn.Linear(_POSE_ENC, dim)
        self.poseLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 3 * dim))
        self.adaln_norm = nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6)
        self.pose_branch = Mlp(dim, dim // 2, _POSE_ENC)

    def forward(self, camera_tokens: Tensor, attend: Callable[[int, int], Attend]) -> list[Tensor]:
        """Pose encodings of every pass, the last one being the answer.

        Args:
            camera_tokens: (B, S, 2 C), of the aggregator's last layer.
            attend: (pass, block) -> how frames attend to each other there.

        Returns:
            One (B, S, 9) per pass: translation and quaternion (x y z w, not normalised) of
            cam_from_world, then vertical and horizontal field of view in radians, at least 0.
        """
        tokens = self.token_norm(camera_tokens)
        pose = self.empty_pose_tokens.expand(*tokens.shape[:2], -1)
        total, passes = torch.zeros_like(pose), []
        for number in range(self.iterations):
            shift, scale, gate = self.poseLN_modulation(self.embed_pose(pose)).chunk(3, dim=-1)
            x = tokens + gate * (self.adaln_norm(tokens) * (1 + scale) + shift)
            for index, block in enumerate(self.trunk):
                x = block(x, attend(number, index))
            total = total + self.pose_branch(self.trunk_norm(x))
            passes.append(torch.cat([total[..., :7], F.relu(total[..., 7:])], dim=-1))
            pose = total = total.detach()  # what is carried on is unactivated
        return passes
