"""Stores weights as int8, and measures what that costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svggt.engine.checkpoints import LoadedModel, load_model
from svggt.engine.devices import choose_device
from svggt.engine.quantise import save_quantised
from svggt.engine.stream import Stream
from svggt.eval.smoke import office_frames
from svggt.model.policies import window
from svggt.prediction import FramePrediction

_FRAMES = 24  # of the office clip


@dataclass(frozen=True)
class StorageCost:
    """How the stored weights differ from those they were made of.

    Attributes:
        num_bytes: the file's size.
        worst_tensor: largest relative error of a weight.
        depth: mean relative difference of depth over the office clip's first frames.
        pose: mean over frames of the largest difference in cam_from_world.
    """

    num_bytes: int
    worst_tensor: float
    depth: float
    pose: float


def store_int8(source: Path, target: Path) -> StorageCost:
    """Writes `source` as int8 to `target`, loads it again and compares."""
    original = load_model(str(source), choose_device("float32"))
    save_quantised(original.network, target)
    stored = load_model(str(target), original.device)
    before, after = original.network.state_dict(), stored.network.state_dict()
    errors = [
        float((after[name] - weight).norm() / weight.norm())
        for name, weight in before.items()
        if weight.ndim > 1 and weight.norm() > 0
    ]
    pairs = list(zip(_stream(original), _stream(stored), strict=True))
    return StorageCost(
        num_bytes=target.stat().st_size,
        worst_tensor=max(errors),
        depth=float(np.mean([np.abs(b.depth / a.depth - 1).mean() for a, b in pairs])),
        pose=float(np.mean([np.abs(b.cam_from_world - a.cam_from_world).max() for a, b in pairs])),
    )


def _stream(model: LoadedModel) -> list[FramePrediction]:
    stream = Stream(model, window(8))
    return [stream.step(frame) for frame in office_frames(model.input_width)[:_FRAMES]]
