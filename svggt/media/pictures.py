"""Picture files: one picture, or several (pages of a TIFF, moments of an animation, a zip)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, TypeVar

from natsort import natsorted, ns
from PIL import ExifTags, Image, UnidentifiedImageError
from pillow_heif import register_heif_opener

from svggt.errors import BadInput
from svggt.media.frames import InputLimits, check_size

try:
    from pillow_jxl import JpegXLImagePlugin
except ModuleNotFoundError:  # an extra: it is under the GPL
    JpegXLImagePlugin = None
else:
    JpegXLImagePlugin.DECODE_THREADS = 0  # in the thread that asks: it is bounded

register_heif_opener()

PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".heic", ".heif"),
    *(".avif", ".tif", ".tiff", ".gif", *([".jxl"] if JpegXLImagePlugin else [])),
)
ZIP_SUFFIX = ".zip"
KINDS = "JPEG, PNG, WebP, HEIC, AVIF, TIFF or GIF"
"""For people: what is read."""

_FORMATS = (
    *("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF", "GIF"),
    *(["JXL"] if JpegXLImagePlugin else []),
)
_MANY = ("PNG", "WEBP", "AVIF", "TIFF", "GIF")  # a JPEG's second picture is its first, otherwise
_WHOLE = 40_000_000  # pixels: a larger JPEG is decoded at half of its size
_SMALL = 256  # pixels of a side, at least
_KIND_OF_PAGE, _REDUCED = 254, 1  # a TIFF's page may be a small version of another
_TURNS = {  # of EXIF orientations
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MOST_UNPACKED = 1_000_000_000  # bytes of a file in a zip, whatever is allowed
_PAGES = 20_000  # of one file that are looked for
_SHOWN, _LONGEST = 5, 60  # names in a sentence, and characters of one
_LOCKED = 1  # flag of a zip's file that needs a password


AnyPath = TypeVar("AnyPath", bound=PurePath)


class DamagedPicture(BadInput):
    """A file that is no picture, or not whole.

    Attributes:
        name: what people call it.
    """

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(f"“{name}” {sentence}")
        self.name = name


def pictures_in(
    path: Path, name: str, limits: InputLimits, small: bool = False
) -> Iterator[Image.Image | DamagedPicture]:
    """Every picture that a file holds, upright, in order, decoded when it is asked for.

    Args:
        path: a picture, or a zip of pictures.
        name: what people call it.
        limits: what is accepted.
        small: a large JPEG smaller, to see whether it can be decoded and what it shows.

    Yields:
        A picture of any mode and size; in the place of a damaged one what is to be said of it.

    Raises:
        BadInput: one is too large or too narrow, or a zip holds no one row of pictures.
    """
    if path.suffix.lower() == ZIP_SUFFIX:
        yield from _zipped(path, name, limits, small)
    else:
        yield from _opened(path, name, limits, small)


def open_picture(file: Path | IO[bytes], name: str, limits: InputLimits) -> Image.Image:
    """The first picture of a file, upright.

    Raises:
        DamagedPicture: it is damaged, or of another kind than `KINDS`.
        BadInput: it is too large or too narrow.
    """
    picture = next(_opened(file, name, limits))
    if isinstance(picture, DamagedPicture):
        raise picture
    return picture


def in_order(paths: Iterable[AnyPath]) -> list[AnyPath]:
    """In natural order (2 before 10), whatever the case."""
    return natsorted(paths, key=lambda path: (path.stem, path.suffix), alg=ns.IGNORECASE)


def listed(names: Sequence[str]) -> str:
    """Some of the names, for a sentence."""
    shown = ", ".join(f"“{_shortened(name)}”" for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _shortened(name: str) -> str:
    """A file's name, whose end says its kind, as far as a sentence has room for it."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST // 2]}…{name[-_LONGEST // 2 :]}"


def _opened(
    file: Path | IO[bytes], name: str, limits: InputLimits, small: bool = False
) -> Iterator[Image.Image | DamagedPicture]:
    try:
        with _in_words(name):
            picture = Image.open(file, formats=_FORMATS)
    except DamagedPicture as damaged:
        yield damaged
        return
    with picture:
        check_size(*picture.size, name, limits.max_pixels)
        for number in range(_PAGES if picture.format in _MANY else 1):
            try:
                if number and not _turned_to(picture, number, name):
                    return
                with _in_words(name):
                    page = _page(picture, limits, name, small)
            except DamagedPicture as damaged:
                yield damaged
                if picture.format != "TIFF" or picture.tell() != number:
                    return  # what follows in an animation builds on it, or is not found
            else:
                if page is not None:
                    yield page


