"""Pictures as they came, where a clip was kept, and the lens that saw them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svggt.errors import BadInput, Busy
from svggt.exports import png
from svggt.scene.posed_frame import PosedFrame
from svggt.store.posed_frames import PosedFrames

Picture = NDArray[np.uint8]

HALF = 0.5
"""Where COLMAP and nerfstudio put the first pixel's centre, which is at 0 in this project."""

_PATCH = 14  # pixels that the height of the model's pictures is a multiple of
_QUALITY = 95  # of JPEGs
_ALIKE = 12.0  # mean difference of a picture from what the model was shown, of 255


@dataclass(frozen=True)
class Lens:
    """A camera's intrinsics in pixels of a picture of any size.

    Attributes:
        size: (height, width).
        matrix: (3, 3); the first pixel's centre is at 0.
        distortion: radial k1 and k2; see `PosedFrame.distortion`.
    """

    size: tuple[int, int]
    matrix: NDArray[Any]
    distortion: tuple[float, float]

    @classmethod
    def of(cls, shot: PosedFrame) -> Lens:
        """For the picture that the model was shown."""
        height, width = shot.prediction.depth.shape
        return cls((height, width), shot.intrinsics, shot.distortion)

    def of_picture(self, size: tuple[int, ...]) -> Lens:
        """For a picture (height, width) that was fitted to this one's size, or has it.

        It was scaled to the width, to whole patches of height, and cut above and below if it was
        higher than wide; see `svggt.media.frames.Fitter`.
        """
        (height, width), (rows, columns) = size[:2], self.size
        whole = rows_before_cut(size, columns)
        down, across = height / whole, width / columns
        matrix = self.matrix.copy()
        matrix[0] = across * (matrix[0] + [0, 0, HALF]) - [0, 0, HALF]
        matrix[1] = down * (matrix[1] + [0, 0, (whole - rows) // 2 + HALF]) - [0, 0, HALF]
        return Lens((height, width), matrix, self.distortion)


def pixels_of(
    places: NDArray[np.float32], size: tuple[int, ...], shown: tuple[int, ...]
) -> NDArray[np.float64]:
    """Pixels (N, 2) of a picture (height, width), from its upper left corner.

    Args:
        places: (N, 2), shares of what cameras are refined by, `Frame.grey`.
        size: of the picture.
        shown: (rows, columns) of what the model was shown.
    """
    (height, width), (rows, columns) = size[:2], shown[:2]
    seen = height * rows / rows_before_cut(size, columns)
    down = (height - seen) / 2 + places[:, 1] * seen
    return np.stack([places[:, 0] * width, down], axis=1).astype(np.float64)


def pictures(shots: PosedFrames) -> Iterator[Picture]:
    """Every frame's picture: as it came, or else as the model was shown it.

    Raises:
        Busy: the machine cannot decode just now.
    """
    about = shots.recording.about
    kept = iter(()) if about is None or about.clip is None else about.clip.originals()
    for number in range(shots.count):
        shown = np.asarray(shots.shot(number).prediction.image)
        try:
            original = next(kept, None)
        except Busy:
            raise
        except BadInput:  # the clip is damaged since
            original, kept = None, iter(())
        yield shown if original is None or not _is_of(original, shown) else original


def file_of(picture: Picture, shot: PosedFrame) -> tuple[str, bytes]:
    """Name and content of a frame's picture as a file; JPEG where it is as it came."""
    if picture.shape == shot.prediction.image.shape:
        return f"{shot.prediction.number:06}.png", png.encoded(picture)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=_QUALITY)
    return f"{shot.prediction.number:06}.jpg", buffer.getvalue()


def _is_of(original: Picture, shown: Picture) -> bool:
    """Whether a picture, fitted, is what the model was shown."""
    rows, columns = shown.shape[:2]
    whole = rows_before_cut(original.shape, columns)
    if whole != rows and not (whole > rows == columns):
        return False  # of another shape than the first: it was padded
    fitted = np.asarray(Image.fromarray(original).resize((columns, whole)), int)
    top = (whole - rows) // 2
    return float(np.abs(fitted[top : top + rows] - shown).mean()) < _ALIKE


def rows_before_cut(original: tuple[int, ...], columns: int) -> int:
    """Height that an original (height, width) has where it is scaled to a width, still whole."""
    height, width = original[:2]
    return _PATCH * max(1, round(columns * height / width / _PATCH))
