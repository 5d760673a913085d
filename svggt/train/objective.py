"""What a batch of clips costs: against the truth, against a teacher, and by what it looked at."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from svggt.model.config import ModelConfig
from svggt.model.layers import attend_past_at_once
from svggt.model.network import VGGT, NetworkOutput
from svggt.train.batch import ClipBatch, Targets, targets_of
from svggt.train.distil import TeacherOutput, distill_tracks_loss, distillation_loss, tracks_loss
from svggt.train.losses import camera_loss, dense_loss, relative_pose_loss
from svggt.train.matching import (
    AttentionProbe,
    Correspondences,
    correspondences_of,
    displacement_loss,
    matching_loss,
)
from svggt.train.options import TrainOptions
from svggt.train.poses import angle_between, rotation_of
from svggt.train.tracks import follow

_FOLLOWED = 64  # points of a clip


class Objective(nn.Module):
    """A network and what it is asked for; one module, so that processes can share a step.

    Args:
        network: that learns.
        options: with the weights of losses.
    """

    def __init__(self, network: VGGT, options: TrainOptions) -> None:
        super().__init__()
        self.network = network
        self._options = options
        # What patches know of displacement must be plain to read; who reads it is thrown away.
        config = network.config
        self.readers = nn.ModuleDict(
            {
                str(layer): nn.Linear(2 * config.embed_dim, 2)
                for layer in _read_layers(options, config)
            }
        )

    def forward(
        self, batch: ClipBatch, causal: bool, queries: Tensor, teacher: TeacherOutput | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted losses of a batch, and figures that are only told, all of one number.

        Args:
            batch: the clips and their truth.
            causal: a frame sees only itself and earlier ones.
            queries: (B, N, 2) pixels of frame 0 to follow, where there is a track head.
            teacher: what a teacher says of them; None without one.
        """
        options, network = self._options, self.network
        targets = targets_of(batch)
        watcher = self._watcher(batch, causal)
        dense = bool(options.supervised_weight * options.dense) or teacher is not None
        pred = network(batch.images, causal, points=dense, watch=watcher)
        counts = batch.good.to(targets.depth.dtype)
        losses, metrics = {}, _rotation(pred.pose_enc.detach(), targets.pose_enc)
        if options.supervised_weight:
            losses |= self._cameras(pred, targets, counts)
        if options.supervised_weight * options.dense:
            losses |= self._maps(pred, targets, counts)
        if teacher is not None:
            parts = distillation_loss(pred, teacher, counts)
            losses |= {name: options.distill_weight * loss for name, loss in parts.items()}
        if network.track_head is not None:
            losses |= self._of_tracks(pred, targets, queries, teacher)
        if watcher.seen or len(self.readers):
            correspondences = correspondences_of(targets, network.config.patch_size)
            parts, found = self._matches(pred, correspondences, watcher)
            losses |= parts
            metrics |= found
        return losses, metrics

    def _watcher(self, batch: ClipBatch, causal: bool) -> AttentionProbe:
        options, config = self._options, self.network.config
        frames, _, height, width = batch.images.shape[1:]
        patches = (height // config.patch_size) * (width // config.patch_size)
        tokens = config.num_special_tokens + patches
        past = attend_past_at_once(tokens, frames, batch.images.device) if causal else None
        return AttentionProbe(
            options.matching_layers if options.supervised_weight * options.matching else (), past
        )

    def _cameras(self, pred: NetworkOutput, targets: Targets, counts: Tensor) -> dict[str, Tensor]:
        target, options = targets.pose_enc, self._options
        camera = camera_loss(pred.pose_enc_passes, target, counts, options.beta)
        relative = relative_pose_loss(pred.pose_enc, target, counts, options.beta)
        return {
            "camera": options.supervised_weight * options.camera * camera,
            "relative": options.supervised_weight * options.relative * relative,
        }

    def _maps(self, pred: NetworkOutput, targets: Targets, counts: Tensor) -> dict[str, Tensor]:
        assert pred.world_points is not None and pred.world_points_conf is not None
        valid = targets.valid * counts[:, None, None, None]
        depth = dense_loss(pred.depth, pred.depth_conf, targets.depth[..., None], valid)
        points = dense_loss(pred.world_points, pred.world_points_conf, targets.world_points, valid)
        weight = self._options.supervised_weight * self._options.dense
        return {"depth": weight * depth, "points": weight * points}

    def _matches(
        self, pred: NetworkOutput, correspondences: Correspondences, watcher: AttentionProbe
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What queries find, and what patches say of their displacement."""
        options, losses, metrics = self._options, {}, {}
        first = self.network.config.num_special_tokens
        if len(self.readers):
            patches = {
                layer: pred.tokens[int(layer)][:, :, first:].float() for layer in self.readers
            }
            pred_losses = [
                displacement_loss(reader(patches[layer]), correspondences)
                for layer, reader in self.readers.items()
            ]
            losses["displacement"] = (
                options.supervised_weight * options.displacement * torch.stack(pred_losses).mean()
            )
        if watcher.seen:
            pairs = [
                matching_loss(*watcher.seen[layer], correspondences, options.soft_targets)
                for layer in watcher.layers
            ]
            mean = torch.stack([loss for loss, _ in pairs]).mean()
            losses["matching"] = options.supervised_weight * options.matching * mean
            metrics["matched"] = torch.stack([share for _, share in pairs]).mean()
        return losses, metrics

    def _of_tracks(
        self,
        pred: NetworkOutput,
        targets: Targets,
        queries: Tensor,
        teacher: TeacherOutput | None,
    ) -> dict[str, Tensor]:
        assert self.network.track_head is not None
        tracks = self.network.track_head(pred.tokens, targets.depth.shape[-2:], queries)
        losses = {}
        if self._options.supervised_weight:
            followed = follow(targets, queries[:, None].long())
            places, seen = (x[:, 0].transpose(1, 2) for x in (followed.places, followed.seen))
            weight = self._options.supervised_weight * self._options.tracks
            losses["tracks"] = weight * tracks_loss(tracks, places, seen)
        if teacher is not None and teacher.tracks is not None:
            loss = distill_tracks_loss(tracks, teacher.tracks)
            losses["distill_tracks"] = self._options.distill_weight * loss
        return losses


def _read_layers(options: TrainOptions, config: ModelConfig) -> list[int]:
    """Those that a head sees anyway, behind the first one that matches."""
    if not options.supervised_weight * options.displacement:
        return []
    return [layer for layer in config.dpt_layers if layer > min(options.matching_layers)]


def draw_queries(batch: ClipBatch) -> Tensor:
    """(B, N, 2) pixels (x, y) of frame 0, anywhere."""
    height, width = batch.depth.shape[-2:]
    drawn = torch.rand(len(batch.depth), _FOLLOWED, 2).to(batch.depth.device)
    return (drawn * drawn.new_tensor([width, height])).floor()


def _rotation(pred: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Degrees: the error of all frames but the first, and that of a camera that never moves."""
    rotation, motion = rotation_of(pred[:, 1:, 3:7]), rotation_of(target[:, 1:, 3:7])
    still = torch.eye(3, device=pred.device)
    return {
        "rotation": angle_between(rotation, motion).median(),
        "motion": angle_between(still.expand_as(motion), motion).median(),
    }
