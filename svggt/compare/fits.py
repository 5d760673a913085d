"""Whether so many frames fit on a device at once."""

from __future__ import annotations

import psutil

from svggt.checkpoints import LoadedModel
from svggt.compare.ways import Way
from svggt.frames import BadInput
from svggt.offline import most_frames


def check_fits(way: Way, model: LoadedModel, size: tuple[int, int], count: int) -> None:
    """Says before anything starts if weights cannot take a run's frames.

    Args:
        way: of computing them; streaming takes one at a time.
        model: its weights.
        size: (H, W) of the frames.
        count: of the frames.

    Raises:
        BadInput: they take pictures of another width, or a pass over so many would fill the
            device; the number that fits is named.
    """
    if size[1] != model.input_width:
        raise BadInput(
            f"{model.name} takes pictures {model.input_width} pixels wide, and these frames have "
            f"{size[1]}: run A with weights of that width too."
        )
    if way.mode == "streaming":
        return
    free = model.device.free_bytes
    most = most_frames(model, size, psutil.virtual_memory().available if free is None else free)
    if count > most:
        raise BadInput(
            f"{count} frames do not fit on {model.device.name} at once; {most} do. Take the first "
            f"{most} of them (Frames)."
        )
