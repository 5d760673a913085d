"""Black bars are cut off and told, whatever clip they come in; what a picture shows never is."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from svggt.media.bars import Bars
from svggt.media.camera_stream import CameraFeed, LiveClip
from svggt.media.clips import open_clip
from svggt.media.frames import InputLimits

LIMITS = InputLimits()
WIDTH, HEIGHT = 320, 180


def scene(width: int, height: int, seed: int = 0) -> Image.Image:
    """Blotches of all brightnesses, a few of them dark."""
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def framed(shown: Image.Image, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    """In the middle of black."""
    picture = Image.new("RGB", size, (3, 3, 3))
    picture.paste(shown, ((size[0] - shown.width) // 2, (size[1] - shown.height) // 2))
    return picture


def as_jpeg(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=75)
    return Image.open(buffer).convert("RGB")


@pytest.mark.parametrize("size", [(320, 136), (240, 180), (102, 180), (280, 140)])
def test_what_is_between_bars_is_left(size: tuple[int, int]) -> None:
    for seed in range(5):
        cut = Bars(lambda _: None).cut(as_jpeg(framed(scene(*size, seed))))
        for whole, left in zip(size, cut.size, strict=True):
            assert left == whole or whole - 8 <= left <= whole - 2  # without blurred edges


def _dark_room() -> Image.Image:
    return scene(WIDTH, HEIGHT).point(lambda value: value // 12)


def _vignette() -> Image.Image:
    y = np.abs(np.linspace(-1, 1, HEIGHT))[:, None, None]
    return Image.fromarray((np.asarray(scene(WIDTH, HEIGHT)) * (1 - y) ** 2).astype(np.uint8))


def _thing_on_black() -> Image.Image:
    picture = Image.new("RGB", (WIDTH, HEIGHT))
    ImageDraw.Draw(picture).ellipse((90, 40, 230, 140), fill=(200, 180, 90))
    return picture


def _one_bar() -> Image.Image:
    picture = scene(WIDTH, HEIGHT)
    picture.paste((0, 0, 0), (0, 150, WIDTH, HEIGHT))
    return picture


@pytest.mark.parametrize(
    "picture",
    [
        scene(WIDTH, HEIGHT),
        Image.new("RGB", (WIDTH, HEIGHT)),  # a clip that begins in black
        _dark_room(),
        _vignette(),
        _thing_on_black(),
        _one_bar(),  # no pair
        framed(scene(320, 178)),  # no bar: too thin
        framed(scene(320, 20)),  # too little would be left
        Image.new("L", (3, 2)),
        Image.new("RGB", (1, 1)),
    ],
)
def test_what_is_no_bar_stays(picture: Image.Image) -> None:
    notes = list[str]()
    assert Bars(notes.append).cut(picture) is picture and notes == []


def test_the_first_picture_decides_but_nothing_that_is_shown_is_cut() -> None:
    notes, narrow = list[str](), framed(scene(320, 136))
    bars = Bars(notes.append)
    size = bars.cut(narrow).size
    subtitled = narrow.copy()
    ImageDraw.Draw(subtitled).text((120, 164), "a word", fill=(255, 255, 255))
    assert bars.cut(subtitled).size == bars.cut(narrow).size == size
    for other in (scene(WIDTH, HEIGHT), framed(scene(100, 60), (120, 90))):
        assert bars.cut(other) is other
    assert notes == ["Black bars above and below are cut off."]


def _film(path: Path, pictures: list[NDArray[np.uint8]]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_a_film_is_seen_without_its_bars_and_so_are_its_originals(tmp_path: Path) -> None:
    shown = [scene(320, 136, seed) for seed in range(3)]
    film = _film(tmp_path / "film.mp4", [np.asarray(framed(each)) for each in shown])
    clip, notes = open_clip([film], 224, 10.0, LIMITS), list[str]()
    coming, originals = clip.frames(note=notes.append), list(clip.originals())
    frames = [next(coming), next(coming)]
    assert notes == ["Black bars above and below are cut off."]  # whoever stops then was told
    frames += coming
    for whole, frame, original in zip(shown, frames, originals, strict=True):
        assert abs(original.shape[0] - 132) <= 4 and original.shape[1] == 320
        assert abs(frame.grey.shape[0] - 480 * original.shape[0] / 320) <= 1
        middle = whole.crop((0, 2, 320, 134)).resize((224, frame.image.shape[0]))
        assert np.abs(np.asarray(middle, float) - frame.image).mean() < 10  # not 60: it is the same


def test_a_camera_is_seen_without_its_bars() -> None:
    camera, notes = CameraFeed(), list[str]()
    frames = LiveClip(camera, 224, InputLimits(max_frames=1)).frames(note=notes.append)
    buffer = io.BytesIO()
    framed(scene(240, 180)).save(buffer, "JPEG")
    camera.show(0.0, buffer.getvalue())
    (frame,) = frames
    assert abs(frame.grey.shape[0] - 480 * 180 / 236) <= 8
    assert notes == ["Black bars left and right are cut off."]
