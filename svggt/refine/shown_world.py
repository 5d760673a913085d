"""What is shown of tracking's world: each frame on its keyframe, without drift, loops closed."""

from __future__ import annotations

import numpy as np

from svggt.geometry import Similarity, compose
from svggt.refine.correction import Correction
from svggt.refine.scale_drift import LAG
from svggt.refine.state import RefinerState


def take_out_drift(state: RefinerState, lag: int = LAG) -> None:
    """Where a keyframe came or moved: what is shown of it and those after it moves too.

    Args:
        state: the stream's.
        lag: keyframes that are smoothed.
    """
    count = len(state.keyframes)
    first = count if state.unsent < 0 else state.frames[state.unsent].keyframe
    first = min(first, len(state.drift.centres))
    if not count or (first == count and lag == LAG):
        return
    log_scales = np.array([state.frames[each.frame].log_scale for each in state.keyframes])
    first = min(first, state.drift.update(log_scales, lag))
    state.drift.place(np.array([each.pose[:, 3] for each in state.keyframes]), first)
    if first < count:
        state.note_moved(state.keyframes[first].frame)


def unclosed(state: RefinerState, keyframe: int) -> Similarity:
    """Where a keyframe's camera would be shown if no loop were closed, and in which scale."""
    scale = float(np.exp(-state.drift.drift[keyframe]))
    turn, centre = state.keyframes[keyframe].pose[:, :3], state.drift.centres[keyframe]
    return Similarity(scale, np.concatenate([turn, centre[:, None]], axis=1))


def correction_of(state: RefinerState, number: int) -> Correction:
    """What is said of a frame now."""
    placed = state.frames[number]
    keyframe, drift = state.keyframes[placed.keyframe], state.drift.drift[placed.keyframe]
    shown, closed = unclosed(state, placed.keyframe), keyframe.closed
    relative = placed.keyframe_from_cam.copy()
    relative[:, 3] *= shown.scale
    pose = compose(shown.rigid, relative)
    return Correction(
        frame=number,
        keyframe=keyframe.frame,
        segment=keyframe.segment,
        world_from_cam=closed.pose(pose),
        focal=state.focal,
        radial=state.radial,
        aspect=state.size[0] / state.size[1],
        log_scale=placed.log_scale - float(drift) + float(np.log(closed.scale)),
        field=placed.field,
        moving=placed.moving,
        status=placed.status,
        settled=number < state.settled,
        inlier_share=placed.share,
        revision=state.revision,
        agreement=placed.agreement,
        closes=placed.closes,
    )
