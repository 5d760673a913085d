"""What is known of a lens: from a file of intrinsics, from EXIF, or given."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import ExifTags, Image

from svggt.errors import BadInput
from svggt.media import lens
from svggt.media.clips import open_clip
from svggt.media.frames import InputLimits


@pytest.mark.parametrize(
    "text", ["500 0 320\n0 500 240\n0 0 1\n", "500, 500, 320, 240", "500 500 320 240\n"]
)
def test_a_file_of_intrinsics_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "K.txt").write_text(text)
    assert lens.from_matrix(tmp_path / "K.txt") == pytest.approx(65.238, abs=1e-3)


@pytest.mark.parametrize("text", ["", "fx fy", "0 0 0 0", "1 2 3", "nan nan nan nan"])
def test_what_holds_no_intrinsics_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "K.txt").write_text(text)
    with pytest.raises(BadInput, match="holds no intrinsics"):
        lens.from_matrix(tmp_path / "K.txt")


def photograph(path: Path, size: tuple[int, int], equivalent: object) -> Path:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = equivalent
    Image.new("RGB", size).save(path, exif=exif)
    return path


def view_of(*paths: Path) -> float:
    return open_clip(paths, 28, None, InputLimits()).field_of_view


def test_exif_says_the_field_of_view(tmp_path: Path) -> None:
    """36 x 24 mm film: 36 mm see 53.1 degrees across it, and 36.9 where it is held upright."""
    assert view_of(photograph(tmp_path / "a.jpg", (90, 60), 36)) == pytest.approx(53.13, abs=0.01)
    assert view_of(photograph(tmp_path / "b.jpg", (60, 90), 36)) == pytest.approx(36.87, abs=0.01)


def test_pictures_of_several_lenses_say_nothing(tmp_path: Path) -> None:
    wide = photograph(tmp_path / "a.jpg", (90, 60), 26)
    assert view_of(wide, photograph(tmp_path / "b.jpg", (90, 60), 26)) > 60
    assert view_of(wide, photograph(tmp_path / "c.jpg", (90, 60), 52)) == 0
    Image.new("RGB", (90, 60)).save(tmp_path / "d.jpg")
    assert view_of(wide, tmp_path / "d.jpg") == 0


@pytest.mark.parametrize("equivalent", [0, 1, 65_000])
def test_what_no_lens_has_says_nothing(tmp_path: Path, equivalent: int) -> None:
    assert view_of(photograph(tmp_path / "a.jpg", (90, 60), equivalent)) == 0


def test_what_is_given_counts_before_what_a_file_says() -> None:
    assert (lens.known(70, 50), lens.known(0, 50), lens.known(0, 0)) == (70, 50, 0)


@pytest.mark.parametrize("degrees", [-5, 1, 180, float("nan"), float("inf")])
def test_what_no_pinhole_sees_is_refused(degrees: float) -> None:
    with pytest.raises(BadInput, match="No pinhole camera"):
        lens.known(degrees, 0)