def _turned_to(picture: Image.Image, number: int, name: str) -> bool:
    """Goes to a page; False where there is none of that number.

    Raises:
        DamagedPicture: nobody can say.
    """
    with _in_words(name):
        try:
            picture.seek(number)
        except EOFError:
            return False
    return True


def _page(picture: Image.Image, limits: InputLimits, name: str, small: bool) -> Image.Image | None:
    """The page that an open file is at, upright; None for a small version of another."""
    if _kind_of_page(picture) & _REDUCED:
        return None
    check_size(*picture.size, name, limits.max_pixels)
    if small:
        picture.draft(picture.mode, (_SMALL, _SMALL))
    elif picture.width * picture.height > _WHOLE:
        picture.draft(picture.mode, (picture.width // 2, picture.height // 2))
    picture.load()
    turn = _turn(picture)
    if turn is None:
        return picture.copy() if getattr(picture, "is_animated", False) else picture
    return picture.transpose(turn)


def _kind_of_page(picture: Image.Image) -> int:
    return int(getattr(picture, "tag_v2", {}).get(_KIND_OF_PAGE, 0))


def _turn(picture: Image.Image) -> Image.Transpose | None:
    """By the EXIF orientation, however broken the rest of that is; asked once it is loaded."""
    if picture.format == "JXL" and not getattr(picture, "jpeg", False):
        return None  # its own header says it, and was heard (ISO/IEC 18181-2)
    try:
        return _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001  # an EXIF block may be anything
        return None


@contextmanager
def _in_words(name: str) -> Iterator[None]:
    """What a decoder raises becomes a sentence."""
    try:
        yield
    except (BadInput, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise BadInput(
            f"“{name}” has far too many pixels. Make it smaller and try again."
        ) from None
    except UnidentifiedImageError:
        sentence = f"is not a picture that this page reads. Use {KINDS}."
        raise DamagedPicture(name, sentence) from None
    except Exception:  # noqa: BLE001  # decoders raise whatever they like
        sentence = "is damaged and cannot be decoded. Save it again."
        raise DamagedPicture(name, sentence) from None


def _zipped(
    path: Path, name: str, limits: InputLimits, small: bool
) -> Iterator[Image.Image | DamagedPicture]:
    """Pictures of a zip; what else lies in it is told as damaged ones are."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        yield DamagedPicture(name, "is damaged and cannot be unpacked. Make the ZIP again.")
        return
    with archive:
        most = min(limits.max_bytes, _MOST_UNPACKED)
        for entry in _entries(archive, name, limits):
            inner = _shortened(PurePosixPath(entry.filename).name)
            if Path(inner).suffix.lower() not in PICTURE_SUFFIXES:
                yield DamagedPicture(inner, "is not a picture.")
                continue
            try:
                with archive.open(entry) as file:
                    data = file.read(most + 1)
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001  # whatever unpacking raises
                yield DamagedPicture(inner, "is damaged in the ZIP. Make it again.")
                continue
            if len(data) > most:
                raise BadInput(f"“{inner}” in “{name}” is too large. Make it smaller.")
            yield from _opened(io.BytesIO(data), inner, limits, small)


def _entries(archive: zipfile.ZipFile, name: str, limits: InputLimits) -> list[zipfile.ZipInfo]:
    """A zip's files in natural order, without folders and what is hidden.

    Raises:
        BadInput: there are too many, in several folders, or locked.
    """
    files = {PurePosixPath(entry.filename): entry for entry in archive.infolist()}
    shown = [
        path
        for path, entry in files.items()
        if path.name
        and not entry.is_dir()
        and not any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    ]
    if len(shown) > limits.max_files:
        raise BadInput(f"“{name}” holds {len(shown)} files; the limit is {limits.max_files}.")
    folders = sorted({str(p.parent) for p in shown if p.suffix.lower() in PICTURE_SUFFIXES})
    if len(folders) > 1:
        raise BadInput(f"“{name}” holds pictures in several folders: {listed(folders)}. Send one.")
    if any(files[path].flag_bits & _LOCKED for path in shown):
        raise BadInput(f"“{name}” is locked by a password. Send it without one.")
    return [files[path] for path in in_order(shown)]
