"""One adjustment over all keyframes, when a stream ends.

Windows tie neighbours, and loops close by what two keyframes say. Here pictures tie keyframes that
are seconds apart, all of them at once; what is shown about each moves as its camera does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from svggt.geometry import Similarity
from svggt.refine.camera import Camera
from svggt.refine.field import sample
from svggt.refine.global_adjustment import AdjustedViews, GlobalAdjustment
from svggt.refine.shown_world import correction_of, unclosed
from svggt.refine.solver import Solver, Task
from svggt.refine.state import RefinerState
from svggt.refine.views import FindPoints, MatchViews, View, ViewPoints

Array = NDArray[Any]

_FEWEST = 15  # views: fewer are no more than a window
_HELD = 0.7  # share of the views that enough points must hold
_NEIGHBOURS = (*range(1, 9), 16, 32)  # views apart that are matched,
_AROUND = 3  # and views on either side of a loop's two
_ROUNDS = 2
_FAR = 0.3  # log focal length from what the stream had
_WAIT_SECONDS = 0.2  # between two looks whether anybody wants it still


@dataclass
class _Asking:
    """Has tasks done one after another, and says how far it is.

    Attributes:
        solver: its own.
        steps: in all.
        on_share: told the share that is done; may raise to end it.
    """

    solver: Solver
    steps: int
    on_share: Callable[[float], None]
    done: int = 0

    def ask(self, task: Task, steps: int = 1) -> Any:
        """The answer; None if there is none."""
        self.on_share(self.done / self.steps)
        self.solver.submit(task)
        while (answer := self.solver.collect(_WAIT_SECONDS)) is None and self.solver.busy:
            self.on_share(self.done / self.steps)
        self.done += steps
        return answer


def adjust_all(
    state: RefinerState,
    camera: Camera,
    free_lens: bool,
    solver: Solver,
    on_share: Callable[[float], None],
) -> bool:
    """Adjusts the keyframes of each segment, and moves what is shown.

    Args:
        state: the stream's, after its last frame.
        camera: its intrinsics.
        free_lens: whether nothing better is known of them; the longest segment decides.
        solver: for tasks of seconds.
        on_share: told how much is done, 0 to 1; what it raises ends it, and nothing has moved.

    Returns:
        Whether anything moved.
    """
    segments = [
        views
        for number in range(state.num_segments)
        if len(views := _views_of(state, number)) >= _FEWEST
    ]
    count = sum(len(views) for views in segments)
    asking = _Asking(solver, (2 + _ROUNDS) * count, on_share)
    found: list[tuple[list[View], AdjustedViews]] = []
    for views in sorted(segments, key=len, reverse=True):
        adjusted = _adjust(state, camera, views, free_lens, asking)
        if adjusted is not None:
            camera, free_lens = adjusted.camera, False
            found.append((views, adjusted))
    for views, adjusted in found:
        _move(state, views, adjusted)
    if found:
        state.focal, state.radial = camera.focal / state.size[1], camera.radial
        state.note_moved(0)
    return bool(found)


def _views_of(state: RefinerState, segment: int) -> list[View]:
    return [each for each in state.views if state.keyframes[each.keyframe].segment == segment]


def _adjust(
    state: RefinerState, camera: Camera, views: list[View], free_lens: bool, asking: _Asking
) -> AdjustedViews | None:
    """One segment's views; None where too little holds them together."""
    points = [asking.ask(FindPoints(view)) for view in views]
    if any(each is None for each in points):
        return None
    matches = _matches(state, camera, views, points, asking)
    frames = [state.keyframes[view.keyframe].frame for view in views]
    poses = np.stack([correction_of(state, frame).world_from_cam for frame in frames])
    pixels = [each.pixels for each in points]
    task = GlobalAdjustment(camera, poses, pixels, matches, free_lens=False)
    adjusted = None
    for number in range(_ROUNDS):
        # Cameras first: a lens that is free from the start makes up for their errors.
        task = replace(task, free_lens=free_lens and number > 0)
        adjusted = asking.ask(task, len(views))
        if adjusted is None or adjusted.held.mean() < _HELD:
            return None
        task = replace(task, camera=adjusted.camera, world_from_cam=adjusted.world_from_cam)
    if adjusted is None or abs(np.log(adjusted.camera.focal / camera.focal)) > _FAR:
        return None
    return adjusted


