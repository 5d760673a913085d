"""Keep the anchor and the last frames (STream3R's window, arXiv 2508.10893, with the anchor).

Without frame 0 the error triples (StreamVGGT, table 8).
"""

from __future__ import annotations

from svggt.model.token_memory import TokenMemory


class WindowMemory(TokenMemory):
    """The oldest frame but the first goes: tokens score by when they came."""

    whole_frames = True
