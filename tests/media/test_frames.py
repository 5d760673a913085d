"""Pictures: preprocessing as VGGT's, headers before pixels, sentences for people."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svggt.errors import BadInput
from svggt.media.frames import PATCH, Fitter, InputLimits
from svggt.media.pictures import open_picture

LIMITS = InputLimits()


def solid(width: int, height: int, colour=(200, 30, 30), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (width, height), colour)


@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        ((540, 360), (154, 224)),  # 149.3 rounds to 154
        ((640, 480), (168, 224)),
        ((1920, 1080), (126, 224)),
        ((480, 640), (224, 224)),  # portrait: the centre of the height
        ((1000, 10), (14, 224)),  # never less than a patch
    ],
)
def test_the_first_picture_fixes_the_size(size, fitted) -> None:
    assert Fitter(224).frame(0, 0.0, solid(*size)).image.shape[:2] == fitted


def test_a_tall_picture_keeps_its_centre() -> None:
    picture = solid(224, 448, (0, 0, 0))
    picture.paste((255, 255, 255), (0, 112, 224, 336))
    assert Fitter(224).frame(0, 0.0, picture).image.min() > 200


@pytest.mark.parametrize("size", [(480, 640), (1080, 1920), (100, 790), (640, 480), (480, 480)])
def test_a_picture_that_is_kept_whole_loses_nothing(size: tuple[int, int]) -> None:
    """Its edge is there all around, as large as in both pictures; a wide one is as ever."""
    picture, (width, height) = solid(*size, (0, 0, 0)), size
    edge = max(8, width // 8)
    picture.paste((255, 255, 255), (edge, edge, width - edge, height - edge))
    fitter = Fitter(224, whole=True)
    frame = fitter.frame(0, 0.0, picture)
    rows, columns = frame.image.shape[:2]
    assert rows % PATCH == columns % PATCH == 0 and max(rows, columns) <= 224
    assert abs(rows / columns - height / width) <= PATCH / columns
    seen = (width - 2 * edge) * (height - 2 * edge) / (width * height)
    for view in (frame.image[..., 0], frame.grey):
        assert (view > 128).mean() == pytest.approx(seen, abs=0.03)
        assert max(view[0].max(), view[-1].max(), view[:, 0].max(), view[:, -1].max()) < 60
    assert frame.grey.shape == (round(480 * height / width), 480)
    if height <= width:
        assert np.array_equal(frame.image, Fitter(224).frame(0, 0.0, picture).image)
    for other in (fitter, Fitter.like(frame)):  # a later one, also of a run that is resumed
        assert np.array_equal(other.frame(1, 1.0, picture).image, frame.image)
        padded = other.frame(2, 2.0, solid(900, 300))
        assert padded.image.shape == frame.image.shape and padded.grey.shape == frame.grey.shape


def test_later_shapes_are_fitted_and_padded_with_white() -> None:
    fitter = Fitter(224)
    fitter.frame(0, 0.0, solid(640, 480))
    fitted = fitter.frame(1, 1.0, solid(300, 600)).image
    assert fitted.shape == (168, 224, 3)
    assert (fitted[:, 0] == 255).all() and (fitted[:, 112] == (200, 30, 30)).all()


@pytest.mark.parametrize("whole", [False, True], ids=["cut", "whole"])
@pytest.mark.parametrize("size", [(540, 360), (480, 640), (1080, 1920), (1920, 1080)])
def test_the_tracking_picture_shows_the_same_view(size: tuple[int, int], whole: bool) -> None:
    """A mark lies at one place in both, though rows are whole patches; its pixels are square."""
    width, height = size
    at, mark = (0.3 * width, height / 2 + 0.4 * min(width, height)), 0.04 * width
    picture = solid(*size, (0, 0, 0))
    picture.paste((255, 255, 255), tuple(round(x + d) for d in (-mark, mark) for x in at))
    fitter = Fitter(224, whole)
    first = fitter.frame(0, 0.0, picture)
    for frame in (first, fitter.frame(1, 1.0, picture), Fitter.like(first).frame(1, 1.0, picture)):
        assert np.array_equal(frame.image, first.image) and np.array_equal(frame.grey, first.grey)
        places = []
        for view in (frame.image[..., 0], frame.grey):
            rows, columns = np.nonzero(view > 128)
            places.append((columns.mean() + 0.5, rows.mean() + 0.5) / np.array(view.shape[::-1]))
        assert np.abs(places[0] - places[1]).max() < 0.003
        rows, columns = np.nonzero(frame.grey > 128)
        assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=1)


def test_a_later_tall_picture_is_cut_like_the_first() -> None:
    fitter = Fitter(224)
    fitter.frame(0, 0.0, solid(480, 640))
    for later in (fitter.frame(1, 1.0, solid(480, 900)), fitter.frame(2, 2.0, solid(400, 400))):
        assert (later.image == (200, 30, 30)).all() and (later.grey != 255).all()


def test_transparency_becomes_white() -> None:
    assert (Fitter(28).frame(0, 0.0, solid(28, 28, (0, 0, 0, 0), "RGBA")).image == 255).all()


def test_half_transparency_is_mixed_with_white() -> None:
    image = Fitter(28).frame(0, 0.0, solid(28, 28, (0, 100, 200, 128), "RGBA")).image
    assert np.abs(image[0, 0].astype(int) - [127, 177, 227]).max() <= 1


@pytest.mark.slow
def test_a_small_file_with_many_pixels_takes_little_memory(tmp_path: Path) -> None:
    """40 megapixels of transparency are 160 MB; nothing is there of them more than twice."""
    Image.new("RGBA", (6300, 6300), (10, 200, 30, 120)).save(tmp_path / "bomb.png")
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from svggt.media.frames import Fitter, InputLimits\n"
        "from svggt.media.pictures import open_picture\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3\n"
        "before = peak()\n"
        "Fitter(28).frame(0, 0.0, open_picture(Path(sys.argv[1]), 'a', InputLimits()))\n"
        "print(peak() - before)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "bomb.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 450


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "I;16", "1"])
def test_any_mode_becomes_rgb(mode: str) -> None:
    picture = Image.new(mode, (56, 56))
    fitted = Fitter(28).frame(0, 0.0, picture).image
    assert fitted.shape == (28, 28, 3) and fitted.dtype == np.uint8


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    picture, exif = solid(60, 30), Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert open_picture(tmp_path / "turned.jpg", "turned.jpg", LIMITS).size == (30, 60)


def test_heic_is_read(tmp_path: Path) -> None:
    solid(64, 48).save(tmp_path / "a.heic")
    opened = open_picture(tmp_path / "a.heic", "a.heic", LIMITS)
    assert opened.size == (64, 48)
    assert np.allclose(np.asarray(opened.convert("RGB")).mean((0, 1)), (200, 30, 30), atol=8)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kB that decodes to a huge picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + width // 8) * height), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(16_000, 16_000))
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    with pytest.raises(BadInput, match="too many pixels"):
        open_picture(path, "bomb.png", LIMITS)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"<svg/>", b"GIF89a" + bytes(50), b"BM" + bytes(99)]
)
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="JPEG, PNG, WebP, HEIC, AVIF, TIFF or GIF"):
        open_picture(path, "x.jpg", LIMITS)


@pytest.mark.parametrize("size", [(1, 600), (60_000, 100)])
def test_a_line_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    """Fitted to a width, a picture of one pixel's width would be gigabytes high."""
    solid(*size).save(tmp_path / "line.png")
    with pytest.raises(BadInput, match="Crop it"):
        open_picture(tmp_path / "line.png", "line.png", LIMITS)


def test_a_truncated_picture_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)).save(
        buffer, "JPEG"
    )
    path = tmp_path / "cut.jpg"
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    with pytest.raises(BadInput, match="damaged"):
        open_picture(path, "cut.jpg", LIMITS)
