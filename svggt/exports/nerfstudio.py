"""What nerfstudio trains on: pictures, depth and `transforms.json`."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from svggt.exports import png
from svggt.exports.clouds import SEEDS, cloud_of, ply
from svggt.scene.posed_frame import PosedFrame
from svggt.store.posed_frames import PosedFrames

_UNIT = 1000  # depth pictures hold thousandths of the world's unit, which nerfstudio takes for mm
_LARGEST = 65_535
_HALF = 0.5  # it puts the first pixel's centre there, this project at 0


def write_nerfstudio(shots: PosedFrames, path: Path) -> None:
    """A zip with `transforms.json`, `images/`, `depth/` (16 bits, 0: not known) and points."""
    with zipfile.ZipFile(path, "w") as archive:
        frames = []
        for shot in shots:
            name = f"{shot.prediction.number:06}.png"
            depth = np.round(_UNIT * shot.depth)
            known = np.where(depth <= _LARGEST, depth, 0).astype(np.uint16)
            archive.writestr(f"images/{name}", png.encoded(shot.prediction.image))
            archive.writestr(f"depth/{name}", png.encoded(known))
            frames.append(_frame(shot, name))
        archive.writestr("points.ply", ply(cloud_of(shots, SEEDS)))
        facts = {"camera_model": "OPENCV", "ply_file_path": "points.ply", "frames": frames}
        archive.writestr("transforms.json", json.dumps(facts, indent=1))


def _frame(shot: PosedFrame, name: str) -> dict[str, Any]:
    """One frame, its camera in OpenGL's axes (x right, y up, z backwards)."""
    (height, width), matrix, (k1, k2) = shot.depth.shape, shot.intrinsics, shot.distortion
    pose = np.eye(4)
    pose[:3] = shot.world_from_cam
    return {
        "file_path": f"images/{name}",
        "depth_file_path": f"depth/{name}",
        "transform_matrix": (pose @ np.diag([1.0, -1.0, -1.0, 1.0])).tolist(),
        **{"w": width, "h": height, "fl_x": matrix[0, 0], "fl_y": matrix[1, 1]},
        **{"cx": matrix[0, 2] + _HALF, "cy": matrix[1, 2] + _HALF, "k1": k1, "k2": k2},
    }
