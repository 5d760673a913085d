"""The four tasks of the published tables, on one sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
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
from svggt.eval.reconstruction import CloudErrors, cloud_errors, median_shift_and_scale
from svggt.eval.refined_run import refine_run
from svggt.eval.trajectories import PoseErrors, pose_errors
from svggt.media.frames import Fitter, Frame
from svggt.model.policies import policy_of
from svggt.prediction import FramePrediction
from svggt.scene.posed_frame import PosedFrame

_POSED = ("recon", "pose")  # tasks that need true cameras
Errors = CloudErrors | DepthErrors | PoseErrors


@dataclass(frozen=True, eq=False)
class SequenceRun:
    """One task on one sequence.

    Attributes:
        sequence: of which those frames are taken.
        numbers: of its frames that count: with a camera, or with depth, as the task needs.
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
        return self.sequence.depth(self.numbers[index])

    @property
    def poses(self) -> Array:
        """(N, 3, 4) world_from_cam, true."""
        return self.sequence.world_from_cam[self.numbers]

    @property
    def folder(self) -> Path:
        """Of its pictures, for people."""
        return self.sequence.pictures[0].parent


def counted(task: Task, sequence: Sequence, numbers: list[int]) -> list[int]:
    """Those of a protocol's frames that have what a task needs."""
    posed = sequence.posed
    return [
        number
        for number in numbers
        if (task == "pose" or sequence.depths[number] is not None)
        and (task not in _POSED or posed[number])
    ]


def evaluate(task: Task, run: SequenceRun) -> Errors:
    """The errors of a task.

    Raises:
        ValueError: the sequence has no frame for it, or lacks cameras or intrinsics.
    """
    if task in _POSED and not run.sequence.has_cameras:
        raise ValueError(f"{run.folder} has no true cameras")
    least = 2 if task == "pose" else 1
    if len(run.numbers) < least:
        raise ValueError(
            f"{run.folder} has {len(run.sequence.pictures)} frames, of which {len(run.numbers)} "
            "count by the protocol: choose a smaller --every"
        )
    return _TASKS[task](run)


def _reconstruct(run: SequenceRun) -> CloudErrors:
    intrinsics, from_head = run.sequence.intrinsics, run.way.settings.points
    if intrinsics is None:
        raise ValueError(f"{run.folder} has no intrinsics: points are unknown")
    with Image.open(run.sequence.pictures[run.numbers[0]]) as picture:
        size = picture.height, picture.width
    into_first = geometry.Similarity(1.0, geometry.invert(run.poses[0]))
    ours, theirs, central = [], [], []
    for index, shot in enumerate(_posed(run)):
        shape = shot.depth.shape
        depth = metrics.resample(seen_part(run.true_depth(index), shape), shape)
        points = shot.in_world(shot.points.astype(np.float64))
        known = (depth > 0) & np.isfinite(points).all(axis=-1)
        seen = _seen_intrinsics(intrinsics, size, shape)
        true = geometry.unproject(depth.astype(np.float64), seen)[known]
        ours.append(points[known])
        theirs.append(into_first.points(geometry.Similarity(1.0, run.poses[index]).points(true)))
        central.append(_centre(shape, run.protocol.crop)[known])
    predicted, true, counts = (np.concatenate(parts) for parts in (ours, theirs, central))
    if counts.sum() < 3:
        raise ValueError(f"{run.folder} has no depth that is known where it counts")
    if from_head:
        moved = median_shift_and_scale(predicted, true)
    else:
        moved = geometry.Similarity(*geometry.align_sim3(predicted[counts], true[counts]))
    return cloud_errors(moved.points(predicted[counts]), true[counts], run.protocol.icp)


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
