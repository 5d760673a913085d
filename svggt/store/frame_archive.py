"""Predictions of a run on disk, a file a frame, so that any moment can be shown exactly again.

Depth is kept as float16, the confidence's logarithm in 8 bits. A file is whole or not there.
Where the disk becomes short, older frames are thinned: a JPEG, and a quarter of the depth.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from svggt.errors import DamagedFrame, ThinnedFrame
from svggt.files import atomic_write
from svggt.media.frames import Frame
from svggt.prediction import FramePrediction
from svggt.refine.tracking import Sightings

_AS_THEY_ARE = (
    "number",
    "time_s",
    "image",
    "cam_from_world",
    "intrinsics",
    "seconds",
    "memory_bytes",
)
_DAMAGE = (  # what reading a broken archive raises
    OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, NotImplementedError,
    OverflowError, MemoryError, zipfile.BadZipFile, zlib.error, cv2.error,
)  # fmt: skip
_FAST = (cv2.IMWRITE_PNG_COMPRESSION, 1)
_THIN = 2  # every n-th row and column of depth that a thinned frame keeps
_FEWEST = 8  # frames that are worth thinning


class FrameArchive:
    """The frames of one run.

    Args:
        folder: for the files; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)

    def __len__(self) -> int:
        """Frames from number 0 on, without a gap."""
        count = 0
        while self._whole(count).exists() or self._thin(count).exists():
            count += 1
        return count

    @property
    def num_thinned(self) -> int:
        """Frames that are kept thinned."""
        thin = (int(path.name.partition(".")[0]) for path in self.folder.glob("*.thin.npz"))
        return sum(not self._whole(number).exists() for number in thin)

    def add(
        self,
        prediction: FramePrediction,
        grey: NDArray[np.uint8] | None = None,
        sightings: Sightings | None = None,
    ) -> None:
        """Keeps a frame under its number, in place of an older one.

        Args:
            prediction: what the model says of it.
            grey: what cameras are refined by, `Frame.grey`; a stream can only be rebuilt from
                frames that have it.
            sightings: what refined cameras hold on to in it.
        """
        arrays = _arrays(prediction)
        if prediction.world_points is not None and prediction.world_points_conf is not None:
            arrays["world_points"] = prediction.world_points.astype(np.float16)
            arrays |= _packed("world_points_conf", prediction.world_points_conf)
        if grey is not None:
            arrays["grey"] = cv2.imencode(".png", grey, _FAST)[1]
        if sightings is not None:
            arrays |= _named(sightings)
        self._write(self._whole(prediction.number), arrays)
        self._thin(prediction.number).unlink(missing_ok=True)

    def thin(self, before: int) -> int:
        """Thins every second whole frame before a number, but never the first one.

        Camera, time and costs stay exact; point maps go. A thinned frame cannot be computed again:
        a stream that goes on needs a snapshot behind it. Damaged ones stay as they are.

        Returns:
            How many; 0 where few are left.
        """
        whole = [n for n in range(1, min(before, len(self))) if self._whole(n).exists()][::2]
        if len(whole) < _FEWEST:
            return 0
        for number in whole:
            with suppress(DamagedFrame):
                seen = self._seen(number)
                self._write(self._thin(number), _thinned(self.load(number)) | seen)
                self._whole(number).unlink()
        return len(whole)

    def see(self, number: int, sightings: Sightings) -> None:
        """Keeps what refined cameras hold on to now in a whole frame, whose stream was rebuilt.

        Raises:
            KeyError: there is none of that number.
            DamagedFrame: it cannot be read.
        """
        with self._reading(number) as arrays:
            kept = dict(arrays)
        self._write(self._whole(number), kept | _named(sightings))

    def load(self, number: int) -> FramePrediction:
        """A frame that was kept.

        Raises:
            KeyError: there is none of that number.
            DamagedFrame: it cannot be read.
        """
        with self._reading(number) as arrays:
            prediction = _prediction(arrays)
            _check(prediction, number)
            return prediction

    def sightings(self, number: int) -> Sightings | None:
        """What refined cameras hold on to in a frame; None where that was not kept.

        Raises:
            KeyError: there is none of that number.
            DamagedFrame: it cannot be read.
        """
        seen = self._seen(number)
        if not seen:
            return None
        found = Sightings(seen["seen"], seen["seen_at"])
        if found.ids.ndim != 1 or found.places.shape != (len(found.ids), 2):
            raise DamagedFrame(number)
        return found

    def frame(self, number: int) -> Frame:
        """What the model was given.

        Raises:
            KeyError: there is none of that number.
            ThinnedFrame: too little is kept of it.
            DamagedFrame: it cannot be read, or was kept without its grey picture.
        """
        if self._path(number) == self._thin(number):
            raise ThinnedFrame(number)
        with self._reading(number) as arrays:
            grey = cv2.imdecode(arrays["grey"], cv2.IMREAD_GRAYSCALE)
            if grey is None:
                raise DamagedFrame(number)
            return Frame(
                number, arrays["time_s"].item(), arrays["image"], np.asarray(grey, np.uint8)
            )

    def predictions(self) -> Iterator[FramePrediction]:
        """All of them in order, one in memory at a time."""
        return map(self.load, range(len(self)))

    def set_aside(self, number: int) -> None:
        """Keeps a damaged file out of the way, beside the others."""
        path = self._path(number)
        path.replace(path.with_name(f"{path.name}.damaged"))

    def num_lost(self) -> int:
        """Frames that cannot be reached: set aside, or behind a gap."""
        kept = (*self.folder.glob("*.npz"), *self.folder.glob("*.npz.damaged"))
        numbers, reached = {path.name.partition(".")[0] for path in kept}, len(self)
        return sum(name.isdigit() and int(name) >= reached for name in numbers)

    @contextmanager
    def _reading(self, number: int) -> Iterator[Any]:
        """A frame's arrays, by name; whatever goes wrong with them is damage."""
        try:
            with self._opened(number) as arrays:
                yield arrays
        except FileNotFoundError:
            raise KeyError(number) from None
        except _DAMAGE as error:
            raise DamagedFrame(number) from error

    def _seen(self, number: int) -> dict[str, Any]:
        with self._reading(number) as arrays:
            return {name: arrays[name] for name in ("seen", "seen_at")} if "seen" in arrays else {}

    def _opened(self, number: int) -> Any:
        """Once more where a frame was thinned between a look and its reading."""
        try:
            return np.load(self._path(number), allow_pickle=False)
        except FileNotFoundError:
            return np.load(self._path(number), allow_pickle=False)

    def _path(self, number: int) -> Path:
        """Where a frame lies: whole, if it does."""
        whole, thin = self._whole(number), self._thin(number)
        return thin if not whole.exists() and thin.exists() else whole

    def _whole(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"

    def _thin(self, number: int) -> Path:
        return self.folder / f"{number:06d}.thin.npz"

    def _write(self, path: Path, arrays: dict[str, Any]) -> None:
        with atomic_write(path) as part, part.open("wb") as file:
            np.savez(file, **arrays)


def _named(sightings: Sightings) -> dict[str, Any]:
    return {"seen": sightings.ids, "seen_at": sightings.places}


def _arrays(prediction: FramePrediction, every: int = 1) -> dict[str, Any]:
    """What each frame keeps, by name; of depth every n-th row and column."""
    arrays: dict[str, Any] = {name: getattr(prediction, name) for name in _AS_THEY_ARE}
    arrays["depth"] = prediction.depth[::every, ::every].astype(np.float16)
    arrays |= _packed("depth_conf", prediction.depth_conf[::every, ::every])
    if prediction.peak_bytes is not None:
        arrays["peak_bytes"] = prediction.peak_bytes
    return arrays


def _thinned(prediction: FramePrediction) -> dict[str, Any]:
    """What a thinned frame keeps."""
    blue_first = np.ascontiguousarray(prediction.image[..., ::-1])
    return _arrays(prediction, _THIN) | {"image": cv2.imencode(".jpg", blue_first)[1]}


def _unthinned(kept: dict[str, Any]) -> dict[str, Any]:
    """Picture, depth and confidence of the size that they had, each value on the pixels around."""
    image = cv2.imdecode(kept["image"], cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("no JPEG")
    height, width = image.shape[:2]
    return {"image": np.ascontiguousarray(image[..., ::-1])} | {
        name: kept[name].repeat(_THIN, 0).repeat(_THIN, 1)[:height, :width]
        for name in ("depth", "depth_conf")
    }


def _packed(name: str, confidence: NDArray[np.float32]) -> dict[str, Any]:
    logarithm = np.log(confidence)
    low, high = float(logarithm.min()), float(logarithm.max())
    steps = np.round((logarithm - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
    return {name: steps, f"{name}_range": np.array([low, high])}


def _unpacked(name: str, arrays: Any) -> NDArray[np.float32]:
    low, high = arrays[f"{name}_range"]
    return np.exp(low + arrays[name].astype(np.float32) / 255 * (high - low)).astype(np.float32)


def _check(prediction: FramePrediction, number: int) -> None:
    """Raises DamagedFrame unless arrays have the shapes and values of a frame's."""
    size = prediction.depth.shape
    numbers = (prediction.cam_from_world, prediction.intrinsics, prediction.depth)
    is_whole = (
        prediction.number == number
        and len(size) == 2
        and prediction.image.shape == (*size, 3)
        and prediction.depth_conf.shape == size
        and prediction.cam_from_world.shape == (3, 4)
        and prediction.intrinsics.shape == (3, 3)
        and all(np.isfinite(each).all() for each in numbers)
    )
    if not is_whole:
        raise DamagedFrame(number)


def _prediction(arrays: Any) -> FramePrediction:
    found: dict[str, Any] = {name: arrays[name] for name in _AS_THEY_ARE}
    for name in ("number", "time_s", "seconds", "memory_bytes"):
        found[name] = found[name].item()
    found["depth"] = arrays["depth"].astype(np.float32)
    found["depth_conf"] = _unpacked("depth_conf", arrays)
    if found["image"].ndim == 1:
        found |= _unthinned(found)
    has_points = "world_points" in arrays
    return FramePrediction(
        **found,
        world_points=arrays["world_points"].astype(np.float32) if has_points else None,
        world_points_conf=_unpacked("world_points_conf", arrays) if has_points else None,
        peak_bytes=arrays["peak_bytes"].item() if "peak_bytes" in arrays else None,
    )
