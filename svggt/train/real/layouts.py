"""Layouts of public data sets: TUM RGB-D, ScanNet, 7-Scenes, a plain folder, and CUT3R's two.

Each opener returns None where a folder is of another layout. Where files of its own are missing
it says which.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from svggt.train.real.sequence import Array, Sequence, files, integers, read_array
from svggt.truth import SEVEN_SCENES, PosedFolder

_TUM_PER_METRE = 5000.0
_TUM_APART = 0.02  # seconds between a picture and its depth or pose, at most
_TUM_CAMERAS = {
    "1": (517.3, 516.5, 318.6, 255.3),
    "2": (520.9, 521.0, 325.1, 249.7),
    "3": (535.4, 539.2, 320.1, 247.6),
}  # of the three devices, as their authors calibrated them
_TUM_DEFAULT = (525.0, 525.0, 319.5, 239.5)
_PICTURES = ("*.png", "*.jpg", "*.jpeg")


def find_sequences(root: Path) -> Iterator[Sequence]:
    """All sequences in a folder and below.

    Raises:
        ValueError: a file that belongs to a sequence is missing; it is named.
    """
    for folder in (root, *sorted(path for path in root.rglob("*") if path.is_dir())):
        for opener in LAYOUTS.values():
            if (sequence := opener(folder)) is not None:
                yield sequence
                break


def open_tum(folder: Path) -> Sequence | None:
    """`rgb.txt`, `depth.txt`, `groundtruth.txt`; what is nearest in time belongs together."""
    if not (folder / "groundtruth.txt").is_file():
        return None
    for name in ("rgb.txt", "depth.txt"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name} is missing: TUM RGB-D sequences have it")
    (picture_times, pictures), (depth_times, depths) = (
        _stamped(folder / name) for name in ("rgb.txt", "depth.txt")
    )
    truth = np.loadtxt(folder / "groundtruth.txt", ndmin=2)
    depth_at, truth_at = (
        np.abs(picture_times[:, None] - times[None]).argmin(axis=1)
        for times in (depth_times, truth[:, 0])
    )
    near = np.abs(depth_times[depth_at] - picture_times) < _TUM_APART
    near &= np.abs(truth[truth_at, 0] - picture_times) < _TUM_APART
    kept = np.flatnonzero(near)
    device = re.search(r"freiburg([123])", folder.name)
    camera = _TUM_CAMERAS[device.group(1)] if device else _TUM_DEFAULT
    return Sequence(
        [folder / pictures[n] for n in kept],
        [folder / depths[depth_at[n]] for n in kept],
        integers(_TUM_PER_METRE),
        np.stack([_rigid(truth[truth_at[n], 1:]) for n in kept]) if len(kept) else np.empty(0),
        _matrix(*camera),
    )


def open_scannet(folder: Path) -> Sequence | None:
    """As ScanNet's reader exports: `color/`, `depth/` (millimetres), `pose/`, `intrinsic/`."""
    if not ((folder / "pose").is_dir() and (folder / "color").is_dir()):
        return None
    intrinsics = folder / "intrinsic" / "intrinsic_color.txt"
    if not intrinsics.is_file():
        raise ValueError(f"{intrinsics} is missing: export it with ScanNet's reader")
    poses = [np.loadtxt(path)[:3] for path in files(folder / "pose", "*.txt")]
    known = [number for number, pose in enumerate(poses) if np.isfinite(pose).all()]
    pictures = files(folder / "color", *_PICTURES)
    depths = files(folder / "depth", "*.png")
    if not len(pictures) == len(depths) == len(poses):
        known = list(range(len(poses)))  # the sequence says what does not fit
    else:
        pictures, depths = ([all_of[n] for n in known] for all_of in (pictures, depths))
    return Sequence(
        pictures,
        depths,
        integers(1000.0),
        np.stack([poses[n] for n in known]),
        np.loadtxt(intrinsics)[:3, :3],
    )


def open_cut3r(folder: Path) -> Sequence | None:
    """As CUT3R prepares most sets: `rgb/` or `color/`, `depth/`, `cam/` (pose, intrinsics)."""
    if not (folder / "cam").is_dir():
        return None
    cameras = [np.load(path) for path in files(folder / "cam", "*.npz")]
    colors = folder / "rgb" if (folder / "rgb").is_dir() else folder / "color"
    arrays = files(folder / "depth", "*.npy")
    return Sequence(
        files(colors, *_PICTURES),
        arrays or files(folder / "depth", "*.png"),
        read_array if arrays else integers(1000.0),
        np.stack([camera["pose"][:3] for camera in cameras]),
        cameras[0]["intrinsics"],
    )


def open_cut3r_flat(folder: Path) -> Sequence | None:
    """As CUT3R prepares TartanAir: `*_rgb.png`, `*_depth.npy`, `*_cam.npz` in one folder."""
    paths = files(folder, "*_cam.npz")
    if not paths:
        return None
    cameras = [np.load(path) for path in paths]
    return Sequence(
        files(folder, "*_rgb.png", "*_rgb.jpg"),
        files(folder, "*_depth.npy"),
        read_array,
        np.stack([camera["camera_pose"][:3] for camera in cameras]),
        cameras[0]["camera_intrinsics"],
    )


def open_plain(folder: Path) -> Sequence | None:
    """`images/`, `depth/` (millimetres), `poses.txt` and `K.txt`."""
    if not (folder / "poses.txt").is_file():
        return None
    if not (folder / "K.txt").is_file():
        raise ValueError(f"{folder / 'K.txt'} is missing: training needs the focal length")
    posed = PosedFolder.open(folder, 1)
    return _posed(posed, np.loadtxt(folder / "K.txt"))


def open_seven_scenes(folder: Path) -> Sequence | None:
    """`frame-*.color.png`, `.depth.png`, `.pose.txt`."""
    if not any(folder.glob("frame-*.pose.txt")):
        return None
    return _posed(PosedFolder.open(folder, 1), SEVEN_SCENES * np.array([[640], [480], [1]]))


LAYOUTS: dict[str, Callable[[Path], Sequence | None]] = {
    "TUM RGB-D": open_tum,
    "ScanNet": open_scannet,
    "CUT3R": open_cut3r,
    "CUT3R, flat": open_cut3r_flat,
    "7-Scenes": open_seven_scenes,
    "plain folder": open_plain,
}


def _posed(folder: PosedFolder, intrinsics: Array) -> Sequence:
    return Sequence(
        folder.pictures, folder.depths, integers(1000.0), folder.world_from_cam, intrinsics
    )


def _stamped(path: Path) -> tuple[Array, list[str]]:
    """Times and file names of a list of TUM's."""
    rows = [line.split() for line in path.read_text("utf-8").splitlines() if line[:1] not in "#"]
    return np.array([float(row[0]) for row in rows if row]), [row[1] for row in rows if row]


def _rigid(row: Array) -> Array:
    """(3, 4) of t x y z, q x y z w."""
    rotation = Rotation.from_quat(row[3:]).as_matrix()
    return np.concatenate([rotation, row[:3, None]], axis=1)


def _matrix(fx: float, fy: float, cx: float, cy: float) -> Array:
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
