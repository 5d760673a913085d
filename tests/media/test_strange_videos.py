"""Videos as people have them: damaged, joined, mirrored, with covers, of odd pixels."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace

from svggt.media.clips import open_clip
from svggt.media.frames import Frame, InputLimits
from tests.conftest import DATA

FILES = DATA / "files"


def decode(path: Path, rate: float = 10.0) -> tuple[list[Frame], list[str]]:
    notes: list[str] = []
    clip = open_clip([path], 224, rate, InputLimits())
    return list(clip.frames(note=notes.append)), notes


@pytest.mark.parametrize("name", ["damaged_packet_h264.mp4", "damaged_packet_mjpeg.avi"])
def test_a_damaged_packet_costs_itself_alone(name: str) -> None:
    frames, (note,) = decode(FILES / name)
    assert len(frames) == 38
    assert frames[-1].time_s == pytest.approx(3.9, abs=0.02)  # in time
    assert "2 frames are damaged" in note and "near 1." in note


def test_what_comes_before_a_first_picture_is_left_out(tmp_path: Path) -> None:
    """A recording that begins in the middle of a stream: its first whole picture comes late."""
    source, path = tmp_path / "whole.mkv", tmp_path / "late.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("h264", rate=10, options={"g": "8", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 112, 84, "yuv420p"
        noise = np.random.default_rng(0)
        for number in range(20):
            pixels = noise.integers(0, 255, (84, 112, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(source)) as whole, av.open(str(path), "w") as late:
        film = whole.streams.video[0]
        out = late.add_stream_from_template(film)
        for number, packet in enumerate(p for p in whole.demux(film) if p.dts is not None):
            if number:  # the keyframe is missing
                packet.stream = out
                late.mux(packet)
    frames, _ = decode(path)
    assert len(frames) >= 12


def test_joined_recordings_have_one_rising_clock() -> None:
    frames, (note,) = decode(FILES / "two_recordings_appended.webm")
    times = [frame.time_s for frame in frames]
    assert len(frames) == 40 and (np.diff(times) > 0).all()
    assert times[-1] == pytest.approx(3.9, abs=0.1) and "put in order" in note


def test_a_clock_that_leaps_is_put_right(tmp_path: Path) -> None:
    path = tmp_path / "leap.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 112, 84, "yuv420p"
        for number in range(20):
            pixels = np.full((84, 112, 3), 10 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts = number + (12_000 if number >= 10 else 0)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    frames, (note,) = decode(path)
    assert len(frames) == 20 and frames[-1].time_s == pytest.approx(1.9, abs=0.05)
    assert "put in order" in note


def test_a_cover_is_not_the_film() -> None:
    frames, notes = decode(FILES / "cover_art_first.mp4")
    assert len(frames) == 40 and notes == []


def test_pixels_that_are_no_squares_become_squares() -> None:
    frames, _ = decode(FILES / "anamorphic_sar2.mp4")
    height, width = frames[0].grey.shape
    assert width / height == pytest.approx(320 / 240, rel=0.01)


def test_a_mirrored_video_is_shown_as_players_do() -> None:
    """In storage the corner at the top left is red."""
    (frame, *_), _ = decode(FILES / "mirrored_hflip.mp4")
    height, width, _ = frame.image.shape
    left, right = (
        frame.image[: height // 10, columns].reshape(-1, 3).mean(axis=0)
        for columns in (slice(0, width // 10), slice(-(width // 10), None))
    )
    assert right[0] > right[1] + 60 and not left[0] > left[1] + 60


def test_hd_without_a_tag_is_bt709(tmp_path: Path) -> None:
    """The same stored numbers mean other colours by another matrix; HD means BT.709."""
    seen = {}
    for tag in (Colorspace.ITU709, None):
        path = tmp_path / f"{tag}.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("h264", rate=10, options={"qp": "1"})
            stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
            if tag is not None:
                stream.codec_context.colorspace = tag
            frame = av.VideoFrame(1280, 720, "yuv420p")
            for plane, value in zip(frame.planes, (90, 90, 200), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts = 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
        seen[tag] = decode(path)[0][0].image.mean(axis=(0, 1))
    assert np.abs(seen[None] - seen[Colorspace.ITU709]).max() < 3


def test_an_interlaced_frame_has_no_combs(tmp_path: Path) -> None:
    """Two fields of different moments: stripes where one shows a bar and the other does not."""
    path = tmp_path / "combs.ts"
    pixels = np.zeros((240, 320, 3), np.uint8)
    pixels[::2, :160] = 255
    pixels[1::2, 160:] = 255
    with av.open(str(path), "w") as container:
        options = {"flags": "+ildct+ilme", "qmin": "1", "qmax": "2"}
        stream = container.add_stream("mpeg2video", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        if not next(container.decode(video=0)).interlaced_frame:
            pytest.skip("this encoder makes nothing interlaced")
    (frame, *_), _ = decode(path, 25.0)
    left, right = frame.grey[20:-20, 60:200], frame.grey[20:-20, -200:-60]
    assert left.mean() > 200 and right.mean() < 55
    assert left.std() < 30 and right.std() < 30


def test_the_rest_of_a_clip_that_was_cut_in_transfer_is_used(tmp_path: Path) -> None:
    source, path = FILES / "two_recordings_appended.webm", tmp_path / "cut.webm"
    path.write_bytes(source.read_bytes()[:60_000])
    frames, _ = decode(path)
    assert 3 <= len(frames) < 40
