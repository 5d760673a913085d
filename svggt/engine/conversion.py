"""Pictures to the network's tensors, and what it says to predictions on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from svggt import geometry
from svggt.engine.checkpoints import LoadedModel
from svggt.errors import ModelOverflow
from svggt.media.frames import Frame
from svggt.model.network import NetworkOutput
from svggt.prediction import FramePrediction


def to_images(frames: Sequence[Frame | FramePrediction], model: LoadedModel) -> Tensor:
    """(1, S, 3, H, W) float32 in [0, 1] on the model's device."""
    pixels = torch.from_numpy(np.stack([frame.image for frame in frames]))
    return pixels.to(model.device.torch).permute(0, 3, 1, 2)[None].float() / 255


def to_arrays(output: NetworkOutput) -> dict[str, np.ndarray]:
    """The outputs of one clip, or of one frame of some streams: (N, ...), on the CPU.

    Raises:
        ModelOverflow: a number is not finite.
    """
    tensors = {
        "pose_enc": output.pose_enc,
        "depth": output.depth[..., 0],
        "depth_conf": output.depth_conf,
        "world_points": output.world_points,
        "world_points_conf": output.world_points_conf,
    }
    given = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    arrays = {name: t.flatten(0, 1).float().cpu().numpy() for name, t in given.items()}
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ModelOverflow("the network's numbers overflowed; start with --precision float32")
    return arrays


def predictions(
    frames: list[Frame], arrays: dict[str, np.ndarray], seconds: float, memory_bytes: int
) -> list[FramePrediction]:
    """One prediction per frame; `seconds` is each frame's share."""
    size = frames[0].image.shape[:2]
    cam_from_world, intrinsics = geometry.decode_pose(arrays["pose_enc"], size)
    points, points_conf = arrays.get("world_points"), arrays.get("world_points_conf")
    return [
        FramePrediction(
            number=frame.number,
            time_s=frame.time_s,
            image=frame.image,
            cam_from_world=cam_from_world[i],
            intrinsics=intrinsics[i],
            depth=arrays["depth"][i],
            depth_conf=arrays["depth_conf"][i],
            world_points=None if points is None else points[i],
            world_points_conf=None if points_conf is None else points_conf[i],
            seconds=seconds,
            memory_bytes=memory_bytes,
        )
        for i, frame in enumerate(frames)
    ]
