"""Files of one picture and of many: pages, animations, zips; and large ones."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svggt.errors import BadInput
from svggt.media.clips import Clip, open_clip, pictures_of_folder
from svggt.media.frames import Frame, InputLimits
from svggt.media.pictures import PICTURE_SUFFIXES, open_picture

LIMITS = InputLimits()
SIZE = (84, 56)


def shade(number: int) -> Image.Image:
    """A picture that tells its number by its brightness, not uniform (encoders merge equals)."""
    picture = Image.new("RGB", SIZE, (40 * number + 20,) * 3)
    picture.putpixel((number, 0), (255, 0, 0))
    return picture


def encoded(number: int, kind: str = "JPEG", **how) -> bytes:
    buffer = io.BytesIO()
    shade(number).save(buffer, kind, **how)
    return buffer.getvalue()


def read(*paths: Path, limits: InputLimits = LIMITS) -> tuple[Clip, list[Frame], list[str]]:
    notes: list[str] = []
    clip = open_clip(paths, 84, None, limits)
    return clip, list(clip.frames(note=notes.append)), notes


def numbers(frames: list[Frame]) -> list[int]:
    return [round((float(np.median(frame.image)) - 20) / 40) for frame in frames]


@pytest.mark.parametrize("suffix", PICTURE_SUFFIXES)
def test_every_kind_is_read(tmp_path: Path, suffix: str) -> None:
    kinds = {".jfif": "JPEG"}
    shade(3).save(tmp_path / f"a{suffix}", kinds.get(suffix))
    clip, frames, notes = read(tmp_path / f"a{suffix}")
    assert numbers(frames) == [3] and clip.total == 1 and not clip.cut and not notes


@pytest.mark.parametrize("suffix", [".tif", ".gif", ".webp", ".png", ".avif"])
def test_pages_and_moments_are_frames(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    shade(0).save(path, save_all=True, append_images=[shade(n) for n in range(1, 5)])
    clip, frames, _ = read(path)
    assert numbers(frames) == [0, 1, 2, 3, 4] and clip.total == 5 and not clip.cut
    clip, frames, _ = read(path, limits=InputLimits(max_frames=3))
    assert numbers(frames) == [0, 1, 2] and clip.total == 3 and clip.cut


def test_files_of_many_stand_between_others(tmp_path: Path) -> None:
    shade(0).save(tmp_path / "1.jpg")
    shade(1).save(tmp_path / "2.tif", save_all=True, append_images=[shade(2)])
    shade(3).save(tmp_path / "10.jpg")
    _, frames, _ = read(*tmp_path.iterdir())
    assert numbers(frames) == [0, 1, 2, 3] and [f.number for f in frames] == [0, 1, 2, 3]


def test_a_tiffs_small_version_is_no_frame(tmp_path: Path) -> None:
    small = shade(5).resize((42, 28))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    shade(1).save(tmp_path / "a.tif", save_all=True, append_images=[small, shade(2)])
    _, frames, _ = read(tmp_path / "a.tif")
    assert numbers(frames) == [1, 2]


def test_a_phones_second_picture_is_no_frame(tmp_path: Path) -> None:
    """Two JPEGs in one file (MPO): a preview, a gain map, the other eye."""
    shade(1).save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[shade(4)])
    assert numbers(read(tmp_path / "a.jpg")[1]) == [1]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "WEBP", "PNG", "AVIF"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_every_kind_is_shown_upright_once(kind: str, orientation: int) -> None:
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    stored = Image.new("RGB", SIZE)
    stored.paste((255, 255, 255), (0, 0, 42, 28))  # bright at the top left, as it is stored
    stored.save(buffer, kind, exif=exif.tobytes() if kind != "TIFF" else exif)
    shown = open_picture(io.BytesIO(buffer.getvalue()), "a", LIMITS).convert("L")
    turns = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270}
    turns[8] = Image.Transpose.ROTATE_90
    expected = stored.transpose(turns[orientation]).convert("L")
    assert shown.size == expected.size
    assert np.abs(np.asarray(shown, int) - np.asarray(expected, int)).mean() < 5


def test_a_jpeg_xl_is_turned_by_its_own_header_alone() -> None:
    """Its decoder has done so; an EXIF block beside it says the same once more."""
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    shade(3).save(buffer, "JXL", exif=exif.tobytes())
    shown = open_picture(io.BytesIO(buffer.getvalue()), "a", LIMITS)
    assert shown.size == shade(3).size
    assert np.abs(np.asarray(shown, int) - np.asarray(shade(3), int)).mean() < 3


def test_a_tiff_whose_next_page_is_nowhere_ends(tmp_path: Path) -> None:
    """A pointer beyond all files; whoever goes on looking never ends."""
    path = tmp_path / "a.tif"
    shade(1).save(path, big_tiff=True)
    data = bytearray(path.read_bytes())
    first = int.from_bytes(data[8:16], "little")
    entries = int.from_bytes(data[first : first + 8], "little")
    end = first + 8 + 20 * entries
    data[end : end + 8] = b"\xff" * 8
    path.write_bytes(data)
    _, frames, notes = read(path)
    assert numbers(frames) == [1] and "in part: “a.tif”" in notes[0]


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_zip_is_its_pictures_in_order(tmp_path: Path) -> None:
    files = {f"walk/{n}.jpg": encoded(n) for n in (4, 2, 0)}
    files |= {"walk/10.JPG": encoded(5), "walk/notes.txt": b"x"}
    files |= {"__MACOSX/walk/._4.jpg": b"x", "walk/.hidden.jpg": b"x", ".small/1.jpg": b"x"}
    clip, frames, (note,) = read(zipped(tmp_path / "a.zip", files))
    assert numbers(frames) == [0, 2, 4, 5] and clip.total == 4
    assert "notes.txt" in note and "4.jpg" not in note and "hidden" not in note


def test_a_long_name_leaves_room_for_others(tmp_path: Path) -> None:
    files = {"1.jpg": encoded(1), "x" * 5_000 + ".txt": b"x", "y" * 5_000 + ".jpg": b"x"}
    _, frames, (note,) = read(zipped(tmp_path / "a.zip", files))
    assert numbers(frames) == [1] and len(note) < 250 and ".txt" in note and ".jpg" in note


def test_a_zip_is_read_where_nothing_bounds_it(tmp_path: Path) -> None:
    """On the command line."""
    path = zipped(tmp_path / "a.zip", {"1.jpg": encoded(1)})
    assert numbers(read(path, limits=InputLimits(max_bytes=sys.maxsize))[1]) == [1]


def test_what_is_damaged_in_a_zip_is_named_and_left_out(tmp_path: Path) -> None:
    files = {f"{n}.jpg": encoded(n) for n in range(3)}
    files["1.jpg"] = files["1.jpg"][:200]
    clip, frames, (note,) = read(zipped(tmp_path / "a.zip", files))
    assert numbers(frames) == [0, 2] and clip.total == 2 and "1.jpg" in note


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "holds no picture"),
        ({"a.txt": b"x"}, "not a picture"),
        ({"a/1.jpg": b"x", "b/1.jpg": b"x"}, "several folders: “a”, “b”"),
        ({f"{n}.jpg": b"" for n in range(501)}, "501 files; the limit is 500"),
        ({"1.jpg": bytes(2_000_000)}, "too large"),
    ],
)
def test_a_zip_of_no_use_gets_a_sentence(tmp_path: Path, files, sentence: str) -> None:
    path = zipped(tmp_path / "a.zip", files)
    with pytest.raises(BadInput, match=sentence):
        open_clip([path], 84, None, InputLimits(max_bytes=1_000_000))


def test_a_zip_that_is_none_or_locked_gets_a_sentence(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"1.jpg": encoded(1)})
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(BadInput, match="unpacked"):
        open_clip([path], 84, None, LIMITS)
    locked = bytearray(whole)
    locked[whole.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(locked)
    with pytest.raises(BadInput, match="password"):
        open_clip([path], 84, None, LIMITS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_large_cameras_are_ordinary(tmp_path: Path, kind: str) -> None:
    picture = Image.new("RGB", (9504, 6336), (60, 60, 60))  # 60 megapixels
    picture.paste((200, 200, 200), (0, 0, 4752, 6336))
    picture.save(tmp_path / f"a.{kind.lower()}", kind)
    (frame,) = read(tmp_path / f"a.{kind.lower()}")[1]
    assert abs(int(frame.image[28, 10, 0]) - 200) < 5 and abs(int(frame.image[28, 70, 0]) - 60) < 5


def test_a_folder_of_folders_is_named(tmp_path: Path) -> None:
    (tmp_path / "left").mkdir()
    (tmp_path / "right").mkdir()
    with pytest.raises(BadInput, match="“left”, “right”"):
        pictures_of_folder(tmp_path)
    shade(0).save(tmp_path / "a.jpg")
    assert [path.name for path in pictures_of_folder(tmp_path)] == ["a.jpg"]
