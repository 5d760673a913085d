"""Point maps of the depth maps that lie beside this file; numpy and Pillow are all it needs.

`python points.py [NAME ...]` writes `points/NAME.npy` for these frames, or for all: (H, W, 3)
float32 in the world, whose unit cameras.json names; NaN where depth is not known.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

_ITERATIONS = 20  # of the lens's equation, which has no closed solution


def points_of(frame: dict[str, Any], depth: np.ndarray) -> np.ndarray:
    """World points (H, W, 3) of depth (H, W) along the camera's axis.

    Args:
        frame: of cameras.json. The first pixel's centre is at 0; a ray at r from the axis is seen
            at r (1 + k1 r^2 + k2 r^4), as OpenCV has it.
        depth: in the world's unit; NaN where it is not known.
    """
    rows, columns = np.indices(depth.shape, np.float64)
    matrix, (k1, k2) = np.array(frame["intrinsics"]), frame["distortion"]
    seen = np.stack(
        [(columns - matrix[0, 2]) / matrix[0, 0], (rows - matrix[1, 2]) / matrix[1, 1]], axis=-1
    )
    rays = seen.copy()
    for _ in range(_ITERATIONS):
        square = (rays**2).sum(axis=-1, keepdims=True)
        rays = seen / (1 + k1 * square + k2 * square**2)
    camera = depth[..., None] * np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1)
    pose = np.array(frame["world_from_cam"])
    return (camera @ pose[:, :3].T + pose[:, 3]).astype(np.float32)


def main() -> None:
    """Writes the point maps asked for."""
    folder = Path(__file__).parent
    facts = json.loads((folder / "cameras.json").read_text())
    (folder / "points").mkdir(exist_ok=True)
    for frame in facts["frames"]:
        name = frame["name"]
        if name in sys.argv[1:] or len(sys.argv) == 1:
            values = np.asarray(Image.open(folder / "depth" / f"{name}.png"), np.float64)
            depth = np.where(values > 0, values, np.nan) / facts["depth_scale"]
            np.save(folder / "points" / f"{name}.npy", points_of(frame, depth))


if __name__ == "__main__":
    main()
