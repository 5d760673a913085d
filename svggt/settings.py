"""How a stream is run, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class StreamSettings:
    """How a stream is run. Plain values, so that they travel and are stored.

    Attributes:
        model: name of a loaded model.
        memory: cache policy.
        window: frames besides the anchor that `window` keeps.
        published_camera_memory: reproduce the published loop's shared camera memory.
        points: run the point head too.
        refine: refine the cameras by tracking, beside what the camera head says.
    """

    model: str
    memory: Literal["full", "window"] = "window"
    window: int = 8
    published_camera_memory: bool = False
    points: bool = False
    refine: bool = False
