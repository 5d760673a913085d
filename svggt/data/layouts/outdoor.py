"""Sintel, KITTI and ETH3D, each as its authors publish it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from svggt.data.sequence import (
    PICTURES,
    Array,
    Sequence,
    files,
    integers,
    known_metres,
    no_poses,
)

_SINTEL_TAG = 202021.25  # the first number of its files
_KITTI_PER_METRE = 256.0
_ETH3D_STEP = 4  # depth is sampled at every n-th pixel of a picture of 24 megapixels


def open_sintel(folder: Path) -> Sequence | None:
    """A scene of `training/final/` or `clean/`; depth and cameras lie in folders beside those."""
    training = folder.parent.parent
    depths, cameras = (training / name / folder.name for name in ("depth", "camdata_left"))
    if folder.parent.name not in ("final", "clean") or not (
        depths.parent.is_dir() or cameras.parent.is_dir()
    ):
        return None
    pictures, maps = files(folder, *PICTURES), files(depths, "*.dpt")
    if not maps:
        raise ValueError(f"{depths} is missing: Sintel's depth is a download of its own")
    read = [_read_sintel_camera(path) for path in files(cameras, "*.cam")]
    if not read:  # depth is evaluated without
        return Sequence(pictures, maps, _read_sintel_depth, no_poses(len(pictures)), None)
    poses = np.stack([_inverted(cam_from_world) for _, cam_from_world in read])
    return Sequence(pictures, maps, _read_sintel_depth, poses, read[0][0])


def open_kitti(folder: Path) -> Sequence | None:
    """A drive of `val/` or `train/` of the depth set; its pictures come from the raw drives.

    Those lie as they are unpacked: `2011_09_26/2011_09_26_drive_0002_sync/image_02/data/`, beside
    `val/`, in `raw/` beside it, or in the drive's own folder.
    """
    depths = files(folder / "proj_depth" / "groundtruth" / "image_02", "*.png")
    if not depths:
        return None
    root, taken = folder.parent.parent, Path("image_02", "data")
    raw = Path(folder.name[:10], folder.name) / taken
    places = [root / raw, root / "raw" / raw, folder / taken]
    pictures = next((place for place in places if place.is_dir()), None)
    if pictures is None:
        raise ValueError(f"{places[0]} is missing: unpack the raw drive there, for its pictures")
    return Sequence(
        [pictures / path.name for path in depths],
        depths,
        integers(_KITTI_PER_METRE),
        no_poses(len(depths)),
        None,
    )


def open_eth3d(folder: Path) -> Sequence | None:
    """A scene of the high-resolution training set: undistorted pictures, depth brought to them.

    Needs `images/dslr_images_undistorted/`, `dslr_calibration_undistorted/`,
    `dslr_calibration_jpg/` and `ground_truth_depth/dslr_images/`, whose depth is of the pictures
    as they were taken.
    """
    if not (folder / "dslr_calibration_undistorted").is_dir():
        return None
    for needed in ("images/dslr_images_undistorted", "dslr_calibration_jpg", "ground_truth_depth"):
        if not (folder / needed).is_dir():
            raise ValueError(f"{folder / needed} is missing: ETH3D scenes are four downloads")
    import pycolmap  # not where the trainer runs

    flat, taken = (
        pycolmap.Reconstruction(folder / name)
        for name in ("dslr_calibration_undistorted", "dslr_calibration_jpg")
    )
    by_name = {Path(image.name).name: image for image in flat.images.values()}
    lenses = {Path(image.name).name: image.camera for image in taken.images.values()}
    pictures = [
        path
        for path in files(folder / "images" / "dslr_images_undistorted", *PICTURES)
        if path.name in by_name and path.name in lenses
    ]
    poses = [by_name[path.name].cam_from_world().matrix() for path in pictures]
    if len({by_name[path.name].camera_id for path in pictures}) != 1:
        raise ValueError(f"{folder} has no picture, or pictures of several cameras: one, please")
    camera = by_name[pictures[0].name].camera
    intrinsics = camera.calibration_matrix()
    intrinsics[:2, 2] -= 0.5  # COLMAP's pixels begin at their corners
    depths = folder / "ground_truth_depth" / "dslr_images"
    return Sequence(
        pictures,
        [depths / path.name for path in pictures],
        _Undistorted(_copied(camera), _copied(lenses[pictures[0].name])).read,
        np.stack([_inverted(pose) for pose in poses]),
        intrinsics,
    )


def _read_sintel_depth(path: Path) -> Array:
    """(H, W) metres; what is not finite or sky is unknown."""
    rest = _untagged(path)
    width, height = np.frombuffer(rest[:8], "<i4").tolist()
    if len(rest) != 8 + 4 * width * height:
        raise ValueError(f"{path} is cut short: download it again")
    depth = np.frombuffer(rest[8:], "<f4").reshape(height, width)
    return known_metres(depth)


def _read_sintel_camera(path: Path) -> tuple[Array, Array]:
    """Intrinsics (3, 3) and cam_from_world (3, 4)."""
    numbers = np.frombuffer(_untagged(path), "<f8")
    return numbers[:9].reshape(3, 3), numbers[9:21].reshape(3, 4)


def _untagged(path: Path) -> bytes:
    """A Sintel file without its tag.

    Raises:
        ValueError: it is none.
    """
    content = path.read_bytes()
    if content[:4] != np.float32(_SINTEL_TAG).tobytes():
        raise ValueError(f"{path} is no file of Sintel's: it does not begin with its tag")
    return content[4:]


@dataclass(frozen=True)
class _Undistorted:
    """Brings depth of pictures as they were taken to undistorted ones.

    Attributes:
        camera: of undistorted pictures, pycolmap's.
        lens: of those that were taken.
    """

    camera: Any
    lens: Any

    def read(self, path: Path) -> Array:
        """Depth (H, W) of every n-th pixel of the undistorted picture, 0 where unknown."""
        height, width = self.lens.height, self.lens.width
        taken = np.fromfile(path, "<f4").reshape(height, width)
        rows, columns = self._places
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        depth = taken[rows.clip(0, height - 1), columns.clip(0, width - 1)]
        return np.where(inside & np.isfinite(depth), depth, 0)

    @cached_property
    def _places(self) -> tuple[Array, Array]:
        """Rows and columns, in the picture as it was taken, of every n-th undistorted pixel."""
        # The middles of blocks of n pixels, numbered from their corners.
        shape = self.camera.height // _ETH3D_STEP, self.camera.width // _ETH3D_STEP
        v, u = (_ETH3D_STEP * (np.indices(shape) + 0.5)).reshape(2, -1)
        rays = self.camera.cam_from_img(np.stack([u, v], axis=1))
        there = self.lens.img_from_cam(np.pad(rays, ((0, 0), (0, 1)), constant_values=1.0))
        columns, rows = np.floor(np.nan_to_num(there, nan=-1.0)).astype(int).T
        return rows.reshape(shape), columns.reshape(shape)


def _copied(camera: Any) -> Any:
    """A camera that outlives the reconstruction that it is of."""
    return type(camera)(
        model=camera.model, width=camera.width, height=camera.height, params=camera.params
    )


def _inverted(pose: Array) -> Array:
    """Of a rigid (3, 4)."""
    turn = pose[:, :3].T
    return np.concatenate([turn, -turn @ pose[:, 3:]], axis=1)
