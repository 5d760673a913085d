"""What is known of a camera's lens before its pictures are looked at."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from svggt.errors import BadInput

_NARROWEST, _WIDEST = 2.0, 130.0  # degrees: what sees more is a fisheye, and no pinhole
_FILM_DIAGONAL = math.hypot(36.0, 24.0)  # mm: what "35 mm equivalent" compares with (CIPA DCG-001)


def known(given: float, said: float, share: float = 1.0) -> float:
    """Degrees across: what a person gave, or else what the files say; 0 where neither does.

    Args:
        given: across a whole picture.
        said: across what is shown of it.
        share: of its width that is shown.

    Raises:
        BadInput: a field of view was given that no pinhole camera has.
    """
    degrees = given or said
    if degrees and not _NARROWEST <= degrees <= _WIDEST:
        raise BadInput(
            f"No pinhole camera sees {degrees:.0f} degrees: give {_NARROWEST:.0f} to "
            f"{_WIDEST:.0f}, or 0 where it is not known. Undistort a fisheye's pictures first."
        )
    return of_part(given, share) if given else degrees


def of_part(degrees: float, share: float) -> float:
    """Degrees across the middle part of a picture, of so many across all of it; 0 stays 0."""
    return 2 * math.degrees(math.atan(share * math.tan(math.radians(degrees) / 2)))


def from_matrix(path: Path) -> float:
    """Degrees across, from a text file of intrinsics in pixels.

    Args:
        path: the 3x3 matrix, or fx fy cx cy in a line; the picture's width is taken as 2 cx.

    Raises:
        BadInput: it holds neither.
    """
    try:
        numbers = np.array(path.read_text().replace(",", " ").split(), float)
    except (OSError, ValueError):
        numbers = np.zeros(0)
    if numbers.size == 4:
        focal, _, centre, _ = numbers.tolist()
    elif numbers.size == 9:
        focal, centre = numbers[0], numbers[2]
    else:
        focal, centre = 0.0, 0.0
    if not (focal > 0 and centre > 0):
        raise BadInput(
            f"{path} holds no intrinsics: write the 3x3 matrix in pixels, or fx fy cx cy in a line."
        )
    return 2 * math.degrees(math.atan(centre / focal))


def from_exif(picture: Image.Image) -> float:
    """Degrees across an upright picture, from its 35 mm equivalent; 0 where it says none."""
    try:
        lens = picture.getexif().get_ifd(ExifTags.IFD.Exif)
        equivalent = float(lens.get(ExifTags.Base.FocalLengthIn35mmFilm, 0))
    except Exception:  # noqa: BLE001  # an EXIF block may be anything
        return 0.0
    if not equivalent > 0:
        return 0.0
    focal = equivalent / _FILM_DIAGONAL * math.hypot(*picture.size)
    degrees = 2 * math.degrees(math.atan(picture.width / 2 / focal))
    return degrees if _NARROWEST <= degrees <= _WIDEST else 0.0
