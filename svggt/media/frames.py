"""Pictures from people, turned into validated frames of one size.

Knows of files and pixels, nothing of models. A picture's header is checked before its pixels
are decoded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from pillow_heif import register_heif_opener

from svggt.errors import BadInput

register_heif_opener()

PATCH = 14
TRACKING_WIDTH = 480
MAX_ASPECT = 8
"""Longer side over the shorter one, at most."""

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".ts", ".mts", ".m2ts")
PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "HEIF")

_TURNS = {  # of EXIF orientations
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L")  # greys of more than 8 bits
_DECODING = threading.BoundedSemaphore(2)  # pictures at once: each may take 160 MB

Used = TypeVar("Used")


@dataclass(frozen=True)
class InputLimits:
    """What a visitor may send. Shown on the page before an upload; all can be set.

    Attributes:
        max_bytes: most bytes of an upload, all files together.
        max_files: most files of an upload.
        max_frames: most frames of a run, which a visitor may lower; the rest of a longer clip is
            left out, and the page says so.
        max_pixels: most pixels of one picture, checked before it is decoded.
        max_seconds: longest video, seconds.
    """

    max_bytes: int = 200_000_000
    max_files: int = 500
    max_frames: int = 120
    max_pixels: int = 40_000_000
    max_seconds: float = 3600.0


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture on its way to the model.

    Attributes:
        number: in its clip, from 0.
        time_s: seconds from the clip's first frame; pictures count as one a second.
        image: (H, W, 3) uint8 RGB; H and W multiples of the patch, the same for a whole clip.
        grey: (h, 480) uint8, the same view with square pixels, for tracking corners.
    """

    number: int
    time_s: float
    image: NDArray[np.uint8]
    grey: NDArray[np.uint8]


class Fitter:
    """Brings pictures to the model's size, as VGGT's preprocessing does (docs/conventions.md).

    The first picture fixes the size: bicubic to `width`, height rounded to a multiple of the
    patch, centre crop of the height only where it exceeds the width. Later pictures of another
    shape are resized to fit and padded with white.
    """

    def __init__(self, width: int) -> None:
        assert width % PATCH == 0, width
        self._width = width
        self._aspect: float | None = None  # height over width of the first picture
        self._range: tuple[float, float] | None = None  # darkest and brightest of deep greys

    @classmethod
    def like(cls, frame: Frame) -> Fitter:
        """One that goes on with the size of a frame."""
        fitter = cls(frame.image.shape[1])
        fitter._aspect = frame.grey.shape[0] / frame.grey.shape[1]
        return fitter

    def frame(self, number: int, time_s: float, picture: Image.Image) -> Frame:
        """A frame of a picture of any mode and size."""
        rgb = self._in_eight_bits(picture) if picture.mode in _DEEP else _on_white(picture)
        aspect = rgb.height / rgb.width
        if self._aspect is None:
            self._aspect = aspect
        rows = _rows(self._width, aspect)
        if rows != _rows(self._width, self._aspect):
            shown = (rgb.width, round(rgb.width * min(1.0, self._aspect)))
            rgb = ImageOps.pad(rgb, shown, Image.Resampling.BICUBIC, color=(255, 255, 255))
            rows = min(_rows(self._width, self._aspect), self._width)
        image = _scaled(rgb, self._width, rows)
        grey = _scaled(rgb.convert("L"), TRACKING_WIDTH, round(TRACKING_WIDTH * self._aspect))
        return Frame(number, time_s, np.asarray(image), np.asarray(grey))

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


def _scaled(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Resized, then cropped to the centre of its height where that exceeds the width."""
    return _centre_crop(picture.resize((width, height), Image.Resampling.BICUBIC), width)


class DamagedPicture(BadInput):
    """A file that is no picture, or not whole."""


def is_video(path: Path) -> bool:
    """Whether a file's name is a video's."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def check_size(width: int, height: int, name: str, limits: InputLimits) -> None:
    """Checks what a header says, before any pixel is decoded.

    Raises:
        BadInput: too many pixels, or so narrow that the frame would be huge or a line.
    """
    if width * height > limits.max_pixels:
        raise BadInput(
            f"“{name}” has {width} × {height} pixels; the limit is "
            f"{limits.max_pixels / 1e6:.0f} megapixels. Make it smaller and try again."
        )
    if max(width, height) > MAX_ASPECT * max(1, min(width, height)):
        raise BadInput(
            f"“{name}” is {width} × {height}: more than {MAX_ASPECT} times as long as wide. "
            "Crop it and try again."
        )


def check_picture(path: Path, name: str, limits: InputLimits) -> None:
    """Checks that a picture can be decoded, a JPEG in small; see `open_picture` for the errors."""

    def decode(picture: Image.Image) -> None:
        picture.draft(picture.mode, (1, 1))
        picture.load()

    _open(path, name, limits, decode)


def open_picture(path: Path | BinaryIO, name: str, limits: InputLimits) -> Image.Image:
    """Decodes one picture upright, its header checked first.

    Raises:
        DamagedPicture: it is damaged, or none of `PICTURE_FORMATS`.
        BadInput: it is too large or too narrow.
    """
    return _open(path, name, limits, _turned)


def _turned(picture: Image.Image) -> Image.Image:
    """As its EXIF orientation says, however broken the rest of that is."""
    try:
        turn = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001  # an EXIF block may be anything
        turn = None
    picture.load()
    return picture if turn is None else picture.transpose(turn)


def _open(
    path: Path | BinaryIO, name: str, limits: InputLimits, use: Callable[[Image.Image], Used]
) -> Used:
    try:
        with Image.open(path, formats=PICTURE_FORMATS) as picture:
            check_size(*picture.size, name, limits)
            with _DECODING:
                return use(picture)
    except (BadInput, Image.DecompressionBombError) as error:
        sentence = f"“{name}” has far too many pixels. Make it smaller and try again."
        raise BadInput(str(error) if isinstance(error, BadInput) else sentence) from None
    except UnidentifiedImageError:
        raise DamagedPicture(
            f"“{name}” is not a picture that this page reads. Use JPEG, PNG, WebP or HEIC."
        ) from None
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # decoders raise whatever they like
        raise DamagedPicture(f"“{name}” is damaged and cannot be decoded. Save it again.") from None


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
