"""Clips: real videos made here with PyAV, decoded lazily, upright and at their own pace."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from svggt.errors import BadInput, Busy
from svggt.media import clips, sandbox
from svggt.media.clips import open_clip
from svggt.media.examples import EXAMPLES
from svggt.media.frame_selection import AtRate
from svggt.media.frames import Fitter, InputLimits
from svggt.media.video import frames_of
from tests.media.files import write_video

LIMITS = InputLimits()


def decode(path: Path, rate: float, limits: InputLimits = LIMITS):
    clip = open_clip([path], 28, rate, limits)
    return clip, list(clip.frames())


def test_the_rate_asked_for_is_taken(tmp_path: Path) -> None:
    clip, frames = decode(write_video(tmp_path / "a.mp4"), 10.0)
    assert clip.total == len(frames) == 10
    assert np.allclose([f.time_s for f in frames], np.arange(10) / 10, atol=0.02)
    assert [f.number for f in frames] == list(range(10))


def test_no_more_than_a_video_has(tmp_path: Path) -> None:
    assert len(decode(write_video(tmp_path / "a.mp4", count=7), 500.0)[1]) == 7


def test_a_long_clip_is_cut(tmp_path: Path) -> None:
    clip, frames = decode(write_video(tmp_path / "a.mp4"), 30.0, InputLimits(max_frames=4))
    assert clip.total == len(frames) == 4


def test_a_variable_rate_keeps_its_pace(tmp_path: Path) -> None:
    times = [0, 0.1, 0.2, 0.3, 1.3, 2.3, 2.4, 2.5, 2.6, 3.3]
    _, frames = decode(write_video(tmp_path / "vfr.mp4", count=10, times=times), 1.0)
    assert np.allclose([f.time_s for f in frames], [0, 1.3, 2.3, 3.3], atol=0.02)


def test_a_gap_is_not_made_up_for(tmp_path: Path) -> None:
    """After a pause frames come at their rate again, not in a burst."""
    times = [0, 0.1, 6.0, 6.1, 6.2, 6.3, 6.9, 7.1, 7.3, 8.0]
    _, frames = decode(write_video(tmp_path / "gap.mp4", count=10, times=times), 1.0)
    assert np.allclose([f.time_s for f in frames], [0, 6.0, 6.9, 8.0], atol=0.02)


def test_the_total_is_what_comes() -> None:
    for example in EXAMPLES:
        rate = example.frames_per_second
        clip, frames = decode(example.clip, rate)
        assert clip.total == len(frames)


def test_a_script_of_other_files_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4")
    script = tmp_path / "list.mp4"
    script.write_text("ffconcat version 1.0\nfile a.mp4\n")
    with pytest.raises(BadInput, match="not a video"):
        open_clip([script], 28, 2.0, LIMITS)


def test_the_probe_works_from_any_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(Path("a.mp4"))
    assert open_clip([Path("a.mp4")], 28, 2.0, LIMITS).total == 2


def test_a_busy_machine_is_no_bad_video(tmp_path: Path, monkeypatch) -> None:
    """Neither where others are looked at, nor where the look itself does not get on."""
    path = write_video(tmp_path / "a.mp4")
    clips._header.cache_clear()
    monkeypatch.setattr(clips, "_PATIENCE_SECONDS", 0.2)
    with monkeypatch.context() as patched:
        patched.setattr(clips, "_CHECKS", threading.BoundedSemaphore(1))
        clips._CHECKS.acquire()
        with pytest.raises(Busy, match=r"busy.*Try again"):
            open_clip([path], 28, 2.0, LIMITS)
    with monkeypatch.context() as patched:
        stuck = tmp_path / "stuck"
        stuck.write_text("#!/bin/sh\nexec sleep 60\n")
        stuck.chmod(0o700)
        patched.setattr(sys, "executable", str(stuck))
        patched.setattr(sandbox, "_HELPER", sandbox._Helper())
        patched.setattr(sandbox, "_GREETING_SECONDS", 0.2)
        with pytest.raises(Busy, match=r"Try again"):
            open_clip([path], 28, 2.0, LIMITS)
    monkeypatch.setattr(clips, "_PATIENCE_SECONDS", 60.0)
    assert open_clip([path], 28, 2.0, LIMITS).total == 2


def test_a_file_is_looked_at_once_until_it_changes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    clips._header.cache_clear()
    for _ in range(3):
        open_clip([path], 28, 2.0, LIMITS)
    assert clips._header.cache_info().misses == 1
    path.write_bytes(b"no video any more")
    with pytest.raises(BadInput, match="not a video"):
        open_clip([path], 28, 2.0, LIMITS)


def test_frames_beyond_the_longest_time_are_left_out(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", count=30)  # one second
    taken = frames_of(path, Fitter(28).frame, AtRate(30.0), InputLimits(max_seconds=0.5))
    assert len(list(taken)) == 16


def test_every_picture_is_checked_before_the_first_is_drawn(tmp_path: Path) -> None:
    Image.new("RGB", (28, 28)).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"no picture")
    clip = open_clip(list(tmp_path.iterdir()), 28, 2.0, LIMITS)
    assert clip.names == ("1.png",) and clip.total == 1 and "2.png" in clip.notes[0]
    Image.new("1", (10_400, 10_000)).save(tmp_path / "3.png")
    with pytest.raises(BadInput, match=r"3\.png.*megapixels"):
        open_clip(list(tmp_path.iterdir()), 28, 2.0, LIMITS)


def test_a_clip_says_whether_it_is_cut(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    assert open_clip([path], 28, 30.0, InputLimits(max_frames=4)).cut
    assert not open_clip([path], 28, 2.0, LIMITS).cut
    by_motion = open_clip([path], 28, None, InputLimits(max_frames=2))
    taken = len(list(by_motion.frames()))
    assert by_motion.total is None and by_motion.is_cut(taken) == (taken == 2)


def rotate(path: Path) -> None:
    """Writes a quarter turn into the track header's display matrix, as phones do."""
    data = path.read_bytes()
    one, unit = (0x10000).to_bytes(4, "big"), (0x40000000).to_bytes(4, "big")
    zero, minus = bytes(4), (-0x10000 & 0xFFFFFFFF).to_bytes(4, "big")
    identity = one + zero * 3 + one + zero * 3 + unit
    turned = zero + one + zero + minus + zero * 4 + unit
    at = data.index(identity, data.index(b"tkhd"))
    path.write_bytes(data[:at] + turned + data[at + len(identity) :])


