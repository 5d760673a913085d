"""Layouts of public data sets: TUM RGB-D, ScanNet, 7-Scenes, a plain folder, and CUT3R's two.

Each opener returns None where a folder is of another layout. Where files of its own are missing
it says which.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from svggt.data.sequence import Array, Sequence, files, integers, read_array

_TUM_PER_METRE = 5000.0
_TUM_APART = 0.02  # seconds between a picture and its depth or pose, at most
_TUM_CAMERAS = {
    "1": (517.3, 516.5, 318.6, 255.3),
    "2": (520.9, 521.0, 325.1, 249.7),
    "3": (535.4, 539.2, 320.1, 247.6),
}  # of the three devices, as their authors calibrated them
_TUM_DEFAULT = (525.0, 525.0, 319.5, 239.5)
_DEPTH_FOCAL, _COLOUR_FOCAL = 585.0, 525.0  # of 7-Scenes, at 640x480
_SEVEN_SCENES = np.array(  # of colour pictures, by their size
    [[_COLOUR_FOCAL / 640, 0, 0.5], [0, _COLOUR_FOCAL / 480, 0.5], [0, 0, 1]]
)
_CAMERA_KEYS = (("pose", "intrinsics"), ("camera_pose", "camera_intrinsics"))
_PICTURES = ("*.png", "*.jpg", "*.jpeg")


def open_sequence(folder: Path) -> Sequence:
    """The sequence of a folder, in any layout.

    Raises:
        ValueError: it is of none, lacks something, or says what cannot be used.
    """
    sequence = _opened(folder)
    if sequence is None:
        known = ", ".join(LAYOUTS)
        raise ValueError(
            f"{folder} is of no known layout ({known}): a plain folder has images/, depth/ and "
            "poses.txt"
        )
    return sequence


def find_sequences(root: Path) -> Iterator[Sequence]:
    """All sequences in a folder and below; none is looked for within another.

    Raises:
        ValueError: a sequence lacks something, or says what cannot be used.
    """
    if (sequence := _opened(root)) is not None:
        yield sequence
        return
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        yield from find_sequences(folder)


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
    depth_at, truth_at = (_nearest(picture_times, times) for times in (depth_times, truth[:, 0]))
    near = np.abs(depth_times[depth_at] - picture_times) < _TUM_APART
    near &= np.abs(truth[truth_at, 0] - picture_times) < _TUM_APART
    kept = np.flatnonzero(near)
    device = re.search(r"freiburg([123])", folder.name)
    camera = _TUM_CAMERAS[device.group(1)] if device else _TUM_DEFAULT
    return Sequence(
        [folder / pictures[n] for n in kept],
        [folder / depths[depth_at[n]] for n in kept],
        integers(_TUM_PER_METRE),
        _stacked([_rigid(truth[truth_at[n], 1:]) for n in kept], folder),
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
        _stacked([poses[n] for n in known], folder),
        np.loadtxt(intrinsics)[:3, :3],
    )


def open_cut3r(folder: Path) -> Sequence | None:
    """As CUT3R prepares most sets: `rgb/` or `color/`, `depth/`, `cam/` (pose, intrinsics)."""
    if not (folder / "cam").is_dir():
        return None
    colors = folder / "rgb" if (folder / "rgb").is_dir() else folder / "color"
    arrays = files(folder / "depth", "*.npy")
    poses, intrinsics = _cameras(files(folder / "cam", "*.npz"), folder)
    return Sequence(
        files(colors, *_PICTURES),
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


def open_plain(folder: Path) -> Sequence | None:
    """`images/`, `depth/` (millimetres), `poses.txt`, and `K.txt` where the camera is known."""
    if not (folder / "poses.txt").is_file():
        return None
    intrinsics = folder / "K.txt"
    return Sequence(
        files(folder / "images", *_PICTURES),
        files(folder / "depth", "*.png"),
        integers(1000.0),
        np.loadtxt(folder / "poses.txt").reshape(-1, 4, 4)[:, :3],
        np.loadtxt(intrinsics) if intrinsics.is_file() else None,
    )


def open_seven_scenes(folder: Path) -> Sequence | None:
    """`frame-*.color.png`, `.depth.png`, `.pose.txt`; depth is brought to the colour camera."""
    poses = files(folder, "frame-*.pose.txt")
    if not poses:
        return None
    pictures = files(folder, "frame-*.color.*")
    if not pictures:
        raise ValueError(f"{folder} has poses and no frame-*.color pictures")
    with Image.open(pictures[0]) as picture:
        size = np.array([[picture.width], [picture.height], [1]])
    return Sequence(
        pictures,
        files(folder, "frame-*.depth.png"),
        _read_seven_scenes,
        np.stack([np.loadtxt(path)[:3] for path in poses]),
        _SEVEN_SCENES * size,
    )


LAYOUTS: dict[str, Callable[[Path], Sequence | None]] = {
    "TUM RGB-D": open_tum,
    "ScanNet": open_scannet,
    "CUT3R": open_cut3r,
    "CUT3R, flat": open_cut3r_flat,
    "7-Scenes": open_seven_scenes,
    "plain folder": open_plain,
}


def _read_seven_scenes(path: Path) -> Array:
    """The depth camera has a longer focal length than the colour camera, and the same middle."""
    depth = integers(1000.0)(path)
    longer = _DEPTH_FOCAL / _COLOUR_FOCAL
    places = []
    for side in depth.shape:
        middle = side / 2
        places.append(np.rint(longer * (np.arange(side) - middle) + middle).astype(int))
    rows, columns = (np.clip(at, 0, n - 1) for at, n in zip(places, depth.shape, strict=True))
    inside = [at == clipped for at, clipped in zip(places, (rows, columns), strict=True)]
    return np.where(inside[0][:, None] & inside[1], depth[rows[:, None], columns], 0)


def _opened(folder: Path) -> Sequence | None:
    found = (opener(folder) for opener in LAYOUTS.values())
    return next((sequence for sequence in found if sequence is not None), None)


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
    stacked = _stacked(poses, folder)
    if not np.allclose(matrices, matrices[0], rtol=1e-3):
        raise ValueError(f"{folder} has a focal length that changes: one a sequence, please")
    return stacked, matrices[0]


def _stacked(poses: list[Array], folder: Path) -> Array:
    if not poses:
        raise ValueError(f"{folder} has no frame with a known pose")
    return np.stack(poses)


def _nearest(asked: Array, times: Array) -> Array:
    """Number of the nearest of rising times, (N,)."""
    after = np.searchsorted(times, asked).clip(1, len(times) - 1)
    return after - (asked - times[after - 1] < times[after] - asked)


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
