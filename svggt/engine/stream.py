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
from svggt.engine.blocks import StreamBlock, in_world
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.freed_memory import FRAMES_A_TRIM, give_back_memory
from svggt.errors import ModelOverflow
from svggt.media.frames import Frame
from svggt.model.chunks import WHOLE, Chunks
from svggt.model.frame_geometry import FrameGeometry, RefinedCamera
from svggt.model.memory import CachePolicy, Memory
from svggt.model.memory_batch import MemoryBatch
from svggt.model.network import NetworkOutput
from svggt.model.storage import named_under
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
        self._policy, self._points = policy, points
        # The one that speaks, and the one that runs beside it to take over.
        self._blocks = [StreamBlock(self._new_memory())]
        self._size: tuple[int, int] | None = None

    @property
    def num_frames(self) -> int:
        """Frames that were taken in."""
        return self._blocks[0].num_frames

    @property
    def memory_bytes(self) -> int:
        """Bytes allocated for the cached token memory."""
        return sum(block.memory.nbytes for block in self._blocks)

    def save(self) -> dict[str, Tensor]:
        """All that the stream remembers, by name; tensors that later steps change."""
        saved = {"size": torch.tensor(self._size or ())}
        for number, block in enumerate(self._blocks):
            saved |= {f"{number}.{name}": tensor for name, tensor in block.save().items()}
        return saved

    def load(self, saved: dict[str, Tensor]) -> None:
        """Becomes what `save` returned, of a stream of the same model and policy.

        Raises:
            KeyError: it was of others.
        """
        height_width = [int(side) for side in saved["size"]]
        self._size = (height_width[0], height_width[1]) if height_width else None
        numbers = {name.partition(".")[0] for name in saved} - {"size"}
        self._blocks = [StreamBlock(self._new_memory()) for _ in numbers]
        for number, block in enumerate(self._blocks):
            block.load(named_under(f"{number}.", saved), self.model.device.torch)

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
        return step_together([self], [frame], chunks)[0]

    def goes_with(self, other: Stream) -> bool:
        """Whether both can step together, with frames of one size."""
        ours, theirs = self._blocks[0].memory, other._blocks[0].memory
        return (
            other is not self
            and other.model is self.model
            and other._points == self._points
            and theirs.scores_residual == ours.scores_residual
        )

    def _check(self, frame: Frame) -> None:
        size = frame.image.shape[:2]
        if self._size not in (None, size):
            raise ValueError(f"frame {frame.number} is {size}, the stream's are {self._size}")

    def _prepare(self, block: StreamBlock, said: FramePrediction) -> None:
        """Takes a staged frame into a block's memory, which may fail."""
        seen = None
        if block.memory.wants_geometry:
            seen = self._geometry(in_world(said, block.world), block.memory.num_frames)
        block.memory.prepare(seen)

    def _commit(self, said: list[FramePrediction]) -> FramePrediction:
        """A frame has been taken in; as the stream says it.

        Args:
            said: as every block says it.
        """
        for block in self._blocks:
            block.memory.commit()
        self._size = said[0].depth.shape
        prediction = in_world(said[0], self._blocks[0].world)
        self._turn(prediction, said)
        if self.num_frames % FRAMES_A_TRIM == 0:
            give_back_memory()
        return prediction

    def _turn(self, shown: FramePrediction, said: list[FramePrediction]) -> None:
        """Joins the next block, lets it take over, begins the one after it.

        Args:
            shown: the newest frame as the stream says it.
            said: the same, as every block says it.
        """
        for block, own in zip(self._blocks[1:], said[1:], strict=True):
            block.join(shown, own)
        left = self._frames_left
        if left is None:
            return
        half = (self._blocks[0].memory.frames_held + left) // 2
        if left == 0 and len(self._blocks) > 1 and self._blocks[1].memory.num_frames >= half:
            del self._blocks[0]
            left = self._frames_left or 0
        if left <= half and len(self._blocks) == 1:
            self._blocks.append(StreamBlock(self._new_memory(), self.num_frames))

    @property
    def _frames_left(self) -> int | None:
        """Until its block is full; None where it never ends."""
        return self._blocks[0].memory.frames_left if self._policy.restarts else None

    def _new_memory(self) -> Memory:
        return Memory(self.model.network.config, self._policy)

    def correct(self, corrections: Sequence[Correction]) -> None:
        """Tells the memory of refined cameras, for policies that choose by what was seen."""
        block = self._blocks[0]
        if block.memory.wants_geometry and self._size is not None:
            cameras = [_refined(each, self._size) for each in corrections]
            numbered = [replace(each, number=each.number - block.first) for each in cameras]
            block.memory.correct([each for each in numbered if each.number >= 0])

    @torch.inference_mode()
    def with_policy(self, policy: CachePolicy) -> Stream:
        """One that remembers otherwise from the next frame on, with what is kept here.

        Raises:
            BudgetError: the budget is too small for the frames kept.
        """
        changed, now = Stream(self.model, policy, self._points), self._blocks[0]
        memory = changed._blocks[0].memory
        memory.adopt(now.memory)
        changed._blocks, changed._size = [StreamBlock(memory, now.first, now.world)], self._size
        return changed

    def memory_map(self) -> MemoryMap | None:
        """What is kept of each frame; None before the first.

        Of a block that will take over nothing is said but its bytes: it keeps no other frame.
        """
        block = self._blocks[0]
        layers = [ids.cpu().numpy() for ids in block.memory.kept_ids()]
        if not layers or self._size is None:
            return None
        config = self.model.network.config
        grid = self._size[0] // config.patch_size, self._size[1] // config.patch_size
        tokens = config.num_special_tokens + grid[0] * grid[1]
        # Few frames of a long stream are kept: tokens are counted for those alone.
        there = np.zeros(block.memory.num_frames, bool)
        for ids in layers:
            there[ids.ravel() // tokens] = True
        frames, rank = np.flatnonzero(there), np.cumsum(there) - 1
        shares = np.zeros(len(frames) * tokens)
        for ids in layers:
            places = rank[ids.ravel() // tokens] * tokens + ids.ravel() % tokens
            shares += np.bincount(places, minlength=len(shares)) / len(ids)
        return MemoryMap(
            frames + block.first,
            (shares / len(layers)).reshape(-1, tokens).astype(np.float32),
            grid,
            len(layers),
            sum(each.memory.global_bytes for each in self._blocks),
        )

    def _geometry(self, prediction: FramePrediction, number: int) -> FrameGeometry:
        """Of the patches' centres, under the number that its memory knows it by."""
        patch = self.model.network.config.patch_size
        height, width = prediction.depth.shape
        depth, confidence = (
            torch.from_numpy(values[patch // 2 :: patch, patch // 2 :: patch].copy()).flatten()
            for values in (prediction.depth, prediction.depth_conf)
        )
        return FrameGeometry(
            number,
            (height, width),
            (height // patch, width // patch),
            torch.from_numpy(prediction.cam_from_world).float(),
            torch.from_numpy(prediction.intrinsics).float(),
            depth,
            confidence,
        )


@torch.inference_mode()
def step_together(
    streams: Sequence[Stream], frames: Sequence[Frame], chunks: Chunks = WHOLE
) -> list[FramePrediction]:
    """Takes one frame into each of some streams, in one pass through the network.

    Each says what it would have said alone, within the rounding of larger products. All or none:
    if one fails, all are as they were before.

    Args:
        streams: that go with each other; see `Stream.goes_with`.
        frames: one for each, of one size.
        chunks: how the pass is cut, so that others compute in between.

    Raises:
        Exception: see `Stream.step`.
    """
    started, first = time.perf_counter(), streams[0]
    for stream, frame in zip(streams, frames, strict=True):
        stream._check(frame)
    # A stream that begins anew is two for a while; each is a clip of the batch.
    lanes = [
        (stream, block, frame)
        for stream, frame in zip(streams, frames, strict=True)
        for block in stream._blocks
    ]
    memories, shown = [block.memory for _, block, _ in lanes], [frame for *_, frame in lanes]
    try:
        images = to_images(shown, first.model).transpose(0, 1)  # (B, 1, 3, H, W)
        output = first.model.network.step(images, MemoryBatch(memories), first._points, chunks)
        said = predictions(shown, to_arrays(output), 0.0, 0)
        for (stream, block, _), own in zip(lanes, said, strict=True):
            stream._prepare(block, own)
    except BaseException:
        for each in memories:
            each.rollback()
        raise
    told = [
        stream._commit([own for (of, *_), own in zip(lanes, said, strict=True) if of is stream])
        for stream in streams
    ]
    seconds = (time.perf_counter() - started) / len(streams)
    return [
        replace(prediction, seconds=seconds, memory_bytes=stream.memory_bytes)
        for stream, prediction in zip(streams, told, strict=True)
    ]


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
