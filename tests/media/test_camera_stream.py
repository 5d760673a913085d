"""A camera's pictures: the newest wins, drops are counted, nothing waits for ever."""

from __future__ import annotations

import threading
import time

import pytest

from svggt.errors import BadInput
from svggt.media.camera_stream import CameraFeed, LiveClip, Received
from svggt.media.frames import InputLimits
from tests.media.files import jpeg


def never() -> bool:
    return False


def test_the_newest_picture_wins_and_drops_are_counted() -> None:
    camera = CameraFeed()
    for number in range(5):
        camera.show(float(number), bytes([number]))
    assert camera.take(never) == (4.0, b"\x04")
    assert camera.received == Received(made=5, dropped=4)
    camera.show(5.0, b"x", missed=3)  # that the browser did not send
    assert camera.take(never) == (5.0, b"x")
    assert camera.received == Received(made=9, dropped=7)


def test_frames_come_as_pictures_do() -> None:
    camera = CameraFeed()
    frames = LiveClip(camera, 84, InputLimits()).frames()
    for number in range(3):
        camera.show(100.0 + number, jpeg(number))
        frame = next(frames)
        assert (frame.number, frame.time_s) == (number, float(number))
        assert frame.image.shape == (56, 84, 3)
    camera.end()
    assert next(frames, None) is None


def test_frames_go_on_after_those_of_an_earlier_camera() -> None:
    """Numbers, times and size do, whatever the new camera sends."""
    camera = CameraFeed()
    camera.show(5.0, jpeg(0))
    first = next(LiveClip(camera, 84, InputLimits()).frames())
    later = LiveClip(again := CameraFeed(), 84, InputLimits(max_frames=3), after=first)
    frames = later.frames()
    for number in range(2):
        again.show(70.0 + 2 * number, jpeg(1 + number, (48, 64)))
        frame = next(frames)
        assert frame.number == 1 + number and frame.time_s == 2.0 * number
        assert frame.image.shape == first.image.shape and frame.grey.shape == first.grey.shape
    assert next(frames, None) is None and later.is_cut(3)


def test_a_picture_that_stands_still_is_no_frame() -> None:
    """For a second; the same picture ten times a second."""
    camera, taken = CameraFeed(), []
    clip = LiveClip(camera, 84, InputLimits())

    def run() -> None:
        taken.extend(clip.frames())

    thread = threading.Thread(target=run)
    thread.start()
    for number in range(9):
        camera.show(0.1 * number, jpeg(0))
        while camera._newest is not None:
            time.sleep(0.005)
    camera.end()
    thread.join()
    assert len(taken) == 1 and camera.received.made == 9


def test_a_stopped_run_waits_for_no_picture() -> None:
    camera, stop = CameraFeed(), threading.Event()
    frames = LiveClip(camera, 84, InputLimits()).frames(stop.is_set)
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    assert next(frames, None) is None
    assert time.monotonic() - began < 5


def test_frames_are_limited() -> None:
    camera = CameraFeed()
    clip = LiveClip(camera, 84, InputLimits(max_frames=1))
    camera.show(0.0, jpeg(0))
    assert len(list(clip.frames())) == 1
    assert clip.is_cut(1)


@pytest.mark.parametrize("picture", [b"no picture", b"", jpeg(0)[:200]])
def test_what_is_no_picture_gets_a_sentence(picture: bytes) -> None:
    camera = CameraFeed()
    camera.show(0.0, picture)
    with pytest.raises(BadInput, match="camera"):
        next(LiveClip(camera, 84, InputLimits()).frames())


def test_a_camera_that_never_came_gets_a_sentence() -> None:
    camera = CameraFeed()
    camera.end()
    with pytest.raises(BadInput, match="No picture came"):
        next(LiveClip(camera, 84, InputLimits()).frames())
