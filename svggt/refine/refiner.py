"""Cameras refined as frames arrive.

Corners are tracked from frame to frame, a frame's pose is solved from the tracked points, and at
keyframes a sliding window is adjusted with the model's depth as a prior. Later frames hang on
their keyframe and move with it. Where tracking is lost a new segment of the trajectory begins. A
keyframe that is recognised in an old one joins its segment to the old one's, or closes a loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.geometry import compose, invert
from svggt.prediction import FramePrediction
from svggt.refine.adjust_all import adjust_all
from svggt.refine.apply_window import apply_window, forget
from svggt.refine.camera import Camera
from svggt.refine.correction import Correction, Status
from svggt.refine.depth_alignment import align_depth
from svggt.refine.dynamic_points import DynamicPoints
from svggt.refine.field import correct, sample
from svggt.refine.flow_check import FlowCheck, textured
from svggt.refine.focal_length import focal_prior, learn_focal
from svggt.refine.keyframes import Keyframe, corners_allowed, keyframe_is_due, window_of
from svggt.refine.localizer import Localizer, PoseEstimate, TrackedFrame, relocalize, track, widen
from svggt.refine.loop_closer import LoopCloser
from svggt.refine.options import RefineOptions
from svggt.refine.recognition import remember
from svggt.refine.refine_pose import Expected
from svggt.refine.relocalization import NEWEST, Features, Remembered
from svggt.refine.scale_drift import LAG
from svggt.refine.shown_world import correction_of, take_out_drift
from svggt.refine.solver import Solver
from svggt.refine.state import Placed, RefinerState
from svggt.refine.tracking import Grey, Tracks, find_corners
from svggt.refine.views import View

Array = NDArray[Any]

_SETTLE_SECONDS = 1.0  # that the last window may take
_SHORTEST_SECONDS = 1 / 240  # between frames
_UNSEEN = 2.0  # times the depth's error: of a landmark's depth that only the model says
_UNSEEN_RANGE = (0.01, 0.3)
_DISTANCE_SIGMA = (0.02, 2.0)


class Refiner:
    """Refines the cameras of one stream.

    Args:
        solver: adjusts windows, and has another beside it that looks for loops.
        options: tuning.
        state: to resume from; a new stream's if left out.
        field_of_view: degrees across the picture, where it is known; 0: it is found.
    """

    def __init__(
        self,
        solver: Solver,
        options: RefineOptions | None = None,
        state: RefinerState | None = None,
        field_of_view: float = 0.0,
    ) -> None:
        self.options = options or RefineOptions()
        self.state = state or RefinerState()
        self._solver = solver
        self._focal = 0.5 / math.tan(math.radians(field_of_view) / 2) if field_of_view else None
        self._loops = LoopCloser(solver.another(), self.options)

    def follow(self, grey: Grey) -> TrackedFrame | None:
        """Looks for what is known in the next picture, while the model has yet to say of it.

        Takes a finished window in, and changes nothing else. None for the first picture.
        """
        s = self.state
        self._take_solution()
        self._loops.take(s, self.camera)
        if not s.frames:
            return None
        unseen = float(np.clip(_UNSEEN * s.depth_error, *_UNSEEN_RANGE))
        localizer = Localizer(grey, self.camera, s.landmarks, unseen, self.options)
        reach = max(float(np.linalg.norm(s.motion[:, 3])), self.options.reach * s.distance)
        expected = Expected(compose(s.pose, s.motion), reach)
        estimate = track(localizer, s.grey, s.tracks, expected)
        return TrackedFrame(localizer, expected, estimate, s.flow.follow(s.grey, grey))

    def add(
        self, grey: Grey, prediction: FramePrediction, followed: TrackedFrame | None = None
    ) -> list[Correction]:
        """Takes in the next frame and what the model said of it.

        Args:
            grey: (h, w) tracking picture, square pixels, the same view as the prediction's.
            prediction: what camera head and depth head say of the frame.
            followed: what `follow` found in it, if it was asked.

        Returns:
            Corrections of this frame, the last of them, and of older ones that moved.
        """
        s = self.state
        followed = followed or self.follow(grey)
        s.size = (grey.shape[0], grey.shape[1])
        learn_focal(s, prediction, self._focal)
        if followed is None:
            self._place("tracked", 1.0, prediction)
            self._make_keyframe(grey, prediction)
        else:
            self._advance(followed, prediction)
        s.grey, s.time_s, s.head = grey, prediction.time_s, prediction.world_from_cam
        s.depth = float(np.median(prediction.depth))
        points = textured(grey) if followed is None else followed.flow.points
        s.flow = s.flow.look(points, correct(prediction.depth, 0.0, s.frames[-1].field), s.size)
        return self._corrections(len(s.frames) - 1)

    def settle(self) -> list[Correction]:
        """What a window changes that finishes after the last frame; waits for it."""
        s = self.state
        self.settle_window()
        self._settle_depth(len(s.frames))
        take_out_drift(s, lag=len(s.keyframes))
        self._loops.close(s)
        self._loops.take(s, self.camera, _SETTLE_SECONDS)
        return self._corrections(len(s.frames), lag=len(s.keyframes))

    def adjust(
        self, solver: Solver, on_share: Callable[[float], None] = lambda share: None
    ) -> list[Correction]:
        """All keyframes adjusted at once, after `settle`: seconds to a minute.

        Args:
            solver: its own.
            on_share: told how much is done, 0 to 1; what it raises ends it, and nothing moves.

        Returns:
            Corrections of all frames; none where too little ties keyframes.
        """
        s = self.state
        free_lens = self._focal is None and s.focal_sigma > 0  # some window has turned
        moved = adjust_all(s, self.camera, free_lens, solver, on_share)
        return self._corrections(len(s.frames), lag=len(s.keyframes)) if moved else []

    def settle_window(self) -> None:
        """Waits for what is on its way; what it moves is told with the next frame."""
        self._take_solution(wait_s=_SETTLE_SECONDS)
        self._loops.take(self.state, self.camera, _SETTLE_SECONDS)

    @property
    def camera(self) -> Camera:
        """Of the tracking picture."""
        s = self.state
        height, width = s.size
        return Camera(s.focal * width, np.array([width / 2, height / 2]), s.radial)

    def _advance(self, followed: TrackedFrame, prediction: FramePrediction) -> None:
        s, localizer = self.state, followed.localizer
        last = s.pose
        estimate = self._search(followed, prediction.time_s)
        if estimate is None:
            self._lose(prediction)
        else:
            self._see(localizer, estimate)
        s.motion = compose(invert(last), s.pose)
        if estimate is not None:  # else the segment is new, and nothing speaks of it yet
            scale = float(np.exp(s.log_scale))
            s.flow = s.flow.advance(followed.flow, scale, self.camera, s.motion)
        self._place(*self._judge(estimate), prediction)
        if estimate is None or keyframe_is_due(s.keyframes[-1], s.tracks, s.size, self.options):
            s.log_scale *= 1 - self.options.pull
            self._make_keyframe(localizer.grey, prediction)
            self._submit_window()

    def _search(self, followed: TrackedFrame, time_s: float) -> PoseEstimate | None:
        """Known landmarks in the new picture: followed, or recognised where too few were."""
        s, localizer, estimate = self.state, followed.localizer, followed.estimate
        seconds = max(time_s - s.time_s, _SHORTEST_SECONDS)
        furthest = self.options.fastest * s.distance * seconds
        if estimate is not None and estimate.away(s.pose) <= furthest:
            visible = localizer.visible(s.tracks, estimate.world_from_cam)
            if estimate.num_inliers >= self.options.followed * visible:
                return estimate
        leapt = self._relocalize(localizer, followed.expected)
        found = [each for each in (estimate, leapt) if each and each.away(s.pose) <= furthest]
        return max(found, key=lambda estimate: estimate.num_inliers, default=None)

    def _relocalize(self, localizer: Localizer, expected: Expected) -> PoseEstimate | None:
        """The newest keyframes by their looks, where tracking fails."""
        s, features = self.state, Features.of(localizer.grey)
        for place in reversed(s.places):
            if place.keyframe < s.tied:
                break
            estimate = relocalize(localizer, features, place, s.keyframes[place.keyframe], expected)
            if estimate is not None:
                return widen(localizer, estimate, s.grey, s.tracks, expected)
        return None

    def _judge(self, estimate: PoseEstimate | None) -> tuple[Status, float]:
        """What is told of the newest camera, and its share of inliers."""
        if estimate is None:
            return "lost", 0.0
        share, options = float(estimate.inliers.mean()), self.options
        holds = share >= options.weak and self.state.flow.agreement >= options.agreement
        return "tracked" if holds else "weak", share

    def _see(self, localizer: Localizer, estimate: PoseEstimate) -> None:
        """The newest camera stands where the landmarks say."""
        s = self.state
        rejected = estimate.tracks.pixels[~estimate.inliers]
        s.suspects = s.suspects.advance(s.grey, localizer.grey, rejected)
        s.pose, s.tracks = estimate.world_from_cam, estimate.tracks.only(estimate.inliers)
        s.landmarks.see(s.tracks.ids, s.pose[:, 3])

    def _lose(self, prediction: FramePrediction) -> None:
        """A new segment begins where the camera head's relative motion puts it."""
        s = self.state
        motion = compose(invert(s.head), prediction.world_from_cam)
        motion[:, 3] *= np.exp(s.log_scale)
        s.pose, s.tracks, s.bend = compose(s.pose, motion), Tracks.none(), None
        s.suspects, s.flow = DynamicPoints.none(), FlowCheck()
        s.tied, s.segment, s.num_segments = len(s.keyframes), s.num_segments, s.num_segments + 1

    def _place(self, status: Status, share: float, prediction: FramePrediction) -> None:
        """Hangs the newest frame on the newest keyframe, with its depth's correction."""
        s = self.state
        newest = s.keyframes[-1].pose if s.keyframes else s.pose
        relative = compose(invert(newest), s.pose)
        moving = s.fixed.among(s.suspects.moving(s.tracks.pixels, s.size))
        index = len(s.keyframes) - 1
        log_depth = self._log_depth(prediction)
        placed = Placed(
            keyframe=index,
            keyframe_from_cam=relative,
            log_scale=s.log_scale,
            field=None,
            moving=moving,
            status=status,
            share=share,
            seen=s.tracks,
            log_depth=log_depth,
            agreement=s.flow.agreement,
        )
        if align_depth(s, placed, s.pose, self.camera):
            s.log_scale, s.bend = placed.log_scale, placed.field
        s.frames.append(placed)

    def _log_depth(self, prediction: FramePrediction) -> Array:
        """Log of the model's depth (N,) where landmarks are followed."""
        s = self.state
        return np.log(sample(prediction.depth, s.tracks.pixels, s.size))

    def _make_keyframe(self, grey: Grey, prediction: FramePrediction) -> None:
        """The newest frame becomes a keyframe; new corners are lifted by its depth."""
        s, camera, index = self.state, self.camera, len(self.state.keyframes)
        depth = correct(prediction.depth, s.log_scale, s.bend)
        if index > s.tied:
            last, motion = s.places[-1].grey, compose(invert(s.keyframes[-1].pose), s.pose)
            s.fixed = s.fixed.advance(last, grey, depth, camera, motion)
        s.tracks = s.tracks.only(~s.fixed.at(s.tracks.pixels))
        allowed = corners_allowed(prediction, s.frames[-1].moving, s.size) & ~s.fixed.mask
        wanted = self.options.corners - len(s.tracks)
        corners = find_corners(grey, allowed, s.tracks.pixels, wanted)
        points = camera.lift(corners, sample(depth, corners, s.size), s.pose)
        ids = s.landmarks.add(points, s.pose[:, 3], index)
        s.tracks = s.tracks.and_new(Tracks(ids, corners))
        frame = len(s.frames) - 1
        keyframe = Keyframe(
            frame,
            s.segment,
            s.pose,
            s.tracks.ids,
            s.tracks.pixels,
            depth=float(np.median(depth)),
            tied=index != s.tied,
        )
        if s.keyframes:
            keyframe.closed = s.keyframes[-1].closed
        s.keyframes.append(keyframe)
        s.places = [*s.places, Remembered(index, grey, depth.astype(np.float16))][-NEWEST:]
        self._loops.look(s, grey, depth)
        placed = s.frames[-1]
        placed.keyframe, placed.keyframe_from_cam = index, np.eye(3, 4)
        placed.seen, placed.log_depth = s.tracks, self._log_depth(prediction)
        s.views = remember(s.views, View.of(index, grey, s.tracks, placed.log_depth))

    def _submit_window(self) -> None:
        """Hands the newest keyframes to the solver, if they say anything of depth.

        One window at a time: the next one begins from what the last one found.
        """
        s = self.state
        if self._solver.busy:
            return
        sigma = float(np.clip(self.options.distance_trust * s.depth_error, *_DISTANCE_SIGMA))
        problem = window_of(
            s.keyframes,
            s.tied,
            s.world,
            s.landmarks,
            self.camera,
            focal_prior(s, self.options, self._focal),
            sigma,
            self.options,
        )
        if problem is not None:
            self._solver.submit(problem)

    def _take_solution(self, wait_s: float = 0.0) -> None:
        """Moves what a finished window moved, and settles the depth of what has left it."""
        s, solution = self.state, self._solver.collect(wait_s)
        if solution is None or solution.problem.world != s.world:
            return
        apply_window(s, solution, self.options.drop_pixels)
        first, held = solution.problem.first_keyframe, solution.problem.held
        if held > 1 and held < len(solution.world_from_cam):
            self._settle_depth(s.keyframes[first + held].frame)
        forget(s, first)

    def _settle_depth(self, before: int) -> None:
        """Frames up to here get the depth that the landmarks ask for now, for good."""
        s = self.state
        for number in range(s.settled, before):
            placed = s.frames[number]
            pose = compose(s.keyframes[placed.keyframe].pose, placed.keyframe_from_cam)
            if align_depth(s, placed, pose, self.camera):
                s.note_moved(number)
            placed.seen, placed.log_depth = Tracks.none(), np.zeros(0)
        s.settled = max(s.settled, before)

    def _corrections(self, newest: int, lag: int = LAG) -> list[Correction]:
        """Of all frames that moved, and of those from `newest` on."""
        s = self.state
        take_out_drift(s, lag)
        first = newest if s.unsent < 0 else min(s.unsent, newest)
        s.unsent, s.revision = -1, s.revision + 1
        return [correction_of(s, number) for number in range(first, len(s.frames))]
