"""How a stream is run, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MemoryPolicy = Literal["window", "full"]
"""Which frames a stream remembers: the first and the last ones, or all."""

Storage = Literal["computed", "bfloat16", "int8"]
"""Of the cached tokens; see `svggt.model.storage`."""


@dataclass(frozen=True)
class StreamSettings:
    """How a stream is run. Plain values, so that they travel and are stored.

    Attributes:
        model: name of a loaded model.
        memory: cache policy.
        window: frames besides the anchor that `window` keeps.
        storage: of the cached tokens: as computed, in bfloat16, or in 8 bits.
        published_camera_memory: reproduce the published loop's shared camera memory.
        points: run the point head too.
        refine: refine the cameras by tracking, beside what the camera head says.
    """

    model: str
    memory: MemoryPolicy = "window"
    window: int = 8
    storage: Storage = "computed"
    published_camera_memory: bool = False
    points: bool = False
    refine: bool = False
