"""Black bars are cut off and told, whatever clip they come in; what a picture shows never is."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageDraw

from svggt.media import lens
from svggt.media.bars import Shown, shown_by
from svggt.media.clips import Clip, open_clip
from svggt.media.frames import InputLimits
from svggt.settings import StreamSettings
from svggt.store.recording import About, Recording
from svggt.view_options import ViewOptions

LIMITS = InputLimits()
SIZE = WIDTH, HEIGHT = 320, 180
ABOVE_AND_BELOW = "Black bars above and below are cut off."


def scene(width: int, height: int, seed: int = 0) -> Image.Image:
    """Blotches of all brightnesses, a few of them dark."""
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def framed(shown: Image.Image, size: tuple[int, int] = SIZE) -> Image.Image:
    """In the middle of black."""
    picture = Image.new("RGB", size, (3, 3, 3))
    picture.paste(shown, ((size[0] - shown.width) // 2, (size[1] - shown.height) // 2))
    return picture


def as_jpeg(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=60)
    return Image.open(buffer).convert("RGB")


@pytest.mark.parametrize(
    ("size", "whole"),
    [
        *(((320, 136), SIZE), ((240, 180), SIZE), ((102, 180), SIZE), ((280, 140), SIZE)),
        *(((640, 320), (640, 360)), ((1280, 600), (1280, 720))),
    ],
)
def test_what_is_between_bars_is_left(size: tuple[int, int], whole: tuple[int, int]) -> None:
    for seed in range(4):
        clip = [as_jpeg(framed(scene(*size, 9 * seed + n), whole)) for n in range(5)]
        shown = shown_by(clip)
        assert shown is not None
        (cut,) = {shown.cut(picture).size for picture in clip}  # all alike
        for between, left in zip(size, cut, strict=True):
            assert left == between or between - 10 <= left <= between - 2  # no blurred edge


def _one_bar() -> Image.Image:
    picture = scene(WIDTH, HEIGHT)
    picture.paste((0, 0, 0), (0, 150, WIDTH, HEIGHT))
    return picture


def _vignette() -> Image.Image:
    y = np.abs(np.linspace(-1, 1, HEIGHT))[:, None, None]
    return Image.fromarray((np.asarray(scene(WIDTH, HEIGHT)) * (1 - y) ** 2).astype(np.uint8))


def _thing_on_black() -> Image.Image:
    picture = Image.new("RGB", SIZE)
    ImageDraw.Draw(picture).ellipse((90, 40, 230, 140), fill=(200, 180, 90))
    return picture


@pytest.mark.parametrize(
    "pictures",
    [
        [scene(*SIZE)],
        [Image.new("RGB", SIZE)],
        [scene(*SIZE).point(lambda value: value // 12)],  # a dark room
        [_vignette()],
        [_thing_on_black()],
        [_one_bar()],  # no pair
        [framed(scene(320, 178))],  # too thin for a bar
        [framed(scene(320, 20))],  # too little would be left
        [framed(scene(1600, 56), (1600, 200))],  # and that would be a line
        [framed(scene(320, 136)), scene(*SIZE), scene(*SIZE)],  # a film that grows
        [framed(scene(80, 180)), scene(*SIZE, 1), scene(*SIZE, 2)],  # a bright door in the dark
        [Image.new("L", (3, 2))],
        [],
    ],
)
def test_what_is_no_bar_all_along_stays(pictures: list[Image.Image]) -> None:
    assert shown_by(pictures) is None


def test_what_would_be_cut_to_nothing_stays() -> None:
    tiny = framed(scene(1, 3), (1, 5))
    assert Shown(0.2, 0.0, 0.2, 1.0, 0.8).cut(tiny) is tiny


def test_subtitles_a_black_beginning_and_dark_moments_hide_no_bar() -> None:
    subtitled = framed(scene(320, 136, 1))
    ImageDraw.Draw(subtitled).text((120, 164), "a word", fill=(255, 255, 255))
    clip = [Image.new("RGB", SIZE), *(framed(scene(320, 136, n)) for n in range(2, 8)), subtitled]
    shown = shown_by(clip)
    assert shown is not None and shown.sentence == ABOVE_AND_BELOW
    assert {shown.cut(picture).size for picture in clip} == {shown.cut(subtitled).size}
    other = scene(120, 90)  # of another shape
    assert shown.cut(other) is other


@pytest.mark.parametrize(
    "edges", [(0.4, 0, 0.6, 1), (-0.1, 0, 1, 1), (0, 0, 1, 1.2), (0.3, 0, 0.2, 1), (0, 0, 1, 0)]
)
def test_a_decoder_that_says_nonsense_of_bars_is_not_heard(edges) -> None:
    with pytest.raises(ValueError, match="between its bars"):
        Shown(1.5, *edges)


def film(path: Path, pictures: list[Image.Image]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    return path


def decoded(clip: Clip) -> list[str]:
    """What is said of a clip whose frames are all of one size and hold no white."""
    notes = list[str]()
    frames, originals = list(clip.frames(note=notes.append)), list(clip.originals())
    assert len({frame.image.shape for frame in frames}) == 1
    assert len({original.shape for original in originals}) == 1
    for frame, original in zip(frames, originals, strict=True):
        high, wide = original.shape[:2]
        uncut = min(high, wide) if not clip.whole and high > wide else high
        assert abs(frame.grey.shape[0] - frame.grey.shape[1] * uncut / wide) <= 10
        edges = np.concatenate([frame.image[:2].ravel(), frame.image[-2:].ravel()])
        assert 40 < edges.mean() < 220  # neither bars nor padding
    return notes


def test_a_film_is_seen_without_its_bars_and_so_are_its_originals(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", SIZE), *(framed(scene(320, 136, n)) for n in range(12))]
    path = film(tmp_path / "film.mp4", pictures)
    clip = open_clip([path], 224, 10.0, LIMITS)
    frames = list(clip.frames())
    assert clip.notes == (ABOVE_AND_BELOW,) and len(frames) == 13
    assert {original.shape[:2] for original in clip.originals()} <= {(130, 320), (132, 320)}
    shown = scene(320, 136, 4).crop((0, 2, 320, 134)).resize((224, frames[5].image.shape[0]))
    assert np.abs(np.asarray(shown, float) - frames[5].image).mean() < 10  # others: 60


def test_a_film_of_a_run_before_bars_were_cut_off_is_decoded_as_it_was(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", [framed(scene(320, 136, n)) for n in range(4)])
    clip, recording = open_clip([path], 224, 10.0, LIMITS), Recording(tmp_path / "run")
    recording.begin(About(StreamSettings(), clip, 9, ViewOptions(), 0.0))
    kept = recording.about
    assert kept is not None and kept.clip is not None and kept.clip.shown == clip.shown
    written = json.loads((recording.folder / "run.json").read_bytes())
    del written["clip"]["shown"]
    (recording.folder / "run.json").write_text(json.dumps(written))
    before = recording.about
    assert before is not None and before.clip is not None
    assert [next(c.frames()).image.shape[0] for c in (before.clip, clip)] in ([126, 84], [126, 98])


@pytest.mark.parametrize("whole", [False, True])
def test_pictures_of_every_mode_are_cut_alike(tmp_path: Path, whole: bool) -> None:
    pictures = [framed(scene(320, 136, n)) for n in range(6)]
    pictures[0].save(tmp_path / "film.gif", save_all=True, append_images=pictures[1:])
    for number, picture in enumerate(pictures):
        as_jpeg(picture).resize((1920, 1080)).save(tmp_path / f"{number}.jpg", quality=85)
    pictures[2].convert("RGBA").resize((1920, 1080)).save(tmp_path / "2.png")
    (tmp_path / "2.jpg").unlink()
    for paths in ([tmp_path / "film.gif"], sorted(tmp_path.glob("*.[jp][pn]g"))):
        assert decoded(open_clip(paths, 224, None, LIMITS, whole)) == [ABOVE_AND_BELOW]


@pytest.mark.parametrize("whole", [False, True])
def test_an_upright_clip_in_a_wide_one_is_told_to_be_tall(tmp_path: Path, whole: bool) -> None:
    path = film(tmp_path / "phone.mp4", [framed(scene(102, 180, n)) for n in range(6)])
    cut, *more = decoded(open_clip([path], 224, 10.0, LIMITS, whole))
    assert cut == "Black bars left and right are cut off."
    assert ["square" in sentence for sentence in more] == ([] if whole else [True])


def test_a_known_lens_sees_less_between_bars(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 36
    for number in range(4):
        path = tmp_path / f"{number}.jpg"
        framed(scene(240, 180, number)).save(path, quality=95, exif=exif)
    clip = open_clip(sorted(tmp_path.iterdir()), 224, None, LIMITS)
    across = math.hypot(36, 24) / 36 / math.hypot(*SIZE)  # tangents a pixel
    expected = 2 * math.degrees(math.atan(across * 240 / 2))
    assert clip.field_of_view == pytest.approx(expected, abs=0.7)
    assert lens.known(60.0, clip.field_of_view, clip.across) == pytest.approx(
        2 * math.degrees(math.atan(0.75 * math.tan(math.radians(30)))), abs=0.7
    )
