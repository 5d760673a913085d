"""A stream: frames in order, each turned into a camera and a depth map as it arrives."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from svggt import geometry
from svggt.engine.checkpoints import LoadedModel
from svggt.errors import ModelOverflow
from svggt.media.frames import Frame
from svggt.model.chunks import WHOLE, Chunks
from svggt.model.frame_geometry import FrameGeometry, RefinedCamera
from svggt.model.memory import CachePolicy, Memory
from svggt.model.network import NetworkOutput
from svggt.prediction import FramePrediction, MemoryMap
from svggt.refine.correction import Correction


class Stream:
    """One run of frames through a model that may serve many streams.

    Args:
        model: shared weights.
        policy: what the stream remembers of its past.
        points: run the point head too; without it points come from depth and camera.
    """

    def __init__(self, model: LoadedModel, policy: CachePolicy, points: bool = False) -> None:
        self.model = model
        self._points = points
        self._memory = Memory(model.network.config, policy)
        self._size: tuple[int, int] | None = None

    @property
    def num_frames(self) -> int:
        """Frames that were taken in."""
        return self._memory.num_frames

    @property
    def memory_bytes(self) -> int:
        """Bytes allocated for the cached token memory."""
        return self._memory.nbytes

    def save(self) -> dict[str, Tensor]:
        """All that the stream remembers, by name; tensors that later steps change."""
        size = torch.tensor(self._size or ())
        return {"size": size, **self._memory.save()}

    def load(self, saved: dict[str, Tensor]) -> None:
        """Becomes what `save` returned, of a stream of the same model and policy.

        Raises:
            KeyError: it was of others.
        """
        height_width = [int(side) for side in saved["size"]]
        self._size = (height_width[0], height_width[1]) if height_width else None
        # Copies lie as those of a step do: kernels round otherwise where memory is not aligned.
        device = self.model.device.torch
        self._memory.load({name: t.to(device, copy=True) for name, t in saved.items()})

    @torch.inference_mode()
    def step(self, frame: Frame, chunks: Chunks = WHOLE) -> FramePrediction:
        """Takes in one frame. Atomic: if it fails, the stream is as it was before.

        Args:
            frame: (H, W, 3) uint8, of the size of the stream's first frame.
            chunks: how the pass is cut, so that others compute in between.

        Raises:
            ValueError: the picture has another size.
            ModelOverflow: half precision overflowed; the remedy is float32.
            torch.OutOfMemoryError: the device is full; the remedy is a bounded policy.
        """
        size = frame.image.shape[:2]
        if self._size not in (None, size):
            raise ValueError(f"frame {frame.number} is {size}, the stream's are {self._size}")
        started = time.perf_counter()
        try:
            images = to_images([frame], self.model)
            output = self.model.network.step(images, self._memory, self._points, chunks)
            (prediction,) = predictions([frame], to_arrays(output), 0.0, 0)
            wanted = self._memory.wants_geometry
            self._memory.prepare(self._geometry(prediction) if wanted else None)
        except BaseException:
            self._memory.rollback()
            raise
        self._memory.commit()
        self._size = size
        seconds = time.perf_counter() - started
        return replace(prediction, seconds=seconds, memory_bytes=self._memory.nbytes)

    def correct(self, corrections: Sequence[Correction]) -> None:
        """Tells the memory of refined cameras, for policies that choose by what was seen."""
        if self._memory.wants_geometry and self._size is not None:
            size = self._size
            self._memory.correct([_refined(each, size) for each in corrections])

    @torch.inference_mode()
    def change_policy(self, policy: CachePolicy) -> None:
        """Remembers otherwise from the next frame on; what is kept is carried over.

        Raises:
            BudgetError: the budget is too small for the frames kept; the stream is as it was.
        """
        changed = Memory(self.model.network.config, policy)
        changed.adopt(self._memory)
        self._memory = changed

    def memory_map(self) -> MemoryMap | None:
        """What is kept of each frame; None before the first."""
        layers = [ids.cpu().numpy() for ids in self._memory.kept_ids()]
        if not layers or self._size is None:
            return None
        config = self.model.network.config
        grid = self._size[0] // config.patch_size, self._size[1] // config.patch_size
        tokens = config.num_special_tokens + grid[0] * grid[1]
        # Few frames of a long stream are kept: tokens are counted for those alone.
        there = np.zeros(self.num_frames, bool)
        for ids in layers:
            there[ids.ravel() // tokens] = True
        frames, rank = np.flatnonzero(there), np.cumsum(there) - 1
        shares = np.zeros(len(frames) * tokens)
        for ids in layers:
            places = rank[ids.ravel() // tokens] * tokens + ids.ravel() % tokens
            shares += np.bincount(places, minlength=len(shares)) / len(ids)
        return MemoryMap(
            frames,
            (shares / len(layers)).reshape(-1, tokens).astype(np.float32),
            grid,
            len(layers),
            self._memory.global_bytes,
        )

    def _geometry(self, prediction: FramePrediction) -> FrameGeometry:
        """Of the patches' centres."""
        patch = self.model.network.config.patch_size
        height, width = prediction.depth.shape
        depth, confidence = (
            torch.from_numpy(values[patch // 2 :: patch, patch // 2 :: patch].copy()).flatten()
            for values in (prediction.depth, prediction.depth_conf)
        )
        return FrameGeometry(
            prediction.number,
            (height, width),
            (height // patch, width // patch),
            torch.from_numpy(prediction.cam_from_world).float(),
            torch.from_numpy(prediction.intrinsics).float(),
            depth,
            confidence,
        )


def _refined(correction: Correction, size: tuple[int, int]) -> RefinedCamera:
    """Its smooth bend of the depth and the lens's distortion make no difference here."""
    height, width = size
    intrinsics = torch.eye(3)
    intrinsics[0, 0], intrinsics[0, 2] = correction.focal * width, width / 2
    intrinsics[1, 1], intrinsics[1, 2] = correction.focal * height / correction.aspect, height / 2
    pose = torch.from_numpy(geometry.invert(correction.world_from_cam)).float()
    return RefinedCamera(correction.frame, pose, intrinsics, math.exp(correction.log_scale))


def to_images(frames: Sequence[Frame | FramePrediction], model: LoadedModel) -> Tensor:
    """(1, S, 3, H, W) float32 in [0, 1] on the model's device."""
    pixels = torch.from_numpy(np.stack([frame.image for frame in frames]))
    return pixels.to(model.device.torch).permute(0, 3, 1, 2)[None].float() / 255


def to_arrays(output: NetworkOutput) -> dict[str, np.ndarray]:
    """The outputs of one clip, (S, ...), on the CPU.

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
    arrays = {k: t[0].float().cpu().numpy() for k, t in tensors.items() if t is not None}
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
