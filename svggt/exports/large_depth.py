"""Depth at the size of pictures as they came, with what makes point maps of it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from svggt.exports import png
from svggt.exports.originals import Lens, pictures, rows_before_cut
from svggt.store.posed_frames import PosedFrames

_POINTS = Path(__file__).with_name("points.py")
_EDGE = 0.03  # of the depth: neighbours that differ by more are two surfaces


def write_large_depth(shots: PosedFrames, path: Path) -> None:
    """A zip with `depth/` (16 bits, 0: not known), `cameras.json`, and `points.py`.

    Depth has the size of the pictures as they came (up to 2 000 pixels), where the clip was kept.
    Point maps would have six times its bytes and hold nothing else: the script makes them.
    """
    scale, frames = png.scale_of(shots), []
    with zipfile.ZipFile(path, "w") as archive:
        for shot, picture in zip(shots, pictures(shots), strict=True):
            lens, name = Lens.of(shot).of_picture(picture.shape), f"{shot.prediction.number:06}"
            content = png.encoded(png.deep(enlarged(shot.depth, lens.size), scale))
            archive.writestr(f"depth/{name}.png", content)
            frames.append(
                {
                    **{"name": name, "time_s": shot.prediction.time_s},
                    **{"intrinsics": lens.matrix.tolist(), "distortion": lens.distortion},
                    "world_from_cam": shot.world_from_cam.tolist(),
                }
            )
        facts = {**png.facts_of(shots, scale), "frames": frames}
        archive.writestr("cameras.json", json.dumps(facts, indent=1))
        archive.write(_POINTS, _POINTS.name)


def enlarged(depth: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Depth (h, w) at a picture's size (H, W); 0 above and below what the model was shown.

    Between neighbours of one surface linearly, at edges by the nearest: no point lies between.
    """
    (rows, columns), (height, width) = depth.shape, size
    whole = rows_before_cut(size, columns)
    down = (np.arange(height) + 0.5) * whole / height - 0.5 - (whole - rows) // 2
    across = (np.arange(width) + 0.5) * columns / width - 0.5
    x, y = np.meshgrid(across.astype(np.float32), down.astype(np.float32))
    near, even = (
        cv2.remap(depth, x, y, how, borderMode=cv2.BORDER_REPLICATE)
        for how in (cv2.INTER_NEAREST, cv2.INTER_LINEAR)
    )
    large = np.where(np.abs(even - near) > _EDGE * near, near, even)
    large[(down < -0.5) | (down > rows - 0.5)] = 0
    return large
