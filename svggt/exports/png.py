"""Pictures and depth within archives."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svggt.store.posed_frames import PosedFrames

LARGEST = 65_535
"""Of 16 bits."""


def encoded(pixels: NDArray[Any]) -> bytes:
    """A PNG of (H, W, 3) uint8, or (H, W) uint16."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    return buffer.getvalue()


def scale_of(shots: PosedFrames) -> float:
    """Numbers of 16 bits that a unit of depth becomes, so that the farthest point has one."""
    return LARGEST / max(float(shot.depth.max()) for shot in shots)


def deep(depth: NDArray[np.float32], scale: float) -> NDArray[np.uint16]:
    """Depth (H, W) in such numbers; 0 where it is 0: not known."""
    values = np.round(scale * depth).clip(1, LARGEST).astype(np.uint16)
    return np.where(depth > 0, values, np.uint16(0))


def facts_of(shots: PosedFrames, scale: float) -> dict[str, Any]:
    """What is said beside pictures of depth in such numbers."""
    return {
        **{"cameras": shots.cameras, "unit": shots.unit},
        **{"depth_scale": scale, "depth": "value / depth_scale"},
    }
