"""What a depth camera took, or as if: TUM RGB-D and Bonn, ScanNet, 7-Scenes, Neural RGB-D."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from svggt.data.sequence import PICTURES, Array, Sequence, files, integers

_TUM_PER_METRE = 5000.0
_TUM_APART = 0.02  # seconds between a picture and its depth or pose, at most
_TUM_CAMERAS = {
    "1": (517.3, 516.5, 318.6, 255.3),
    "2": (520.9, 521.0, 325.1, 249.7),
    "3": (535.4, 539.2, 320.1, 247.6),
}  # of the three devices, as their authors calibrated them
_TUM_DEFAULT = (525.0, 525.0, 319.5, 239.5)
_BONN_CAMERA = (542.823, 542.577, 315.594, 237.756)
_FROM_OPENGL = np.array([1.0, -1.0, -1.0, 1.0])  # of a pose's columns
_NRGBD_FARTHEST = 10.0  # metres
_DEPTH_FOCAL, _COLOUR_FOCAL = 585.0, 525.0  # of 7-Scenes, at 640x480
_SEVEN_SCENES = np.array(  # of colour pictures, by their size
    [[_COLOUR_FOCAL / 640, 0, 0.5], [0, _COLOUR_FOCAL / 480, 0.5], [0, 0, 1]]
)


def open_tum(folder: Path) -> Sequence | None:
    """`rgb.txt`, `depth.txt`, `groundtruth.txt`; what is nearest in time belongs together.

    Of TUM's, pictures without a pose are left out, as who evaluates them does before frames are
    counted. Bonn's sequences, `rgbd_bonn_*`, keep all.
    """
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
    has_depth = np.abs(depth_times[depth_at] - picture_times) < _TUM_APART
    posed = np.abs(truth[truth_at, 0] - picture_times) < _TUM_APART
    poses = np.stack([_rigid(row[1:]) for row in truth[truth_at]])
    poses[~posed] = np.nan
    device, is_bonn = re.search(r"freiburg([123])", folder.name), "bonn" in folder.name
    camera = _TUM_CAMERAS[device.group(1)] if device else _TUM_DEFAULT
    kept = list(range(len(pictures))) if is_bonn else np.flatnonzero(posed).tolist()
    return Sequence(
        [folder / pictures[n] for n in kept],
        [folder / depths[depth_at[n]] if has_depth[n] else None for n in kept],
        integers(_TUM_PER_METRE),
        poses[kept],
        _matrix(*(_BONN_CAMERA if is_bonn else camera)),
    )


def open_scannet(folder: Path) -> Sequence | None:
    """As ScanNet's reader exports: `color/`, `depth/` (millimetres), `pose/`, `intrinsic/`."""
    if not ((folder / "pose").is_dir() and (folder / "color").is_dir()):
        return None
    intrinsics = folder / "intrinsic" / "intrinsic_color.txt"
    if not intrinsics.is_file():
        raise ValueError(f"{intrinsics} is missing: export it with ScanNet's reader")
    poses = np.array([np.loadtxt(path)[:3] for path in files(folder / "pose", "*.txt")])
    if not np.isfinite(poses).any():
        raise ValueError(f"{folder} has no frame with a known pose")
    return Sequence(
        files(folder / "color", *PICTURES),
        files(folder / "depth", "*.png"),
        integers(1000.0),
        np.where(np.isfinite(poses), poses, np.nan),
        np.loadtxt(intrinsics)[:3, :3],
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


def open_nrgbd(folder: Path) -> Sequence | None:
    """Neural RGB-D: `images/img0.png`, `depth/depth0.png`, `poses.txt` of OpenGL, `focal.txt`."""
    focal = folder / "focal.txt"
    if not focal.is_file():
        return None
    pictures = files(folder / "images", *PICTURES)
    depths = files(folder / "depth", "*.png")
    if not (folder / "poses.txt").is_file() or not pictures:
        raise ValueError(f"{folder} lacks poses.txt or images/: Neural RGB-D scenes have both")
    poses = np.loadtxt(folder / "poses.txt").reshape(-1, 4, 4)[:, :3] * _FROM_OPENGL
    with Image.open(pictures[0]) as picture:
        width, height = picture.size
    length = float(np.loadtxt(focal))
    return Sequence(
        pictures,
        depths,
        integers(1000.0, _NRGBD_FARTHEST),
        poses,
        _matrix(length, length, width / 2, height / 2),
    )


def open_plain(folder: Path) -> Sequence | None:
    """`images/`, `depth/` (millimetres), `poses.txt`, and `K.txt` where the camera is known."""
    if not (folder / "poses.txt").is_file():
        return None
    intrinsics = folder / "K.txt"
    return Sequence(
        files(folder / "images", *PICTURES),
        files(folder / "depth", "*.png"),
        integers(1000.0),
        np.loadtxt(folder / "poses.txt").reshape(-1, 4, 4)[:, :3],
        np.loadtxt(intrinsics) if intrinsics.is_file() else None,
    )


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
