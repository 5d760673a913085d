"""What a frame's depth must be corrected by: one scale, and a smooth field."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.refine.camera import Camera
from svggt.refine.field import fit_field
from svggt.refine.state import Placed, RefinerState

Array = NDArray[Any]

_WELL = 0.03  # log spread of a landmark that the model's depth is measured by
_ENOUGH = 20
_WORST = 0.3  # log spread at which a landmark is as good as the model's depth


def align_depth(state: RefinerState, placed: Placed, world_from_cam: Array, camera: Camera) -> bool:
    """Fits log scale and field to the landmarks as they are known now; False if too few are.

    Args:
        state: the stream's.
        placed: the frame; gets the fit.
        world_from_cam: (3, 4) its pose.
        camera: the stream's intrinsics.
    """
    # What the frame's depth should be at its landmarks, by the log of what the model said there.
    rows = state.landmarks.rows(placed.seen.ids)
    known = rows >= 0
    points = state.landmarks.positions[rows[known]]
    _, depth = camera.project(points, world_from_cam)
    ahead = depth > 0
    if ahead.sum() < 4:
        return False
    ratios = np.log(depth[ahead]) - placed.log_depth[known][ahead]
    ids = placed.seen.ids[known][ahead]
    spreads = state.landmarks.spreads(ids, 1 / camera.focal, _WORST)
    pixels = placed.seen.pixels[known][ahead]
    placed.log_scale, placed.field = fit_field(pixels, ratios, spreads, state.size)
    # Well triangulated landmarks tell how wrong the model's depth is, which is the spread of those
    # that only it vouches for.
    known_well = spreads < _WELL
    if known_well.sum() >= _ENOUGH:
        off = np.abs(ratios - placed.log_scale)[known_well]
        state.errors = [*state.errors[-31:], 1.4826 * float(np.median(off))]
    return True