def _matches(
    state: RefinerState,
    camera: Camera,
    views: list[View],
    points: list[ViewPoints],
    asking: _Asking,
) -> dict[tuple[int, int], NDArray[np.uint32]]:
    pairs = _pairs(state, views)
    found: dict[tuple[int, int], NDArray[np.uint32]] = {}
    for new in range(len(views)):
        olds = [old for old in range(new) if (old, new) in pairs]
        said = asking.ask(MatchViews(camera, points[new], [points[old] for old in olds]))
        for old, matches in zip(olds, said or [], strict=False):
            if len(matches):
                found[old, new] = matches
    return found


def _pairs(state: RefinerState, views: list[View]) -> set[tuple[int, int]]:
    """Of views that may have something in common, the earlier one first."""
    count, numbers = len(views), np.array([view.keyframe for view in views])
    pairs = {(n - apart, n) for n in range(count) for apart in _NEIGHBOURS if apart <= n}
    reach = range(-_AROUND, _AROUND + 1)
    for loop in state.loops:
        old, new = np.searchsorted(numbers, (loop.old, loop.new)).tolist()
        near = {(old + a, new + b) for a in reach for b in reach}
        pairs |= {(a, b) for a, b in near if 0 <= a < b < count}
    return pairs


def _move(state: RefinerState, views: list[View], adjusted: AdjustedViews) -> None:
    """Keyframes of a segment go where its views went; those between two views, in between."""
    kept = np.flatnonzero(adjusted.held)
    indices = np.array([views[n].keyframe for n in kept])
    grown = np.array([_log_growth(state, views[n], adjusted.depths[n]) for n in kept])
    known = np.isfinite(grown)
    if not known.any():
        return
    size = float(np.median(grown[known]))  # the world keeps its own
    grown = np.interp(indices, indices[known], grown[known]) - size
    whole = Similarity(float(np.exp(-size)), np.eye(3, 4))
    closed = [
        Similarity.of_camera(
            whole.pose(adjusted.world_from_cam[n]),
            unclosed(state, index).rigid,
            state.keyframes[index].closed.scale * float(np.exp(growth)),
        )
        for n, index, growth in zip(kept, indices.tolist(), grown, strict=True)
    ]
    segment = state.keyframes[views[0].keyframe].segment
    mine = [index for index, each in enumerate(state.keyframes) if each.segment == segment]
    poses = [unclosed(state, index).rigid for index in mine]
    moves = [
        _move_of(index, pose, indices, closed) for index, pose in zip(mine, poses, strict=True)
    ]
    # The segment's first keyframe keeps its place: the world is the first frame's camera.
    before = state.keyframes[mine[0]].closed.pose(poses[0])
    back = Similarity.of_camera(before, moves[0].pose(poses[0]), 1.0)
    for index, pose, move in zip(mine, poses, moves, strict=True):
        there = back.pose(move.pose(pose))
        state.keyframes[index].closed = Similarity.of_camera(there, pose, move.scale)


def _move_of(index: int, pose: Array, indices: Array, closed: list[Similarity]) -> Similarity:
    """A keyframe's, from those of the views around it.

    Args:
        index: the keyframe's.
        pose: (3, 4) where it is while nothing is closed.
        indices: (V,) of the views' keyframes, ascending.
        closed: where each of them goes.
    """
    place = float(np.interp(index, indices, np.arange(len(indices))))
    before, after = closed[int(place)], closed[min(int(place) + 1, len(closed) - 1)]
    return _between(before, after, place % 1.0, pose)


def _log_growth(state: RefinerState, view: View, depths: Array) -> float:
    """How much further what a view sees is from it than it was shown; NaN if nothing tells."""
    shown = correction_of(state, state.keyframes[view.keyframe].frame)
    seen = depths[: len(view.corners)]
    before = view.log_depth + shown.log_scale
    if shown.field is not None:
        before = before + sample(shown.field, view.corners.pixels, state.size)
    known = np.isfinite(seen)
    return float(np.median(np.log(seen[known]) - before[known])) if known.any() else np.nan


def _between(before: Similarity, after: Similarity, share: float, pose: Array) -> Similarity:
    """Of two moves of a camera's surroundings, the one so far from the first to the second."""
    a, b = before.pose(pose), after.pose(pose)
    turn = Rotation.from_matrix(a[:, :3].T @ b[:, :3]).as_rotvec()
    turned = a[:, :3] @ Rotation.from_rotvec(share * turn).as_matrix()
    centre = (1 - share) * a[:, 3] + share * b[:, 3]
    scale = before.scale ** (1 - share) * after.scale**share
    moved = np.concatenate([turned, centre[:, None]], axis=1)
    return Similarity.of_camera(moved, pose, float(scale))
