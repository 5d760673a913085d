"""Decoders run in children that can take neither the machine nor anything on it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest
from PIL import Image

from svggt.errors import BadInput, Busy
from svggt.media import messages, sandbox
from svggt.media.camera_stream import CameraFeed, LiveClip
from svggt.media.clips import open_clip
from svggt.media.frames import Fitter, InputLimits
from svggt.media.messages import DecodeJob, PicturesJob
from svggt.media.pictures import open_picture
from tests.conftest import wait_for
from tests.media.files import write_pictures, write_video

LIMITS = InputLimits()
PICTURES = PicturesJob(paths=[], limits=LIMITS)


def children() -> list[psutil.Process]:
    """Of the helper: jobs under way."""
    return [child for helper in helpers() for child in helper.children()]


def helpers() -> list[psutil.Process]:
    """Processes that fork children."""
    living = (p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE)
    return [process for process in living if "svggt.media.decoder" in process.cmdline()]


def in_a_child(code: str, readable: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Runs code under a child's bounds."""
    start = (
        "from svggt.media import confinement, decoder as d\n"
        "confinement.leave_network_and_processes(); d._bound(2)\n"
        f"confinement.read_only_these({list(readable)!r})\n"
    )
    return subprocess.run(
        [sys.executable, "-c", start + code], capture_output=True, text=True, timeout=60
    )


def test_it_decodes_what_one_does_here(tmp_path: Path) -> None:
    path, *_ = paths = write_pictures(tmp_path / "clip", 3)
    frames = list(open_clip(paths, 28, None, LIMITS).frames())
    here = Fitter(28).frame(0, 0.0, open_picture(path, "a", LIMITS))
    assert np.array_equal(frames[0].image, here.image) and np.array_equal(frames[0].grey, here.grey)
    assert [frame.number for frame in frames] == [0, 1, 2]


def test_more_memory_than_its_share_is_not_had() -> None:
    done = in_a_child("bytearray(2 * d.MEMORY_BYTES)")
    assert "MemoryError" in done.stderr


@pytest.mark.slow
def test_more_time_than_its_share_is_not_had() -> None:
    assert in_a_child("while True: pass").returncode < 0  # killed


def test_no_file_is_written(tmp_path: Path) -> None:
    target = tmp_path / "a"
    done = in_a_child(f"open({str(target)!r}, 'wb', buffering=0).write(b'x')")
    assert done.returncode and (not target.exists() or not target.stat().st_size)


def test_no_network_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = in_a_child(
            f"import socket; socket.create_connection(('127.0.0.1', {port}), 2); print('met')"
        )
    assert "met" not in done.stdout and "PermissionError" in done.stderr


def test_no_process_is_reached_or_started() -> None:
    for code in (
        f"import os; os.kill({os.getpid()}, 0)",
        "import subprocess; subprocess.run(['true'])",
    ):
        assert "PermissionError" in in_a_child(code).stderr


def test_no_other_file_is_read(tmp_path: Path) -> None:
    """Of the disk only its own job's, what Python needs, and the system's libraries."""
    (tmp_path / "own").write_text("mine")
    (tmp_path / "other").write_text("secret")
    read = "print(open({!r}).read())"
    own = str(tmp_path / "own")
    assert "mine" in in_a_child(read.format(own), (own,)).stdout
    for other in (str(tmp_path / "other"), f"/proc/{os.getppid()}/environ", "/etc/passwd"):
        assert "PermissionError" in in_a_child(read.format(other), (own,)).stderr
    assert "PermissionError" in in_a_child(f"import os; os.listdir({str(tmp_path)!r})").stderr


