"""Pictures from people, turned into frames of one size; what is accepted.

Knows of pixels, nothing of models.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from svggt.errors import BadInput

PATCH = 14
TRACKING_WIDTH = 480
MAX_ASPECT = 8
"""Longer side over the shorter one, at most."""

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".ts", ".mts", ".m2ts")

_DEEP = ("I", "F", "I;16", "I;16B", "I;16L")  # greys of more than 8 bits


@dataclass(frozen=True)
class InputLimits:
    """What a visitor may send. Shown on the page before an upload; all can be set.

    Attributes:
        max_bytes: most bytes of an upload, all files together.
        max_files: most files of an upload.
        max_frames: most frames of a run, which a visitor may lower; the rest of a longer clip is
            left out, and the page says so.
        max_pixels: most pixels of one picture, checked before it is decoded.
        max_video_pixels: the same of a video, of which a decoder holds several.
        max_seconds: longest video, seconds.
    """

    max_bytes: int = 200_000_000
    max_files: int = 500
    max_frames: int = 120
    max_pixels: int = 100_000_000
    max_video_pixels: int = 40_000_000
    max_seconds: float = 3600.0


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture on its way to the model.

    Attributes:
        number: in its clip, from 0.
        time_s: seconds from the clip's first frame; pictures count as one a second.
        image: (H, W, 3) uint8 RGB; H and W multiples of the patch, the same for a whole clip.
        grey: (h, 480) uint8, just the same view with square pixels, for tracking corners.
    """

    number: int
    time_s: float
    image: NDArray[np.uint8]
    grey: NDArray[np.uint8]


class Fitter:
    """Brings pictures to the model's size, as VGGT's preprocessing does (docs/conventions.md).

    The first picture fixes the size: bicubic to `width`, height rounded to a multiple of the
    patch, centre crop of the height only where it exceeds the width. Later pictures that come to
    another shape are resized to fit and padded with white.

    Args:
        width: of the frames, and their greatest height.
        whole: nothing is cropped: frames of higher pictures are narrower instead.
    """

    def __init__(self, width: int, whole: bool = False) -> None:
        assert width % PATCH == 0, width
        self._width, self._whole = width, whole
        self._rows: int | None = None  # of the frames
        self._grey_rows = 0  # of their tracking pictures
        self._range: tuple[float, float] | None = None  # darkest and brightest of deep greys

    @classmethod
    def like(cls, frame: Frame) -> Fitter:
        """One that goes on with the size of a frame."""
        rows, columns = frame.image.shape[:2]
        fitter = cls(columns, whole=rows > columns)
        fitter._rows, fitter._grey_rows = rows, frame.grey.shape[0]
        return fitter

    def frame(self, number: int, time_s: float, picture: Image.Image) -> Frame:
        """A frame of a picture of any mode and size."""
        rgb = self.in_colour(picture)
        aspect = rgb.height / rgb.width
        if self._rows is None:
            self._rows = self._take_size(aspect)
        rows = _rows(self._width, aspect)
        shown = rows if self._whole else min(rows, self._width)
        if shown != self._rows:
            size = (rgb.width, max(1, round(rgb.width * self._grey_rows / TRACKING_WIDTH)))
            rgb = ImageOps.pad(rgb, size, Image.Resampling.BICUBIC, color=(255, 255, 255))
            rows = self._rows
        image = _scaled(rgb, self._width, rows, self._rows)
        # Rows are whole patches: the tracking picture is cut where they are, not at its own square.
        uncut = round(self._grey_rows * rows / self._rows)
        grey = _scaled(rgb.convert("L"), TRACKING_WIDTH, uncut, self._grey_rows)
        return Frame(number, time_s, np.asarray(image), np.asarray(grey))

    def _take_size(self, aspect: float) -> int:
        """Rows of all frames by the first picture's height over its width."""
        most = self._width
        while self._whole and _rows(self._width, aspect) > most:
            self._width -= PATCH
        uncut = _rows(self._width, aspect)
        rows = min(uncut, most)
        self._grey_rows = round(TRACKING_WIDTH * aspect * rows / uncut)
        return rows

    @property
    def took_deep_greys(self) -> bool:
        """Whether a picture was of more than 8 bits, and so shown by the range of the first one."""
        return self._range is not None

    def in_colour(self, picture: Image.Image) -> Image.Image:
        """RGB of a picture of any mode, as large as it is."""
        return self._in_eight_bits(picture) if picture.mode in _DEEP else _on_white(picture)

    def _in_eight_bits(self, picture: Image.Image) -> Image.Image:
        """Greys of 16 bits or more, from the darkest to the brightest of the first picture."""
        deep = np.nan_to_num(np.asarray(picture, np.float32), posinf=0.0, neginf=0.0)
        if self._range is None:
            self._range = float(deep.min()), float(deep.max())
        low, high = self._range
        grey = 255 * (deep - low) / max(high - low, 1e-9)
        return Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")


def _rows(width: int, aspect: float) -> int:
    """Height of the resized picture: a multiple of the patch, never less than one."""
    return PATCH * max(1, round(width * aspect / PATCH))


def _scaled(picture: Image.Image, width: int, height: int, most: int) -> Image.Image:
    """Resized, then cropped to the centre of its height where that exceeds what it may be."""
    return _centre_crop(picture.resize((width, height), Image.Resampling.BICUBIC), most)


def is_video(path: Path) -> bool:
    """Whether a file's name is a video's."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    """Checks what a header says, before any pixel is decoded.

    Raises:
        BadInput: too many pixels, or so narrow that the frame would be huge or a line.
    """
    if width * height > max_pixels:
        raise BadInput(
            f"“{name}” has {width} × {height} pixels; the limit is "
            f"{max_pixels / 1e6:.0f} megapixels. Make it smaller and try again."
        )
    if max(width, height) > MAX_ASPECT * max(1, min(width, height)):
        raise BadInput(
            f"“{name}” is {width} × {height}: more than {MAX_ASPECT} times as long as wide. "
            "Crop it and try again."
        )


def _on_white(picture: Image.Image) -> Image.Image:
    """RGB; transparency becomes white."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    if picture.mode != "RGBA":
        picture = picture.convert("RGBA")
    white = Image.new("RGB", picture.size, (255, 255, 255))
    white.paste(picture, mask=picture)  # in place: large pictures are here once more, not thrice
    return white


def _centre_crop(picture: Image.Image, max_height: int) -> Image.Image:
    excess = picture.height - max_height
    if excess <= 0:
        return picture
    top = excess // 2
    return picture.crop((0, top, picture.width, top + max_height))