def test_a_phone_video_is_upright(tmp_path: Path) -> None:
    """Rotated 90 degrees clockwise for display: the red left half must come out on top."""
    path = write_video(tmp_path / "phone.mov")
    rotate(path)
    _, frames = decode(path, 5.0)
    image = frames[-1].image.astype(int)
    assert image.shape == (28, 28, 3)  # 64 x 96, cropped to a square
    top, bottom = image[:8].mean((0, 1)), image[-8:].mean((0, 1))
    assert top[0] > top[1] + 60 and abs(bottom[0] - bottom[1]) < 20


@pytest.mark.parametrize(("trc", "primaries"), [(18, 9), (16, 9)], ids=["HLG", "PQ"])
def test_ten_bit_hevc_is_mapped_to_sdr(tmp_path: Path, trc: int, primaries: int) -> None:
    transfer = {18: "arib-std-b67", 16: "smpte2084"}[trc]
    path = tmp_path / "hdr.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p10le"
        colours = f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"
        stream.options = {"x265-params": f"log-level=error:{colours}"}
        ramp = np.tile(np.linspace(0, 200, 96, dtype=np.uint8)[None, :, None], (64, 1, 3))
        for i in range(6):
            frame = av.VideoFrame.from_ndarray(ramp, format="rgb24")
            frame = frame.reformat(format="yuv420p10le", dst_colorspace=9)
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    _, frames = decode(path, 30.0)
    row = frames[0].image[7, :, 0].astype(int)
    with av.open(str(path)) as container:
        copied = next(container.decode(video=0)).to_ndarray(format="rgb24")[32, :: 96 // 28, 0]
    assert len(frames) == 6 and (np.diff(row) >= -3).all() and row[0] < 10
    assert np.abs(row - copied[:28].astype(int)).max() > 20  # mapped, not copied


@pytest.mark.parametrize(
    ("codec", "suffix"), [("libx265", "mp4"), ("libvpx-vp9", "webm"), ("mpeg4", "avi")]
)
def test_codecs(tmp_path: Path, codec: str, suffix: str) -> None:
    path = write_video(tmp_path / f"a.{suffix}", codec=codec, count=10)
    assert len(decode(path, 30.0)[1]) >= 9


def test_a_cut_off_video_is_good_up_to_there(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", codec="mpeg4", count=30, size=(320, 240))
    data = path.read_bytes()
    path.write_bytes(data[: int(0.6 * len(data))])
    frames = decode(path, 30.0)[1]
    assert 3 < len(frames) < 30


@pytest.mark.parametrize(
    "content",
    [b"", b"not a video", bytes(5000), b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n"],
)
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="not a video"):
        open_clip([path], 28, 2.0, LIMITS)


def test_a_huge_video_is_refused_by_its_header(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", size=(640, 480), count=2)
    with pytest.raises(BadInput, match="640 × 480"):
        open_clip([path], 28, 2.0, InputLimits(max_video_pixels=100_000))


def test_a_long_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Cut it"):
        open_clip([write_video(tmp_path / "a.mp4")], 28, 2.0, InputLimits(max_seconds=0.5))


def test_pictures_come_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 9, 1, 2):
        Image.new("RGB", (28, 28), (number, 0, 0)).save(tmp_path / f"p{number}.png")
    clip = open_clip(list(tmp_path.iterdir()), 28, 2.0, LIMITS)
    assert [f.image[0, 0, 0] for f in clip.frames()] == [1, 2, 9, 10]
    assert clip.total == 4


def test_mixed_sizes_become_one(tmp_path: Path) -> None:
    Image.new("RGB", (640, 480)).save(tmp_path / "1.png")
    Image.new("RGB", (480, 640)).save(tmp_path / "2.jpg")
    frames = open_clip(list(tmp_path.iterdir()), 56, 2.0, LIMITS).frames()
    assert {f.image.shape for f in frames} == {(42, 56, 3)}


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([], "No file"),
        (["a.txt"], "neither"),
        (["a.mp4", "b.mp4"], "one video"),
        (["a.mp4", "b.png"], "one video"),
    ],
)
def test_wrong_choices_get_a_sentence(tmp_path: Path, names: list[str], sentence: str) -> None:
    paths = [tmp_path / name for name in names]
    for path in paths:
        path.write_bytes(b"x")
    with pytest.raises(BadInput, match=sentence):
        open_clip(paths, 28, 2.0, LIMITS)


def test_too_many_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(bytes(2000))
    with pytest.raises(BadInput, match="limit"):
        open_clip([path], 28, 2.0, InputLimits(max_bytes=1000))


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_of_nothing_is_refused(tmp_path: Path, rate: float) -> None:
    with pytest.raises(BadInput, match="more than 0"):
        open_clip([tmp_path / "a.mp4"], 28, rate, LIMITS)
