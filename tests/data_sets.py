"""Public data sets in miniature, each in the layout that it is published in.

A writer takes a folder of the plain layout (`svggt.train.preview.write_clip`) and the folder of one
sequence.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

SINTEL_TAG = struct.pack("<f", 202021.25)


class Plain:
    """The plain folder's frames."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.poses = np.loadtxt(folder / "poses.txt").reshape(-1, 4, 4)
        self.matrix = np.loadtxt(folder / "K.txt")

    def picture(self, number: int) -> Image.Image:
        return Image.open(self.folder / f"images/{number:05}.png")

    def depth(self, number: int) -> np.ndarray:
        """Metres."""
        steps = np.asarray(Image.open(self.folder / f"depth/{number:05}.png"))
        return steps.astype(np.float32) / 1000

    def save_depth(self, number: int, path: Path, per_metre: float) -> None:
        steps = np.round(per_metre * self.depth(number)).clip(0, 65534).astype(np.uint16)
        Image.fromarray(steps).save(path)


def folders(*made: Path) -> None:
    for folder in made:
        folder.mkdir(parents=True, exist_ok=True)


def write_tum(plain: Plain, out: Path) -> None:
    folders(out / "rgb", out / "depth")
    lists = {"rgb": ["# time file"], "depth": ["# time file"], "groundtruth": ["# t x y z q"]}
    for number, pose in enumerate(plain.poses):
        plain.picture(number).save(out / f"rgb/{number}.png")
        plain.save_depth(number, out / f"depth/{number}.png", 5000)
        lists["rgb"].append(f"{number + 0.001:.3f} rgb/{number}.png")
        lists["depth"].append(f"{number:.3f} depth/{number}.png")
        quaternion = Rotation.from_matrix(pose[:3, :3]).as_quat()
        row = " ".join(f"{value:.9f}" for value in (*pose[:3, 3], *quaternion))
        lists["groundtruth"] += [f"{number + 0.002:.3f} {row}", f"{number + 0.5:.3f} {row}"]
    for name, lines in lists.items():
        (out / f"{name}.txt").write_text("\n".join(lines) + "\n")


def write_scannet(plain: Plain, out: Path) -> None:
    folders(*(out / name for name in ("color", "depth", "pose", "intrinsic")))
    for number, pose in enumerate(plain.poses):
        plain.picture(number).save(out / f"color/{number}.png")
        plain.save_depth(number, out / f"depth/{number}.png", 1000)
        np.savetxt(out / f"pose/{number}.txt", pose)
    np.savetxt(out / "intrinsic/intrinsic_color.txt", np.pad(plain.matrix, ((0, 1), (0, 1))))


def write_cut3r(plain: Plain, out: Path) -> None:
    folders(*(out / name for name in ("rgb", "depth", "cam")))
    for number, pose in enumerate(plain.poses):
        plain.picture(number).save(out / f"rgb/{number:05}.png")
        np.save(out / f"depth/{number:05}.npy", plain.depth(number))
        np.savez(out / f"cam/{number:05}.npz", pose=pose, intrinsics=plain.matrix)


def write_cut3r_flat(plain: Plain, out: Path) -> None:
    folders(out)
    for number, pose in enumerate(plain.poses):
        plain.picture(number).save(out / f"{number:05}_rgb.png")
        np.save(out / f"{number:05}_depth.npy", plain.depth(number))
        np.savez(out / f"{number:05}_cam.npz", camera_pose=pose, camera_intrinsics=plain.matrix)


def write_seven_scenes(plain: Plain, out: Path) -> None:
    folders(out)
    for number, pose in enumerate(plain.poses):
        name = f"frame-{number:06}"
        plain.picture(number).save(out / f"{name}.color.png")
        plain.save_depth(number, out / f"{name}.depth.png", 1000)
        np.savetxt(out / f"{name}.pose.txt", pose)


def write_nrgbd(plain: Plain, out: Path) -> None:
    """One frame's pose is unknown; numbers have no leading zeros; OpenGL axes."""
    folders(out / "images", out / "depth")
    poses = [np.full((4, 4), np.nan), *(pose * [1, -1, -1, 1] for pose in plain.poses)]
    for number in range(len(poses)):
        plain.picture(max(0, number - 1)).save(out / f"images/img{number}.png")
        plain.save_depth(max(0, number - 1), out / f"depth/depth{number}.png", 1000)
    np.savetxt(out / "poses.txt", np.concatenate(poses))
    (out / "focal.txt").write_text(f"{plain.matrix[0, 0]}\n")


def write_sintel(plain: Plain, out: Path) -> None:
    """Of `training/final/<scene>`; one depth is the sky's."""
    training = out.parent.parent
    depths, cameras = (training / kind / out.name for kind in ("depth", "camdata_left"))
    folders(out, depths, cameras)
    for number, pose in enumerate(plain.poses):
        name, depth = f"frame_{number + 1:04}", plain.depth(number)
        depth[0, 0] = 5e4
        plain.picture(number).save(out / f"{name}.png")
        size = struct.pack("<ii", depth.shape[1], depth.shape[0])
        (depths / f"{name}.dpt").write_bytes(SINTEL_TAG + size + depth.astype("<f4").tobytes())
        numbers = np.concatenate([plain.matrix.ravel(), np.linalg.inv(pose)[:3].ravel()])
        (cameras / f"{name}.cam").write_bytes(SINTEL_TAG + numbers.astype("<f8").tobytes())


