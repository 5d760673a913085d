"""A stream: frames in order, each turned into a camera and a depth map as it arrives."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from svggt import geometry
from svggt.engine.blocks import StreamBlock, in_world
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.conversion import predictions, to_arrays, to_images
from svggt.engine.freed_memory import FRAMES_A_TRIM, give_back_memory
from svggt.media.frames import Frame
from svggt.model.chunks import WHOLE, Chunks
from svggt.model.frame_geometry import FrameGeometry, RefinedCamera
from svggt.model.memory import CachePolicy, Memory
from svggt.model.memory_batch import MemoryBatch
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
    def num_lanes(self) -> int:
        """Clips of a batch that it is: two while it begins anew."""
        return len(self._blocks)

    @property
    def memory_bytes(self) -> int:
        """Bytes allocated for the cached token memory."""
        return sum(block.memory.nbytes for block in self._blocks)

    @property
    def heeds_cameras(self) -> bool:
        """Whether what it is told by `correct` changes what it says of later frames."""
        return self._blocks[0].memory.wants_geometry

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
        (said,) = step_together([self], [frame], chunks)
        if isinstance(said, Exception):
            raise said
        return said

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
        if self.heeds_cameras and self._size is not None:
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
) -> list[FramePrediction | Exception]:
    """Takes one frame into each of some streams, in one pass through the network.

    Each says what it would have said alone, within the rounding of larger products.

    Args:
        streams: that go with each other; see `Stream.goes_with`.
        frames: one for each, of one size.
        chunks: how the pass is cut, so that others compute in between.

    Returns:
        What each says; or, once all the others have taken their frames in, why one could not.

    Raises:
        Exception: see `Stream.step`; all are as they were before.
    """
    started = time.perf_counter()
    assert all(stream.goes_with(streams[0]) for stream in streams[1:])
    for stream, frame in zip(streams, frames, strict=True):
        stream._check(frame)
    lanes = [
        _Lane(stream, block, frame)
        for stream, frame in zip(streams, frames, strict=True)
        for block in stream._blocks
    ]
    # One stream's blocks go one after another: together they would need twice the room.
    passes = [lanes] if len(streams) > 1 else [[lane] for lane in lanes]
    try:
        said = [own for each in passes for own in _staged(each, chunks)]
        for lane, own in zip(lanes, said, strict=True):
            lane.stream._prepare(lane.block, own)
    except BaseException:
        for lane in lanes:
            lane.block.memory.rollback()
        raise
    told = list[FramePrediction | Exception]()
    for stream in streams:
        own = [said for lane, said in zip(lanes, said, strict=True) if lane.stream is stream]
        try:
            told.append(stream._commit(own))
        except Exception as error:  # noqa: BLE001  # the others have, or take theirs in
            told.append(error)
    seconds = (time.perf_counter() - started) / len(streams)
    return [
        each
        if isinstance(each, Exception)
        else replace(each, seconds=seconds, memory_bytes=stream.memory_bytes)
        for stream, each in zip(streams, told, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class _Lane:
    """A clip of a batch: one of a stream's blocks, and the frame that it sees."""

    stream: Stream
    block: StreamBlock
    frame: Frame


def _staged(lanes: Sequence[_Lane], chunks: Chunks) -> list[FramePrediction]:
    """What blocks say of their frames, each in its own world; nothing is taken in yet."""
    model, points = lanes[0].stream.model, lanes[0].stream._points
    frames = [lane.frame for lane in lanes]
    images = to_images(frames, model).transpose(0, 1)  # (B, 1, 3, H, W)
    memory = MemoryBatch([lane.block.memory for lane in lanes])
    return predictions(frames, to_arrays(model.network.step(images, memory, points, chunks)), 0, 0)


def _refined(correction: Correction, size: tuple[int, int]) -> RefinedCamera:
    """Its smooth bend of the depth and the lens's distortion make no difference here."""
    height, width = size
    intrinsics = torch.eye(3)
    intrinsics[0, 0], intrinsics[0, 2] = correction.focal * width, width / 2
    intrinsics[1, 1], intrinsics[1, 2] = correction.focal * height / correction.aspect, height / 2
    pose = torch.from_numpy(geometry.invert(correction.world_from_cam)).float()
    return RefinedCamera(correction.frame, pose, intrinsics, math.exp(correction.log_scale))
