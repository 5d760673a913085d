"""How streams are run and sessions kept, as plain values: the command line, page and API."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

MemoryPolicy = Literal["window", "full"]
"""What a stream remembers: a cache policy of `svggt.model.policies`."""

Storage = Literal["computed", "bfloat16", "int8"]
"""Of the cached tokens; see `svggt.model.storage`."""

Precision = Literal["auto", "float32", "bfloat16", "float16"]
"""Numbers of the backbone; auto suits the device."""

AUTO = "auto"
"""Weights that are chosen for whoever names none."""

MAX_WINDOW = 64
"""Frames that visitors may have remembered; a window holds one at least."""


@dataclass(frozen=True)
class StreamSettings:
    """How a stream is run. These lines are the command line's help and the page's hints.

    Attributes:
        model: weights.
        memory: the first frame and the last ones, or all.
        window: frames remembered besides the first.
        storage: how the memory's tokens are stored; fewer bits, less of it.
        published_camera_memory: as in the published tables.
        points: run the point head too, which costs time.
        refine: refine the cameras by tracking, beside what the camera head says.
        field_of_view: degrees across the picture where it is known; 0: as EXIF says, or found.
    """

    model: str = AUTO
    memory: MemoryPolicy = "window"
    window: int = 8
    storage: Storage = "computed"
    published_camera_memory: bool = False
    points: bool = False
    refine: bool = False
    field_of_view: float = 0.0

    @property
    def memory_title(self) -> str:
        """The memory, for people."""
        parts = [f"window {self.window}" if self.memory == "window" else "all frames"]
        if self.storage != "computed":
            parts.append(self.storage)
        if self.published_camera_memory:
            parts.append("published camera memory")
        return ", ".join(parts)

    def within_limits(self) -> StreamSettings:
        """The same with what a visitor may ask for."""
        return replace(self, window=min(MAX_WINDOW, max(1, self.window)))


@dataclass(frozen=True)
class SessionLimits:
    """How many sessions are in memory, and how long they stay there.

    Attributes:
        max_sessions: in memory at once.
        max_per_address: in memory at once for one visitor's address.
        idle_seconds: until a session leaves memory that nobody looks at and that does not run.
        max_seconds: until any session does.
    """

    max_sessions: int = 32
    max_per_address: int = 6
    idle_seconds: float = 600.0
    max_seconds: float = 7200.0
