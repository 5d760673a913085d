"""What is kept how long: one table, on the page and in docs/limits.md."""

from __future__ import annotations

import os

from svggt.session.registry import Sessions
from svggt.web import panels

_EPHEMERAL = (
    "This Space’s disk is ephemeral: a restart or a sleep loses every scene. Take away what you "
    "want to keep."
)
_LASTING = (
    "After a restart of the server finished scenes are here again, and others can be resumed."
)


def retention_of(sessions: Sessions) -> str:
    """The table as HTML, with what this server's disk is like."""
    limits = sessions.limits
    rows = {
        "A scene in memory that nobody looks at": _duration(limits.idle_seconds),
        "A scene in memory, at most": _duration(limits.max_seconds),
        "A scene on disk, with its clip, after its run": _duration(sessions.store.keep_seconds),
        "An upload itself, until somebody uses the page after": _duration(3600),
    }
    return panels.retention(rows, _EPHEMERAL if "SPACE_ID" in os.environ else _LASTING)


def _duration(seconds: float) -> str:
    """In the largest unit that it has at least two of."""
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length or (unit == "hours" and seconds >= 3600):
            return f"{seconds / length:.3g} {unit}".replace("1 hours", "1 hour")
    return f"{seconds:.3g} seconds"
