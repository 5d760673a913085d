"""Predictions of a run on disk, a file a frame, so that any moment can be shown exactly again.

Depth is kept as float16, the confidence's logarithm in 8 bits. A file is whole or not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from svggt.files import atomic_write
from svggt.media.frames import Frame
from svggt.prediction import FramePrediction

_AS_THEY_ARE = (
    "number",
    "time_s",
    "image",
    "cam_from_world",
    "intrinsics",
    "seconds",
    "memory_bytes",
)
_FAST = (cv2.IMWRITE_PNG_COMPRESSION, 1)


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
        while self._path(count).exists():
            count += 1
        return count

    def add(self, prediction: FramePrediction, grey: NDArray[np.uint8] | None = None) -> None:
        """Keeps a frame under its number, in place of an older one.

        Args:
            prediction: of the model.
            grey: what cameras are refined by, `Frame.grey`; a stream can only be rebuilt from
                frames that have it.
        """
        arrays: dict[str, Any] = {name: getattr(prediction, name) for name in _AS_THEY_ARE}
        arrays["depth"] = prediction.depth.astype(np.float16)
        arrays |= _packed("depth_conf", prediction.depth_conf)
        if prediction.world_points is not None and prediction.world_points_conf is not None:
            arrays["world_points"] = prediction.world_points.astype(np.float16)
            arrays |= _packed("world_points_conf", prediction.world_points_conf)
        if prediction.peak_bytes is not None:
            arrays["peak_bytes"] = prediction.peak_bytes
        if grey is not None:
            arrays["grey"] = cv2.imencode(".png", grey, _FAST)[1]
        with atomic_write(self._path(prediction.number)) as path, path.open("wb") as file:
            np.savez(file, **arrays)

    def load(self, number: int) -> FramePrediction:
        """A frame that was kept.

        Raises:
            KeyError: there is none of that number.
        """
        with self._open(number) as arrays:
            return _prediction(arrays)

    def frame(self, number: int) -> Frame:
        """What the model was given.

        Raises:
            KeyError: there is none of that number, or it was kept without its grey picture.
        """
        with self._open(number) as arrays:
            grey = cv2.imdecode(arrays["grey"], cv2.IMREAD_GRAYSCALE)
            return Frame(number, arrays["time_s"].item(), arrays["image"], np.asarray(grey))

    def predictions(self) -> Iterator[FramePrediction]:
        """All of them in order, one in memory at a time."""
        return map(self.load, range(len(self)))

    def _open(self, number: int) -> Any:
        try:
            return np.load(self._path(number), allow_pickle=False)
        except FileNotFoundError:
            raise KeyError(number) from None

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"


def _packed(name: str, confidence: NDArray[np.float32]) -> dict[str, Any]:
    logarithm = np.log(confidence)
    low, high = float(logarithm.min()), float(logarithm.max())
    steps = np.round((logarithm - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
    return {name: steps, f"{name}_range": np.array([low, high])}


def _unpacked(name: str, arrays: Any) -> NDArray[np.float32]:
    low, high = arrays[f"{name}_range"]
    return np.exp(low + arrays[name].astype(np.float32) / 255 * (high - low)).astype(np.float32)


def _prediction(arrays: Any) -> FramePrediction:
    found: dict[str, Any] = {name: arrays[name] for name in _AS_THEY_ARE}
    for name in ("number", "time_s", "seconds", "memory_bytes"):
        found[name] = found[name].item()
    has_points = "world_points" in arrays
    return FramePrediction(
        **found,
        depth=arrays["depth"].astype(np.float32),
        depth_conf=_unpacked("depth_conf", arrays),
        world_points=arrays["world_points"].astype(np.float32) if has_points else None,
        world_points_conf=_unpacked("world_points_conf", arrays) if has_points else None,
        peak_bytes=arrays["peak_bytes"].item() if "peak_bytes" in arrays else None,
    )
