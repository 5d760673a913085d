"""Numbers for further work: all arrays as NPZ, the trajectory as TUM's, depth as 16-bit PNG."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from viser import transforms

from svggt import geometry
from svggt.exports import png
from svggt.scene.posed_frame import PosedFrame
from svggt.store.posed_frames import PosedFrames

_ARRAYS: dict[str, Callable[[PosedFrame], Any]] = {
    "number": lambda shot: np.int64(shot.prediction.number),
    "time_s": lambda shot: np.float64(shot.prediction.time_s),
    "cam_from_world": lambda shot: geometry.invert(shot.world_from_cam),
    "intrinsics": lambda shot: shot.intrinsics,
    "distortion": lambda shot: np.array(shot.distortion),
    "images": lambda shot: shot.prediction.image,
    "depth": lambda shot: shot.depth,
    "depth_conf": lambda shot: shot.prediction.depth_conf,
}


def write_npz(shots: PosedFrames, path: Path) -> None:
    """One array a quantity with a row a frame, written frame by frame: memory stays small.

    cam_from_world (S, 3, 4), intrinsics (S, 3, 3) in pixels, distortion (S, 2), images
    (S, H, W, 3) uint8, depth and depth_conf (S, H, W) float32, number and time_s (S,), which
    cameras they are, and the unit of lengths.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, of in _ARRAYS.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                for shot in shots:
                    row = np.asarray(of(shot), order="C")
                    if not shot.prediction.number:
                        _write_head(member, row, shots.count)
                    member.write(row.tobytes())
        for name, said in (("cameras", shots.cameras), ("unit", shots.unit)):
            buffer = io.BytesIO()
            np.save(buffer, np.array(said))
            archive.writestr(f"{name}.npy", buffer.getvalue())


def write_tum(shots: PosedFrames, path: Path) -> None:
    """A line a frame: seconds, position, quaternion x y z w; of world_from_cam."""
    with path.open("w", encoding="utf-8") as file:
        about = f"cameras: {shots.cameras}; unit of length: {shots.unit}"
        file.write(f"# svggt, {about}; timestamp tx ty tz qx qy qz qw\n")
        for shot in shots:
            pose = shot.world_from_cam
            w, x, y, z = transforms.SO3.from_matrix(pose[:, :3]).wxyz
            numbers = (shot.prediction.time_s, *pose[:, 3], x, y, z, w)
            file.write(" ".join(f"{number:.9g}" for number in numbers) + "\n")


def write_depth(shots: PosedFrames, path: Path) -> None:
    """A zip of 16-bit PNGs, and `depth.json` with the number that a unit of depth became."""
    scale = png.scale_of(shots)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("depth.json", json.dumps(png.facts_of(shots, scale), indent=2))
        for shot in shots:
            content = png.encoded(png.deep(shot.depth, scale))
            archive.writestr(f"depth/{shot.prediction.number:06}.png", content)


def _write_head(member: Any, row: Any, count: int) -> None:
    """The head of an .npy file of so many rows like this one."""
    shape, descr = (count, *row.shape), np.lib.format.dtype_to_descr(row.dtype)
    head = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(member, head)
