"""Memory that was freed and that the C library keeps."""

from __future__ import annotations

import ctypes

FRAMES_A_TRIM = 128
"""Frames of a stream between two times that it is given back."""


def give_back_memory() -> None:
    """Gives memory that was freed back to the system, where the C library can (glibc).

    It keeps what large arrays of other threads left between small ones: a run of 600 frames had
    936 MB where 858 were in use, and 1 121 for 837 after older points were merged.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