def write_kitti(plain: Plain, out: Path) -> None:
    """Of `val/<drive>`; the raw drive has pictures without depth too."""
    depths = out / "proj_depth/groundtruth/image_02"
    pictures = out.parent.parent / out.name[:10] / out.name / "image_02/data"
    folders(depths, pictures)
    for number in range(len(plain.poses)):
        plain.picture(number).save(pictures / f"{number + 5:010}.png")
        plain.save_depth(number, depths / f"{number + 5:010}.png", 256)
    plain.picture(0).save(pictures / f"{0:010}.png")


def write_nyu(plain: Plain, out: Path) -> None:
    folders(out / "nyu_images", out / "nyu_depths")
    for number in range(len(plain.poses)):
        plain.picture(number).save(out / f"nyu_images/rgb_{number:05}.png")
        np.save(out / f"nyu_depths/rgb_{number:05}.npy", plain.depth(number))


def write_eth3d(plain: Plain, out: Path) -> None:
    """Depth is of pictures of a fisheye lens; pictures are written undistorted alone."""
    import pycolmap

    size = plain.picture(0).size
    fx, fy, cx, cy = plain.matrix[[0, 1, 0, 1], [0, 1, 2, 2]] + [0, 0, 0.5, 0.5]
    lens = [fx, fy, cx, cy, 0.02, 0.01, 0, 0, 0, 0, 0, 0]
    for name, kind, model, parameters in (
        ("dslr_calibration_undistorted", "dslr_images_undistorted", "PINHOLE", [fx, fy, cx, cy]),
        ("dslr_calibration_jpg", "dslr_images", "THIN_PRISM_FISHEYE", lens),
    ):
        folders(out / name)
        numbers = " ".join(map(str, parameters))
        (out / name / "cameras.txt").write_text(f"0 {model} {size[0]} {size[1]} {numbers}\n")
        lines = []
        for number, pose in enumerate(plain.poses):
            there = np.linalg.inv(pose)
            x, y, z, w = Rotation.from_matrix(there[:3, :3]).as_quat()
            motion = " ".join(map(str, (w, x, y, z, *there[:3, 3])))
            lines.append(f"{number + 1} {motion} 0 {kind}/DSC_{number:04}.JPG\n\n")
        (out / name / "images.txt").write_text("".join(lines))
        (out / name / "points3D.txt").write_text("")
    pictures, depths = (
        out / "images/dslr_images_undistorted",
        out / "ground_truth_depth/dslr_images",
    )
    folders(pictures, depths)
    camera = pycolmap.Camera(model="THIN_PRISM_FISHEYE", width=size[0], height=size[1], params=lens)
    v, u = (np.indices(size[::-1]) + 0.5).reshape(2, -1)
    rays = camera.cam_from_img(np.stack([u, v], axis=1))
    columns, rows = np.floor(rays * [fx, fy] + [cx, cy]).astype(int).T
    inside = (columns >= 0) & (columns < size[0]) & (rows >= 0) & (rows < size[1])
    for number in range(len(plain.poses)):
        plain.picture(number).save(pictures / f"DSC_{number:04}.JPG", quality=95)
        flat = plain.depth(number)
        bent = np.where(
            inside, flat[rows.clip(0, size[1] - 1), columns.clip(0, size[0] - 1)], np.inf
        )
        (depths / f"DSC_{number:04}.JPG").write_bytes(bent.astype("<f4").tobytes())


Writer = Callable[[Plain, Path], None]

DATA_SETS: dict[str, tuple[Writer, str]] = {
    "7scenes": (write_seven_scenes, "chess/seq-03"),
    "nrgbd": (write_nrgbd, "kitchen"),
    "eth3d": (write_eth3d, "courtyard"),
    "sintel": (write_sintel, "training/final/alley_2"),
    "bonn": (write_tum, "rgbd_bonn_dataset/rgbd_bonn_balloon2"),
    "kitti": (write_kitti, "val/2011_09_26_drive_0002_sync"),
    "nyu": (write_nyu, "val"),
    "scannet": (write_scannet, "scans_test/scene0707_00"),
    "tum": (write_tum, "rgbd_dataset_freiburg3_sitting_xyz"),
    "folder": (write_cut3r, "sequence"),
}
"""Writer and folder of a sequence, by `svggt.eval.datasets.DatasetName`."""


def write(plain: Path, name: str, root: Path) -> Path:
    """One sequence of a data set below a folder; returns the sequence's."""
    writer, place = DATA_SETS[name]
    writer(Plain(plain), root / place)
    return root / place
