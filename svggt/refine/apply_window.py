"""What an adjusted window changes in a refiner's state."""

from __future__ import annotations

import numpy as np

from svggt.geometry import Similarity
from svggt.refine.segments import rescale, transform
from svggt.refine.state import RefinerState
from svggt.refine.window import WindowSolution

_WINDOW_SIGMA = 0.15  # relative, of the focal length that one window alone says
_SUREST_FOCAL = 0.02


def apply_window(state: RefinerState, solution: WindowSolution, drop_pixels: float) -> None:
    """Moves keyframes and landmarks; what came since keeps its place beside the newest.

    Args:
        state: the stream's, in the world that the window was asked in.
        solution: the adjusted window.
        drop_pixels: landmarks with a larger error are forgotten.
    """
    problem, first = solution.problem, solution.problem.first_keyframe
    if problem.focal_sigma:
        state.focal_sigma = _sigma_of_focal(solution)
    state.focal, state.radial = solution.focal / state.size[1], solution.radial
    # Frames hang on keyframes: where what a keyframe sees has grown, so do its frames' depths.
    last = first + len(solution.world_from_cam)
    newest, window = state.keyframes[-1], state.keyframes[last - 1]
    growth = [_growth(solution, number) for number in range(len(solution.world_from_cam))]
    moved = first + problem.held - 1
    rescale(state, dict(enumerate(growth[problem.held - 1 :], moved)))
    # Keyframes that came while the window was adjusted move as its newest one did.
    if newest.segment == window.segment:
        moves = Similarity.of_camera(solution.world_from_cam[-1], window.pose, growth[-1])
        transform(state, list(range(last, len(state.keyframes))), moves)
    for keyframe, pose in zip(state.keyframes[first:last], solution.world_from_cam, strict=True):
        keyframe.pose = pose
    # Landmarks that were forgotten meanwhile have rows below 0.
    rows = state.landmarks.rows(problem.ids)
    state.landmarks.positions[rows[rows >= 0]] = solution.points[rows >= 0]
    state.landmarks.stand([keyframe.pose[:, 3] for keyframe in state.keyframes])
    _drop(state, solution, drop_pixels)
    state.note_moved(state.keyframes[moved].frame)


def _sigma_of_focal(solution: WindowSolution) -> float:
    """Of a focal length that was free: what was said of it before counts as far as it held."""
    problem = solution.problem
    off = np.log(solution.focal / problem.focal_prior) / problem.focal_sigma
    known = problem.focal_sigma**-2 / (1 + off**2) + _WINDOW_SIGMA**-2  # Cauchy's weight
    return max(min(_SUREST_FOCAL, problem.focal_sigma), float(known**-0.5))


def _growth(solution: WindowSolution, number: int) -> float:
    """How much further what a keyframe sees is from it than before."""
    problem = solution.problem
    seen = problem.landmark[problem.keyframe == number]
    before = problem.points[seen] - problem.world_from_cam[number, :, 3]
    after = solution.points[seen] - solution.world_from_cam[number, :, 3]
    ratios = np.linalg.norm(after, axis=1) / (np.linalg.norm(before, axis=1) + 1e-12)
    return float(np.median(ratios)) if len(ratios) else 1.0


def forget(state: RefinerState, first: int) -> None:
    """Gives back what only keyframes before index `first` have seen."""
    for keyframe in state.keyframes[:first]:
        if len(keyframe.ids):  # recognised ones gain observations behind the window
            keyframe.ids, keyframe.pixels = keyframe.ids[:0], keyframe.pixels[:0]
    kept = [state.tracks.ids, *(k.ids for k in state.keyframes[first:])]
    kept += [placed.seen.ids for placed in state.frames[state.settled :]]
    state.landmarks.forget(min((int(ids.min()) for ids in kept if len(ids)), default=0))


def _drop(state: RefinerState, solution: WindowSolution, drop_pixels: float) -> None:
    """Forgets landmarks that no pose explains."""
    worst = np.zeros(len(solution.problem.ids))
    np.maximum.at(worst, solution.problem.landmark, solution.errors)
    bad = solution.problem.ids[worst > drop_pixels]
    state.tracks = state.tracks.only(~np.isin(state.tracks.ids, bad))
    for keyframe in state.keyframes[solution.problem.first_keyframe :]:
        good = ~np.isin(keyframe.ids, bad)
        keyframe.ids, keyframe.pixels = keyframe.ids[good], keyframe.pixels[good]