def test_nothing_of_the_environment_is_known(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setattr(sandbox, "_HELPER", sandbox._Helper())
    with sandbox.running(PICTURES):
        wait_for(children)
        for child in [*children(), *(child.parent() for child in children())]:
            assert child is not None and "HF_TOKEN" not in child.environ()


def test_a_slow_reader_loses_no_frame(tmp_path: Path) -> None:
    """Also where a library has given all sockets a time-out, which makes them non-blocking."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(5.0)
    try:
        path = write_video(tmp_path / "a.mp4", count=60, size=(320, 240))
        frames = open_clip([path], 224, 30.0, LIMITS).frames()
        first = next(frames)
        time.sleep(0.5)  # the child waits for room
        assert [first.number, *(frame.number for frame in frames)] == list(range(60))
    finally:
        socket.setdefaulttimeout(before)


def test_a_job_ends_with_whoever_asked(tmp_path: Path) -> None:
    before = {child.pid for child in children()}
    frames = open_clip([write_video(tmp_path / "a.mp4", count=300)], 28, 30.0, LIMITS).frames()
    next(frames)
    assert {child.pid for child in children()} - before
    frames.close()  # pyright: ignore[reportAttributeAccessIssue]  # a generator
    wait_for(lambda: not {child.pid for child in children()} - before)


def test_a_child_that_dies_is_a_sentence(tmp_path: Path) -> None:
    before = {child.pid for child in children()}
    frames = open_clip([write_video(tmp_path / "a.mp4", count=300)], 28, 30.0, LIMITS).frames()
    next(frames)
    for child in children():
        if child.pid not in before:
            child.kill()
    with pytest.raises(BadInput, match="could not be decoded"):
        list(frames)


def test_a_helper_that_died_is_begun_again(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "clip", 1)
    assert len(list(open_clip(paths, 28, None, LIMITS).frames())) == 1
    for process in helpers():
        process.kill()
    assert len(list(open_clip(paths, 28, None, LIMITS).frames())) == 1


def test_a_slow_helper_ends_no_job(monkeypatch, tmp_path: Path) -> None:
    """On an overloaded machine a new job is told to wait; those under way go on."""
    frames = open_clip([write_video(tmp_path / "a.mp4", count=60)], 28, 30.0, LIMITS).frames()
    next(frames)
    monkeypatch.setattr(sandbox, "_GREETING_SECONDS", 0.3)
    (helper,) = helpers()
    helper.suspend()
    try:
        with pytest.raises(Busy, match="Try again"), sandbox.running(PICTURES):
            pass
    finally:
        helper.resume()
    assert len(list(frames)) == 59
    monkeypatch.undo()
    with sandbox.running(PICTURES):  # and new ones begin again
        assert helpers() == [helper]


@pytest.mark.parametrize(
    "message",
    [
        b"\xff\x00",
        msgspec.msgpack.encode(messages.Done()),
        msgspec.msgpack.encode(messages.DecodedPicture((9, 9), b"short")),
        msgspec.msgpack.encode(messages.DecodedPicture((-1, -3), b"abc" * 3)),
        msgspec.msgpack.encode(
            messages.DecodedFrame(
                0, 0.0, (14, 42), bytes(14 * 42 * 3), (160, 480), bytes(160 * 480)
            )
        ),
    ],
    ids=["noise", "too early", "short", "negative", "of another width"],
)
def test_a_child_is_not_believed(monkeypatch, message: bytes) -> None:
    """What a decoder that was taken over sends is checked, and no more than an error."""

    class Taken:
        def child(self) -> sandbox.Connection:
            ours, theirs = socket.socketpair()
            sandbox.Connection(theirs.detach()).send_bytes(message)
            return sandbox.Connection(ours.detach())

    monkeypatch.setattr(sandbox, "_HELPER", Taken())
    job = DecodeJob(paths=["a.mp4"], limits=LIMITS, names=["a"], width=28, rate=None, length_s=None)
    if b"Done" not in message:
        with pytest.raises(BadInput, match="could not be decoded"):
            list(sandbox.frames(job, lambda: False))
    with pytest.raises(BadInput, match="could not be decoded"), sandbox.running(PICTURES) as child:
        sandbox.picture(child, b"x")


def test_a_camera_has_one_child(tmp_path: Path) -> None:
    camera, before = CameraFeed(), {child.pid for child in children()}
    (path,) = write_pictures(tmp_path / "clip", 1)
    frames = LiveClip(camera, 84, LIMITS).frames()
    seen = set()
    for second in range(3):
        camera.show(2.0 * second, path.read_bytes())
        next(frames)
        seen |= {child.pid for child in children()} - before
    assert len(seen) == 1
    with Image.open(path) as picture:
        assert picture.size[0] > 0
    camera.end()
    assert list(frames) == []
