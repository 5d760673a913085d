"""What a visitor is told of a failure, with a remedy; never a traceback."""

from __future__ import annotations

import errno

from svggt.stream import ModelOverflow
from svggt.workers import MemoryFull

DISK_FULL = (
    "The disk set aside for scenes is full; what was drawn stays. Clear scenes that nobody needs, "
    "or try again later."
)


def sentence_of(error: Exception) -> str:
    """Of an error that a run did not expect."""
    if isinstance(error, ModelOverflow):
        return f"The run ended: {error}."
    if isinstance(error, MemoryFull) or "out of memory" in str(error).lower():
        return "The device is out of memory. Choose a smaller window under Advanced, and Start."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return DISK_FULL
    return "The run ended by an error of ours; what was drawn stays. Press Start to try again."
