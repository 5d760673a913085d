"""What is known of a stream's focal length: given, said by the camera head, or found by windows."""

from __future__ import annotations

import numpy as np

from svggt.prediction import FramePrediction
from svggt.refine.options import RefineOptions
from svggt.refine.state import RefinerState

_FOCALS = 256
_SIGMA = (0.005, 0.08)
_KNOWN_SIGMA = 0.02  # of a focal length that is known: EXIF rounds it


def learn_focal(state: RefinerState, prediction: FramePrediction, known: float | None) -> None:
    """Until windows take over: what is known, or the median of what the head said.

    Args:
        state: the stream's.
        prediction: the newest frame's.
        known: over the picture's width; None if nobody knows.
    """
    height, width = prediction.depth.shape
    across = prediction.intrinsics[0, 0] / width
    down = prediction.intrinsics[1, 1] / height * state.size[0] / state.size[1]
    state.focals = [*state.focals[1 - _FOCALS :], float(across + down) / 2]
    if len(state.keyframes) < 3:
        state.focal = known or float(np.median(state.focals))


def focal_prior(
    state: RefinerState, options: RefineOptions, known: float | None
) -> tuple[float, float]:
    """In pixels, and its relative sigma: what is known, or what older windows found."""
    if known:
        return known * state.size[1], _KNOWN_SIGMA
    return state.focal * state.size[1], state.focal_sigma or _head_sigma(state, options)


def _head_sigma(state: RefinerState, options: RefineOptions) -> float:
    """Relative, of the camera head's focal length: as sure as it is of one mind."""
    focals = np.array(state.focals)
    spread = options.focal_trust * focals.std() / np.median(focals)
    return float(np.clip(spread, *_SIGMA))
