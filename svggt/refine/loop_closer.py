"""When loops are looked for, and what one changes: segments merge, keyframes move."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.geometry import Similarity, compose
from svggt.refine.camera import Camera
from svggt.refine.loops import Loop, Verify
from svggt.refine.options import RefineOptions
from svggt.refine.pose_graph import Closed, PoseGraph
from svggt.refine.recognition import Describe, KeyframeFeatures, most_alike, remember
from svggt.refine.segments import merge
from svggt.refine.shown_world import take_out_drift, unclosed
from svggt.refine.solver import Solver
from svggt.refine.state import RefinerState
from svggt.refine.tracking import Grey

Array = NDArray[Any]

_EVERY = 2  # keyframes one is described
_APART = 20  # keyframes: nearer ones see the same without a loop
_REST = 4  # keyframes after a loop
_CANDIDATES = 3
_LEAST_SPREAD = 0.05  # of log depth
_MOST_BENT, _MOST_MISSED = 1.5, 5.0  # standard deviations


class LoopCloser:
    """Looks for loops among the keyframes of a stream.

    One task at a time is with the solver: describe the newest keyframe; see whether old ones that
    look like it saw the same; adjust all keyframes so that the loop closes.

    Args:
        solver: its own.
        options: tuning.
    """

    def __init__(self, solver: Solver, options: RefineOptions) -> None:
        self._solver, self._options = solver, options
        self._world = 0  # that the task was asked in

    def look(self, state: RefinerState, grey: Grey, depth: Array) -> None:
        """Has the newest keyframe described, if it is its turn.

        Args:
            state: the stream's.
            grey: the keyframe's tracking picture.
            depth: (H, W) its z-depth in the world's scale.
        """
        newest = len(state.keyframes) - 1
        last = state.features[-1].keyframe if state.features else -_EVERY
        if not self._solver.busy and newest - last >= _EVERY:
            self._ask(state, Describe(newest, grey, depth / np.exp(state.log_scale)))

    def take(self, state: RefinerState, camera: Camera, wait_s: float = 0.0) -> None:
        """Takes answers in as far as they have come.

        Args:
            state: the stream's.
            camera: its intrinsics.
            wait_s: for each answer.
        """
        while (answer := self._solver.collect(wait_s)) is not None:
            stale = self._world != state.world
            match answer:
                case KeyframeFeatures():
                    self._compare(state, camera, answer)
                case Loop() if not stale:
                    self._join(state, answer)
                case Closed() if not stale:
                    _apply(state, answer)

    def close(self, state: RefinerState) -> None:
        """Asks how the keyframes stand now if all loops found so far are closed."""
        if state.loops and not self._solver.busy:
            self._adjust(state, state.loops)

    def _adjust(self, state: RefinerState, loops: list[Loop]) -> None:
        take_out_drift(state)
        nodes = [unclosed(state, index) for index in range(len(state.keyframes))]
        tied = np.array([keyframe.tied for keyframe in state.keyframes[1:]])
        depths = np.array([keyframe.depth for keyframe in state.keyframes])
        self._ask(state, PoseGraph(nodes, tied, depths, loops))

    def _ask(self, state: RefinerState, task: Describe | Verify | PoseGraph) -> None:
        self._world = state.world
        self._solver.submit(task)

    def _compare(self, state: RefinerState, camera: Camera, new: KeyframeFeatures) -> None:
        """Old keyframes that look like a new one, unless a loop was closed just now."""
        known, segment = state.features, state.keyframes[new.keyframe].segment
        state.features = remember(known, new)
        if state.loops and new.keyframe - state.loops[-1].new < _REST:
            return
        known = [
            each
            for each in known
            if new.keyframe - each.keyframe >= _APART
            or state.keyframes[each.keyframe].segment != segment
        ]
        alike = [known[index] for index in most_alike(known, new, _CANDIDATES)]
        if alike:
            scales = np.exp([_log_scale(state, each.keyframe) for each in (new, *alike)])
            spread = max(_LEAST_SPREAD, state.depth_error)
            self._ask(state, Verify(camera, new, alike, scales, spread, self._options.seed))

    def _join(self, state: RefinerState, loop: Loop) -> None:
        """Has a loop closed; one into another segment merges the two first."""
        old, new = state.keyframes[loop.old], state.keyframes[loop.new]
        if old.segment != new.segment:
            if new.segment != state.segment:  # lost once more since it was asked
                return
            loop = _merge(state, loop)
        self._adjust(state, [*state.loops, loop])


def _merge(state: RefinerState, loop: Loop) -> Loop:
    """The segment in hand becomes a part of the older one; the loop, in its scale now."""
    old, new = state.keyframes[loop.old], state.keyframes[loop.new]
    there = compose(old.pose, loop.old_from_new.rigid)
    for keyframe in state.keyframes:
        if keyframe.segment == state.segment:
            keyframe.closed = old.closed
    merge(state, old.segment, Similarity.of_camera(there, new.pose, loop.old_from_new.scale))
    state.frames[-1].status = "recovered"
    return replace(loop, old_from_new=Similarity(1.0, loop.old_from_new.rigid))


def _apply(state: RefinerState, closed: Closed) -> None:
    """Moves what is shown; keyframes that came since go where the newest one went.

    A loop that what was tracked would have to be bent far for is none: places that look alike.
    """
    if closed.bent > _MOST_BENT or closed.missed > _MOST_MISSED:
        return
    state.loops, count = closed.task.loops, len(closed.task.nodes)
    for loop in state.loops:
        placed = state.frames[state.keyframes[loop.new].frame]
        placed.closes = state.keyframes[loop.old].frame
    for index, keyframe in enumerate(state.keyframes):
        keyframe.closed = closed.moves(min(index, count - 1))
    state.note_moved(0)


def _log_scale(state: RefinerState, keyframe: int) -> float:
    return state.frames[state.keyframes[keyframe].frame].log_scale
