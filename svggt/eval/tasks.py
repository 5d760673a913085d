"""The four tasks of the published tables, on one sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from svggt import geometry, metrics
from svggt.compare.run_config import RunConfig
from svggt.data.sequence import Sequence
from svggt.data.truth import Array
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.offline import predict_clip
from svggt.engine.stream import Stream
from svggt.eval.depth_maps import DepthErrors, known_pixels, seen_part
from svggt.eval.protocol import PAPER_WIDTH, Protocol, Task
from svggt.eval.reconstruction import (
    CloudErrors,
    by_similarity,
    cloud_errors,
    median_shift_and_scale,
)
from svggt.eval.refined_run import refine_run
from svggt.eval.trajectories import PoseErrors, pose_errors
from svggt.media.frames import Fitter, Frame
from svggt.model.policies import policy_of
from svggt.prediction import FramePrediction
from svggt.scene.posed_frame import PosedFrame

Errors = CloudErrors | DepthErrors | PoseErrors


@dataclass(frozen=True, eq=False)
class SequenceRun:
    """One task on one sequence.

    Attributes:
        sequence: of which those frames are taken.
        numbers: of its frames that count.
        model: the weights.
        way: how they are run; the point head's points are evaluated where it is run.
        protocol: of the task.
    """

    sequence: Sequence
    numbers: list[int]
    model: LoadedModel
    way: RunConfig
    protocol: Protocol

    def frames(self) -> list[Frame]:
        """As the model takes them, numbered from 0."""
        fitter, made = Fitter(self.model.input_width), []
        for index, number in enumerate(self.numbers):
            with Image.open(self.sequence.pictures[number]) as picture:
                made.append(fitter.frame(index, float(index), picture))
        return made

    def true_depth(self, index: int) -> Array:
        """(h, w) metres, 0 where unknown."""
        return self.sequence.read_depth(self.sequence.depths[self.numbers[index]])

    @property
    def poses(self) -> Array:
        """(N, 3, 4) world_from_cam, true."""
        return self.sequence.world_from_cam[self.numbers]


def evaluate(task: Task, run: SequenceRun) -> Errors:
    """The errors of a task.

    Raises:
        ValueError: the sequence has no frame for it, or lacks cameras or intrinsics.
    """
    least = 2 if task == "pose" else 1
    if len(run.numbers) < least:
        raise ValueError(
            f"{run.sequence.pictures[0].parent} has {len(run.sequence.pictures)} frames, of which "
            f"{len(run.numbers)} count by the protocol: choose a smaller --every"
        )
    if task in ("recon", "pose") and not run.sequence.has_cameras:
        raise ValueError(f"{run.sequence.pictures[0].parent} has no true cameras")
    return _TASKS[task](run)


def _reconstruct(run: SequenceRun) -> CloudErrors:
    intrinsics = run.sequence.intrinsics
    if intrinsics is None:
        raise ValueError(f"{run.sequence.pictures[0].parent} has no intrinsics: points are unknown")
    with Image.open(run.sequence.pictures[run.numbers[0]]) as picture:
        size = picture.height, picture.width
    shots = _posed(run)
    ours, theirs = [], []
    for index, shot in enumerate(shots):
        shape = shot.depth.shape
        depth = metrics.resample(seen_part(run.true_depth(index), shape), shape)
        known = (depth > 0) & _centre(shape, run.protocol.crop)
        points = shot.in_world(shot.points.astype(np.float64))
        known &= np.isfinite(points).all(axis=-1)
        there = geometry.unproject(
            depth.astype(np.float64), _seen_intrinsics(intrinsics, size, shape)
        )
        ours.append(points[known])
        theirs.append(geometry.Similarity(1.0, run.poses[index]).points(there[known]))
    predicted, true = (
        geometry.Similarity(1.0, geometry.invert(first)).points(np.concatenate(clouds))
        for first, clouds in ((shots[0].world_from_cam, ours), (run.poses[0], theirs))
    )
    if len(true) < 3:
        raise ValueError(f"{run.sequence.depths[0].parent} has no depth that is known")
    align = median_shift_and_scale if run.way.settings.points else by_similarity
    return cloud_errors(align(predicted, true), true, run.protocol.icp)


def _depth_of_frames(run: SequenceRun) -> DepthErrors:
    """Each frame by itself, as if it were a picture."""
    parts = []
    for index, frame in enumerate(run.frames()):
        (said,) = _predict(run, [frame])
        parts.append(_depth_errors(run, [(index, said.depth)]))
    return DepthErrors.mean(parts)


def _depth_of_video(run: SequenceRun) -> DepthErrors:
    return _depth_errors(run, [(index, shot.depth) for index, shot in enumerate(_posed(run))])


def _follow(run: SequenceRun) -> PoseErrors:
    return pose_errors(np.stack([shot.world_from_cam for shot in _posed(run)]), run.poses)


_TASKS: dict[Task, Callable[[SequenceRun], Errors]] = {
    "recon": _reconstruct,
    "depth": _depth_of_frames,
    "video-depth": _depth_of_video,
    "pose": _follow,
}


def _depth_errors(run: SequenceRun, depths: list[tuple[int, Array]]) -> DepthErrors:
    """With one scale for these maps, each with the index of its frame."""
    protocol = run.protocol
    pairs = [
        known_pixels(depth, run.true_depth(index), protocol.farthest) for index, depth in depths
    ]
    predicted, true = (np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
    if not len(true):
        return DepthErrors.mean([])
    return DepthErrors.of(predicted, true, protocol.scale, protocol.farthest)


def _posed(run: SequenceRun) -> list[PosedFrame]:
    """Its frames, with the cameras that count."""
    frames = run.frames()
    said = list(_predict(run, frames))
    if run.way.cameras == "head":
        return [PosedFrame(each, None) for each in said]
    final = refine_run(frames, said).final
    return [PosedFrame(*pair) for pair in zip(said, final, strict=True)]


def _predict(run: SequenceRun, frames: list[Frame]) -> Iterator[FramePrediction]:
    model, way = run.model, run.way
    if way.at_once:
        yield from predict_clip(model, frames, way.mode == "batch", way.settings.points)
        return
    if not model.causal:
        raise ValueError(f"{model.name} sees all frames at once: say --mode offline")
    stream = Stream(model, policy_of(way.settings), way.settings.points)
    yield from map(stream.step, frames)


def _centre(shape: tuple[int, ...], crop: int | None) -> np.ndarray:
    """(H, W) bool: a centre square, given in pixels of a picture 518 wide."""
    inside = np.ones(shape, bool)
    if crop is not None:
        side = round(crop * shape[1] / PAPER_WIDTH)
        for axis, length in enumerate(shape):
            away = np.abs(np.arange(length) - (length - 1) / 2) < side / 2
            inside &= away[:, None] if axis == 0 else away
    return inside


def _seen_intrinsics(intrinsics: Any, size: tuple[int, int], shape: tuple[int, ...]) -> Array:
    """(3, 3) for the model's pixels (H, W) of what it sees of a picture (height, width)."""
    rows = seen_part(np.arange(size[0])[:, None].repeat(size[1], 1), shape)[:, 0]
    # A pixel's middle is at a whole number: half a pixel before it begins the picture.
    scale = np.array([shape[1] / size[1], shape[0] / len(rows)])
    middle = (intrinsics[:2, 2] - [0, rows[0]] + 0.5) * scale - 0.5
    focal = intrinsics[[0, 1], [0, 1]] * scale
    return np.array([[focal[0], 0, middle[0]], [0, focal[1], middle[1]], [0, 0, 1]])
