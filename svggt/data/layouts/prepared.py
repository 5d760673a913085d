"""Sets as others prepare them for training and evaluation: CUT3R's two layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from svggt.data.sequence import (
    PICTURES,
    Array,
    Sequence,
    files,
    integers,
    read_array,
)

_CAMERA_KEYS = (("pose", "intrinsics"), ("camera_pose", "camera_intrinsics"))


def open_cut3r(folder: Path) -> Sequence | None:
    """As CUT3R prepares most sets: `rgb/` or `color/`, `depth/`, `cam/` (pose, intrinsics)."""
    if not (folder / "cam").is_dir():
        return None
    colors = folder / "rgb" if (folder / "rgb").is_dir() else folder / "color"
    arrays = files(folder / "depth", "*.npy")
    poses, intrinsics = _cameras(files(folder / "cam", "*.npz"), folder)
    return Sequence(
        files(colors, *PICTURES),
        arrays or files(folder / "depth", "*.png"),
        read_array if arrays else integers(1000.0),
        poses,
        intrinsics,
    )


def open_cut3r_flat(folder: Path) -> Sequence | None:
    """As CUT3R prepares TartanAir and others: `*_rgb`, `*_depth.npy`, `*_cam.npz` in one folder."""
    paths = files(folder, "*_cam.npz")
    if not paths:
        return None
    if any(folder.glob("*_depth.png")):
        raise ValueError(
            f"{folder} has depth as pictures of an unknown unit: .npy in metres, please"
        )
    poses, intrinsics = _cameras(paths, folder)
    return Sequence(
        files(folder, "*_rgb.png", "*_rgb.jpg"),
        files(folder, "*_depth.npy"),
        read_array,
        poses,
        intrinsics,
    )


def _cameras(paths: list[Path], folder: Path) -> tuple[Array, Array]:
    """Poses (N, 3, 4) and the intrinsics that all share."""
    poses, matrices = [], []
    for path in paths:
        with np.load(path, allow_pickle=False) as file:
            names = [name for name in _CAMERA_KEYS if set(name) <= set(file.files)]
            if not names:
                raise ValueError(f"{path} has {', '.join(file.files)}: pose and intrinsics, please")
            poses.append(file[names[0][0]][:3])
            matrices.append(file[names[0][1]])
    if not poses:
        raise ValueError(f"{folder} has no frame with a known pose")
    if not np.allclose(matrices, matrices[0], rtol=1e-3):
        raise ValueError(f"{folder} has a focal length that changes: one a sequence, please")
    return np.stack(poses), matrices[0]
