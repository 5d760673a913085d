"""Whether so many frames fit on a device at once."""

from __future__ import annotations

import psutil

from svggt.checkpoints import LoadedModel
from svggt.compare.ways import Way
from svggt.frames import BadInput
from svggt.offline import most_frames


def check_fits(way: Way, model: LoadedModel, size: tuple[int, int], count: int) -> None:
    """Says before anything starts if a pass over frames would fill the device.

    Args:
        way: of computing them; streaming takes one at a time.
        model: its weights.
        size: (H, W) of the frames.
        count: of the frames.

    Raises:
        BadInput: the number that fits is named.
    """
    if way.mode == "streaming":
        return
    free = model.device.free_bytes
    most = most_frames(model, size, psutil.virtual_memory().available if free is None else free)
    if count > most:
        raise BadInput(
            f"{count} frames do not fit on {model.device.name} at once; {most} do. Take the first "
            f"{most} of them (Frames)."
        )
