"""Keep every token of every frame (StreamVGGT, arXiv 2507.11539)."""

from __future__ import annotations

from svggt.model.token_memory import TokenMemory


class FullMemory(TokenMemory):
    """Nothing is dropped, whatever the budget: memory and latency grow with every frame."""

    def excess(self) -> int:
        return 0
