"""Cameras refined as frames arrive.

Corners are tracked from frame to frame, a frame's pose is solved from the tracked points, and
at keyframes a sliding window is adjusted with the model's depth as a prior. Later frames hang
on their keyframe and move with it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from svggt.geometry import compose, invert
from svggt.prediction import FramePrediction
from svggt.refine import descriptors
from svggt.refine.correction import Correction, Status
from svggt.refine.keyframes import Keyframe, window_of
from svggt.refine.landmarks import Landmarks
from svggt.refine.options import RefineOptions
from svggt.refine.pose import MIN_INLIERS, Camera, Located, locate
from svggt.refine.tracking import find_corners, follow
from svggt.refine.window import WindowProblem, WindowSolution

Array = NDArray[Any]
Grey = NDArray[np.uint8]


_SETTLE_SECONDS = 1.0  # that the last window may take


class Solver(Protocol):
    """Adjusts windows, at once or later."""

    def submit(self, problem: WindowProblem) -> None:
        """Takes a problem; one that waits may be replaced by it."""

    def collect(self, wait_s: float = 0.0) -> WindowSolution | None:
        """A finished window, once; None while there is none."""


@dataclass
class _Hanging:
    """A frame on its keyframe."""

    keyframe: int  # index
    keyframe_from_cam: Array
    log_scale: float
    status: Status
    share: float


@dataclass
class _Tracks:
    """What is followed now."""

    ids: NDArray[Any] = field(default_factory=lambda: np.zeros(0, int))
    pixels: Array = field(default_factory=lambda: np.zeros((0, 2), np.float32))

    def keep(self, mask: NDArray[np.bool_]) -> None:
        self.ids, self.pixels = self.ids[mask], self.pixels[mask]


class Refiner:
    """Refines the cameras of one stream. Its state is plain arrays.

    Args:
        solver: adjusts windows.
        options: tuning.
    """

    def __init__(self, solver: Solver, options: RefineOptions | None = None) -> None:
        self.options = options or RefineOptions()
        self._solver = solver
        self._revision = 0
        self._focals: deque[float] = deque(maxlen=256)  # of the camera head, over the width
        self._focal = 0.0  # pixels of the tracking picture
        self._landmarks = Landmarks()
        self._keyframes: list[Keyframe] = []
        self._frames: list[_Hanging] = []
        self._tracks = _Tracks()
        self._grey: Grey | None = None
        self._head: Array | None = None  # the camera head's last world_from_cam
        self._pose = np.eye(3, 4)
        self._motion = np.eye(3, 4)  # last_from_newest, for the next guess
        self._log_scale = 0.0
        self._spreads: deque[float] = deque(maxlen=32)  # of log depth about the landmarks

    def add(self, grey: Grey, prediction: FramePrediction) -> list[Correction]:
        """Takes in the next frame and what the model said of it.

        Args:
            grey: (h, w) tracking picture, square pixels, the same view as the prediction's.
            prediction: of the camera head and depth head.

        Returns:
            Corrections of this frame, and of older ones that a finished window moved.
        """
        moved = self._take_solution()
        self._learn_focal(grey, prediction)
        if self._grey is None:
            self._hang("tracked", 1.0, keyframe=0, relative=np.eye(3, 4), log_scale=0.0)
            self._make_keyframe(grey, prediction)
        else:
            self._advance(grey, prediction)
        self._grey, self._head = grey, prediction.world_from_cam
        changed = range(moved, len(self._frames)) if moved is not None else ()
        return self._corrections(sorted({*changed, len(self._frames) - 1}))

    def settle(self) -> list[Correction]:
        """Corrections of a window that finished after the last frame."""
        moved = self._take_solution(wait_s=_SETTLE_SECONDS)
        return [] if moved is None else self._corrections(list(range(moved, len(self._frames))))

    @property
    def num_keyframes(self) -> int:
        """Keyframes so far."""
        return len(self._keyframes)

    def _camera(self, grey: Grey) -> Camera:
        height, width = grey.shape
        return Camera(self._focal, np.array([width / 2, height / 2]))

    def _learn_focal(self, grey: Grey, prediction: FramePrediction) -> None:
        """Until windows take over: the median of what the head said, one for the stream."""
        height, width = prediction.depth.shape
        across = prediction.intrinsics[0, 0] / width
        down = prediction.intrinsics[1, 1] / height * grey.shape[0] / grey.shape[1]
        self._focals.append((across + down) / 2)
        if len(self._keyframes) < 3:
            self._focal = float(np.median(self._focals)) * grey.shape[1]

    def _advance(self, grey: Grey, prediction: FramePrediction) -> None:
        before, last_pose = self._grey, self._pose
        assert before is not None
        camera, share = self._camera(grey), 0.0
        guess = compose(self._pose, self._motion)
        located = self._follow(before, grey, camera, guess) or self._recognise(grey, camera)
        if located is None:
            self._pose = compose(last_pose, self._head_motion(prediction))
            self._tracks = _Tracks()
        else:
            share = float(located.inliers.mean())
            self._pose = located.world_from_cam
            self._tracks.keep(located.inliers)
            self._log_scale = self._measure_scale(camera, prediction)
        status: Status = "lost" if located is None else "tracked"
        if located is not None and share < self.options.weak:
            status = "weak"
        self._motion = compose(invert(last_pose), self._pose)
        anchor = self._keyframes[-1]
        relative = compose(invert(anchor.pose), self._pose)
        self._hang(status, share, len(self._keyframes) - 1, relative, self._log_scale)
        if self._keyframe_is_due(anchor, grey):
            self._log_scale *= 1 - self.options.pull
            self._make_keyframe(grey, prediction)
            self._submit_window(grey)

    def _follow(self, before: Grey, grey: Grey, camera: Camera, guess: Array) -> Located | None:
        """Lucas-Kanade from the last frame, begun where the last motion leads."""
        tracks = self._tracks
        ahead, depth = camera.project(self._landmarks.positions[tracks.ids], guess)
        ahead = np.where((depth > 0)[:, None], ahead, tracks.pixels)
        there, found = follow(before, grey, tracks.pixels, ahead)
        ids, pixels = tracks.ids[found], there[found]
        located = self._locate(ids, pixels, camera)
        if located is not None:
            self._tracks = _Tracks(ids, pixels)
        return located

    def _recognise(self, grey: Grey, camera: Camera) -> Located | None:
        """The newest keyframe's corners by their looks, after a leap."""
        keyframe = self._keyframes[-1]
        if keyframe.grey is None or len(keyframe.ids) < MIN_INLIERS:
            return None
        pixels, which = descriptors.match(keyframe.grey, keyframe.pixels, grey)
        located = self._locate(keyframe.ids[which], pixels, camera)
        if located is not None:
            self._tracks = _Tracks(keyframe.ids[which], pixels.astype(np.float32))
        return located

    def _locate(self, ids: NDArray[Any], pixels: Array, camera: Camera) -> Located | None:
        points = self._landmarks.positions[ids]
        located = locate(points, pixels, camera, self._pose, self.options.seed)
        if located is None or located.inliers.mean() < self.options.lost:
            return None
        return located

    def _head_motion(self, prediction: FramePrediction) -> Array:
        """last_from_newest by the camera head, in the refined world's scale."""
        assert self._head is not None
        motion = compose(invert(self._head), prediction.world_from_cam)
        motion[:, 3] *= np.exp(self._log_scale)
        return motion

    def _measure_scale(self, camera: Camera, prediction: FramePrediction) -> float:
        """Median log ratio of the tracked points' depths to the model's; notes the spread."""
        points = self._landmarks.positions[self._tracks.ids]
        _, depth = camera.project(points, self._pose)
        said = _at(prediction.depth, self._tracks.pixels, camera)
        ratios = np.log(np.maximum(depth, 1e-6) / said)
        scale = float(np.median(ratios))
        self._spreads.append(1.4826 * float(np.median(np.abs(ratios - scale))))
        return scale

    def _keyframe_is_due(self, anchor: Keyframe, grey: Grey) -> bool:
        if len(self._tracks.ids) < self.options.alive * len(anchor.ids):
            return True
        _, here, there = np.intersect1d(
            self._tracks.ids, anchor.ids, assume_unique=True, return_indices=True
        )
        moved = np.linalg.norm(self._tracks.pixels[here] - anchor.pixels[there], axis=1)
        return len(moved) == 0 or np.median(moved) > self.options.parallax * grey.shape[1]

    def _make_keyframe(self, grey: Grey, prediction: FramePrediction) -> None:
        """The newest frame becomes a keyframe; new corners are lifted by its depth."""
        camera, index = self._camera(grey), len(self._keyframes)
        wanted = self.options.corners - len(self._tracks.ids)
        corners = find_corners(grey, _confident(prediction, grey), self._tracks.pixels, wanted)
        depth = _at(prediction.depth, corners, camera) * np.exp(self._log_scale)
        lifted = camera.lift(corners, depth)
        positions = lifted @ self._pose[:, :3].T + self._pose[:, 3]
        ids = self._landmarks.add(positions, index, np.linalg.norm(lifted, axis=1))
        self._tracks = _Tracks(
            np.concatenate([self._tracks.ids, ids]),
            np.concatenate([self._tracks.pixels, corners]).astype(np.float32),
        )
        if self._keyframes:
            self._keyframes[-1].grey = None
        frame = len(self._frames) - 1
        keyframe = Keyframe(frame, self._pose, self._tracks.ids, self._tracks.pixels, grey)
        self._keyframes.append(keyframe)
        hanging = self._frames[-1]
        hanging.keyframe, hanging.keyframe_from_cam = index, np.eye(3, 4)
        hanging.log_scale = self._log_scale

    def _submit_window(self, grey: Grey) -> None:
        """Hands the newest keyframes to the solver, if they say anything of depth."""
        camera, options = self._camera(grey), self.options
        prior = float(np.median(self._focals)) * grey.shape[1]
        sigma = options.distance_trust * float(np.median(self._spreads))
        problem = window_of(self._keyframes, self._landmarks, camera, prior, sigma, options)
        if problem is not None:
            self._solver.submit(problem)

    def _take_solution(self, wait_s: float = 0.0) -> int | None:
        """Moves what a finished window moved; the first frame concerned, None if none is."""
        solution = self._solver.collect(wait_s)
        if solution is None:
            return None
        problem, first = solution.problem, solution.problem.first_keyframe
        self._focal = solution.focal
        old_newest = self._keyframes[-1].pose
        last = first + len(solution.world_from_cam)
        # Keyframes made since then keep their place beside the window's newest.
        carried = compose(solution.world_from_cam[-1], invert(self._keyframes[last - 1].pose))
        for keyframe, pose in zip(
            self._keyframes[first:last], solution.world_from_cam, strict=True
        ):
            keyframe.pose = pose
        for keyframe in self._keyframes[last:]:
            keyframe.pose = compose(carried, keyframe.pose)
        self._landmarks.positions[problem.ids] = solution.points
        newer = np.flatnonzero(self._landmarks.anchors >= last)
        positions = self._landmarks.positions[newer]
        self._landmarks.positions[newer] = positions @ carried[:, :3].T + carried[:, 3]
        newest = compose(self._keyframes[-1].pose, invert(old_newest))
        self._pose = compose(newest, self._pose)
        self._drop(solution)
        return self._keyframes[first].frame

    def _drop(self, solution: WindowSolution) -> None:
        """Forgets landmarks that no pose explains."""
        worst = np.zeros(len(solution.problem.ids))
        np.maximum.at(worst, solution.problem.landmark, solution.errors)
        bad = solution.problem.ids[worst > self.options.drop_pixels]
        self._tracks.keep(~np.isin(self._tracks.ids, bad))
        for keyframe in self._keyframes[solution.problem.first_keyframe :]:
            good = ~np.isin(keyframe.ids, bad)
            keyframe.ids, keyframe.pixels = keyframe.ids[good], keyframe.pixels[good]

    def _hang(
        self, status: Status, share: float, keyframe: int, relative: Array, log_scale: float
    ) -> None:
        self._frames.append(_Hanging(keyframe, relative, log_scale, status, share))

    def _corrections(self, numbers: list[int]) -> list[Correction]:
        self._revision += 1
        assert self._grey is not None
        width = self._grey.shape[1]
        made = []
        for number in numbers:
            hanging = self._frames[number]
            keyframe = self._keyframes[hanging.keyframe]
            made.append(
                Correction(
                    frame=number,
                    keyframe=keyframe.frame,
                    world_from_cam=compose(keyframe.pose, hanging.keyframe_from_cam),
                    focal=self._focal / width,
                    log_scale=hanging.log_scale,
                    status=hanging.status,
                    inlier_share=hanging.share,
                    revision=self._revision,
                )
            )
        return made


def _at(depth: Array, pixels: Array, camera: Camera) -> Array:
    """The model's depth at pixels of the tracking picture (nearest)."""
    width, height = 2 * camera.centre
    columns = (pixels[:, 0] * depth.shape[1] / width).astype(int).clip(0, depth.shape[1] - 1)
    rows = (pixels[:, 1] * depth.shape[0] / height).astype(int).clip(0, depth.shape[0] - 1)
    return depth[rows, columns].astype(np.float64)


def _confident(prediction: FramePrediction, grey: Grey) -> NDArray[np.bool_]:
    """Where corners may lie: not in the least confident 15 %, not at the rim."""
    mask = prediction.depth_conf > np.percentile(prediction.depth_conf, 15)
    size = (grey.shape[1], grey.shape[0])
    allowed = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    rim = 8
    allowed[:rim] = allowed[-rim:] = False
    allowed[:, :rim] = allowed[:, -rim:] = False
    return allowed
