"""NYU Depth v2: its 654 test pictures as files, and as they are published.

They are published as one file of MATLAB (`nyu_depth_v2_labeled.mat`, which is HDF5, with
`splits.mat` of Eigen and others beside it), or as an HDF5 file a picture (`official/*.h5`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import loadmat

from svggt.data.sequence import PICTURES, Array, Sequence, files, no_poses, read_array

_LABELED, _SPLITS, _OFFICIAL = "nyu_depth_v2_labeled.mat", "splits.mat", "official"
_PICTURES, _DEPTHS = "nyu_images", "nyu_depths"
Moment = tuple[str, Array, Array]
"""Name, picture (480, 640, 3) uint8, depth (480, 640) in metres."""

_CAMERA = np.array([[518.858, 0, 325.582], [0, 519.47, 253.736], [0, 0, 1]])


def open_nyu(folder: Path) -> Sequence | None:
    """As MonST3R prepares them, and `prepare_nyu`: `nyu_images/`, `nyu_depths/`."""
    if not (folder / _PICTURES).is_dir():
        if (folder / _LABELED).exists() or any((folder / _OFFICIAL).glob("*.h5")):
            raise ValueError(
                f"{folder} has the pictures as they are published: make files of them with "
                f"python -m svggt.eval prepare-nyu {folder} OUT"
            )
        return None
    pictures = files(folder / _PICTURES, *PICTURES)
    depths = files(folder / _DEPTHS, "*.npy")
    return Sequence(pictures, depths, read_array, no_poses(len(pictures)), _CAMERA)


def prepare_nyu(folder: Path, out: Path) -> int:
    """Writes the test pictures and their depth as files.

    Args:
        folder: has them as they are published.
        out: a new folder for `nyu_images/*.png` and `nyu_depths/*.npy`, metres.

    Returns:
        How many there are.

    Raises:
        ValueError: files are missing or of another kind, or the output is there already.
    """
    if out.exists():
        raise ValueError(f"{out} is there already: choose another folder")
    labeled, official = folder / _LABELED, files(folder / _OFFICIAL, "*.h5")
    if labeled.exists():
        moments = _of_labeled(labeled, folder / _SPLITS)
    elif official:
        moments = map(_of_official, official)
    else:
        raise ValueError(f"{folder} has neither {_LABELED} nor {_OFFICIAL}/*.h5")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{out.name}-", dir=out.parent) as unfinished:
        made = Path(unfinished) / out.name
        for place in (_PICTURES, _DEPTHS):
            (made / place).mkdir(parents=True)
        for name, picture, depth in moments:
            Image.fromarray(picture).save(made / _PICTURES / f"{name}.png")
            np.save(made / _DEPTHS / f"{name}.npy", depth)
        made.rename(out)  # all of it, or nothing
    return len(files(out / _PICTURES, "*.png"))


def _of_labeled(path: Path, splits: Path) -> Iterator[Moment]:
    """Those of the split; MATLAB's axes are the other way round."""
    if not splits.exists():
        raise ValueError(f"{splits} is missing: it says which of the pictures are for tests")
    numbers = loadmat(splits)["testNdxs"].ravel().astype(int) - 1
    with _hdf5(path, "images", "depths") as (pictures, depths):
        for number in numbers:
            pixels = np.ascontiguousarray(pictures[number].transpose(2, 1, 0))
            yield f"{number:05}", pixels, np.ascontiguousarray(depths[number].T)


def _of_official(path: Path) -> Moment:
    """The one of a file."""
    with _hdf5(path, "rgb", "depth") as (picture, depth):
        return path.stem, np.ascontiguousarray(picture[:].transpose(1, 2, 0)), depth[:]


@contextmanager
def _hdf5(path: Path, *names: str) -> Iterator[list[Any]]:
    """Data sets of a file, which are read where they are indexed."""
    try:
        import h5py
    except ImportError:
        raise ValueError("reading HDF5 needs h5py: pip install -e '.[eval]'") from None
    try:
        file = h5py.File(path)
    except OSError as error:
        raise ValueError(f"{path} is damaged, or no HDF5: {error}") from None
    with file:
        missing = [name for name in names if name not in file]
        if missing:
            raise ValueError(f"{path} has no {missing[0]}: it is no file of NYU Depth v2")
        yield [file[name] for name in names]
