"""What nerfstudio trains on: pictures, depth and `transforms.json`."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from svggt.exports import png
from svggt.exports.clouds import SEEDS, cloud_of, ply
from svggt.exports.originals import HALF, Lens, file_of, pictures, rows_before_cut
from svggt.scene.posed_frame import PosedFrame
from svggt.store.posed_frames import PosedFrames

_UNIT = 1000  # depth pictures hold thousandths of the world's unit, which nerfstudio takes for mm
_MOST = 90  # percent


def write_nerfstudio(shots: PosedFrames, path: Path) -> None:
    """A zip with `transforms.json`, `images/`, `depth/` (16 bits, 0: not known) and points.

    Pictures are as large as they came (up to 2 000 pixels), where the clip was kept; depth has
    the model's size, and 0 where it saw nothing of a higher picture. It is in the scene's own unit
    where most of the depth in metres is farther than 16 bits of millimetres say.
    """
    if shots.metres is not None and _farthest(shots) > png.LARGEST / _UNIT:
        shots = replace(shots, metres=None)
    with zipfile.ZipFile(path, "w") as archive:
        frames = []
        for shot, picture in zip(shots, pictures(shots), strict=True):
            depth = np.round(_UNIT * shot.depth)
            known = np.where(depth <= png.LARGEST, depth, 0).astype(np.uint16)
            cut = rows_before_cut(picture.shape, known.shape[1]) - len(known)
            known = np.pad(known, ((cut // 2, cut - cut // 2), (0, 0)))  # as high as the picture
            name, content = file_of(picture, shot)
            archive.writestr(f"images/{name}", content)
            archive.writestr(f"depth/{Path(name).stem}.png", png.encoded(known))
            frames.append(_frame(shot, name, Lens.of(shot).of_picture(picture.shape)))
        archive.writestr("points.ply", ply(cloud_of(shots, SEEDS)))
        facts = {
            **{"camera_model": "OPENCV", "ply_file_path": "points.ply", "unit": shots.unit},
            "frames": frames,
        }
        archive.writestr("transforms.json", json.dumps(facts, indent=1))


def _farthest(shots: PosedFrames) -> float:
    """Depth that nine of ten pixels of the farthest frame are nearer than."""
    return max(float(np.percentile(shot.depth, _MOST)) for shot in shots)


def _frame(shot: PosedFrame, name: str, lens: Lens) -> dict[str, Any]:
    """One frame, its camera in OpenGL's axes (x right, y up, z backwards)."""
    (height, width), matrix, (k1, k2) = lens.size, lens.matrix, lens.distortion
    pose = np.eye(4)
    pose[:3] = shot.world_from_cam
    return {
        "file_path": f"images/{name}",
        "depth_file_path": f"depth/{Path(name).stem}.png",
        "transform_matrix": (pose @ np.diag([1.0, -1.0, -1.0, 1.0])).tolist(),
        **{"w": width, "h": height, "fl_x": matrix[0, 0], "fl_y": matrix[1, 1]},
        **{"cx": matrix[0, 2] + HALF, "cy": matrix[1, 2] + HALF, "k1": k1, "k2": k2},
    }
