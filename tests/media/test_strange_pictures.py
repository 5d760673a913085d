"""Pictures as people have them: broken EXIF, deep greys, strangers between them, half files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svggt.errors import BadInput
from svggt.media.clips import Clip, open_clip
from svggt.media.frames import Frame, InputLimits
from svggt.media.pictures import open_picture
from tests.conftest import DATA

FILES = DATA / "files"
LIMITS = InputLimits()


def opened(folder: str) -> tuple[Clip, list[Frame], list[str]]:
    notes: list[str] = []
    clip = open_clip(sorted((FILES / folder).iterdir()), 224, None, LIMITS)
    return clip, list(clip.frames(note=notes.append)), notes


@pytest.mark.parametrize(
    "path", [*sorted((FILES / "bad_exif").iterdir()), FILES / "exif_struct_error.jpg"], ids=str
)
def test_orientation_never_fails_on_the_rest(path: Path) -> None:
    with Image.open(path) as stored:
        width, height = stored.size
    shown = open_picture(path, path.name, LIMITS)
    assert shown.size == (height, width)  # orientation 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_shown_upright(orientation: int) -> None:
    upright = np.zeros((20, 30, 3), np.uint8)
    upright[:10, :15] = 255  # bright at the top left
    back = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright), 7: np.rot90(upright[:, ::-1], 3),
        8: np.rot90(upright, 3),
    }[orientation]  # fmt: skip
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(back)).save(buffer, "PNG", exif=exif)
    shown = open_picture(io.BytesIO(buffer.getvalue()), "a.png", LIMITS)
    assert np.array_equal(np.asarray(shown), upright)


def test_deep_greys_are_scaled_by_their_range_and_it_is_said() -> None:
    _, frames, (note,) = opened("gray16_png")
    assert "16 bits" in note and "first picture" in note
    for frame in frames:
        assert frame.image.std() > 20 and (frame.image == 255).mean() < 0.5
    assert frames[0].image.max() > 200 and frames[0].image.min() < 60


def test_one_range_holds_for_a_whole_clip(tmp_path: Path) -> None:
    """What does not change in the scene does not change in its pictures."""
    for number, brightest in enumerate((40_000, 60_000)):
        deep = np.full((56, 84), 10_000, np.uint16)
        deep[:20, :20], deep[-10:, -10:] = 20_000, brightest
        Image.fromarray(deep).save(tmp_path / f"{number}.png")
    first, second = open_clip(list(tmp_path.iterdir()), 84, None, LIMITS).frames()
    assert np.array_equal(first.image[:15, :15], second.image[:15, :15])


def test_what_is_no_picture_is_named_and_left_out() -> None:
    clip, frames, (note,) = opened("appledouble")
    assert len(frames) == len(clip.names) == clip.total
    assert not any(name.startswith((".", "Thumbs", "notes")) for name in clip.names)
    assert "Left out" in note and "notes.txt" in note


def test_hidden_files_alone_are_a_sentence() -> None:
    hidden = [path for path in (FILES / "appledouble").iterdir() if path.name.startswith(".")]
    with pytest.raises(BadInput, match="neither a video nor a picture"):
        open_clip(hidden, 224, None, LIMITS)


def test_half_a_picture_is_found_before_the_run_begins() -> None:
    clip, frames, (note,) = opened("one_truncated_jpg")
    assert len(frames) == 3 == clip.total and "Damaged and left out" in note
    everything = sorted(path.name for path in (FILES / "one_truncated_jpg").iterdir())
    (missing,) = set(everything) - set(clip.names)
    assert missing in note


def test_nothing_whole_is_a_sentence(tmp_path: Path) -> None:
    (half,) = (p for p in (FILES / "one_truncated_jpg").iterdir() if "3" in p.name)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(half.read_bytes()[:400])
    with pytest.raises(BadInput, match="All pictures are damaged"):
        open_clip(list(tmp_path.iterdir()), 28, None, LIMITS)


def test_order_is_natural_whatever_the_case(tmp_path: Path) -> None:
    clip, _, _ = opened("order_case")
    assert [name.lower().partition(".")[0] for name in clip.names] == [
        "photo 1", "photo 2", "photo 3", "photo 10",
    ]  # fmt: skip
    for name in ("x (1).jpg", "x.jpg", "x (10).jpg", "x (2).jpg"):
        Image.new("RGB", (28, 28)).save(tmp_path / name)
    names = open_clip(list(tmp_path.iterdir()), 28, None, LIMITS).names
    assert names == ("x.jpg", "x (1).jpg", "x (2).jpg", "x (10).jpg")


@pytest.mark.slow
def test_no_exif_block_leaks_an_error() -> None:
    """Mutated at random: a picture, or a sentence."""
    chance = np.random.default_rng(0)
    source = (FILES / "exif_struct_error.jpg").read_bytes()
    begins = source.index(b"Exif")
    for _ in range(600):
        data = bytearray(source)
        for _ in range(int(chance.integers(1, 8))):
            data[begins + int(chance.integers(0, 120))] = int(chance.integers(0, 256))
        try:
            assert open_picture(io.BytesIO(bytes(data)), "a.jpg", LIMITS).size[0] > 0
        except BadInput as error:
            assert "a.jpg" in str(error)
