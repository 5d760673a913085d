"""`python -m svggt.media.decoder`: forks a child for each job of `svggt.media.sandbox`.

It ends when its standard input, the server's socket, does.
"""

from __future__ import annotations

import ctypes
import io
import os
import resource
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import numpy as np

from svggt.errors import BadInput
from svggt.media import confinement, sandbox, video
from svggt.media.frame_selection import AtRate, ByMotion
from svggt.media.frames import (
    DamagedPicture,
    Fitter,
    Frame,
    InputLimits,
    check_picture,
    is_video,
    open_picture,
)
from svggt.media.sandbox import CheckJob, DecodeJob, Job, Message, PicturesJob

MEMORY_BYTES = 1_500_000_000
"""That a child may take besides what the helper has."""

_CPU_SECONDS = {CheckJob: 120, DecodeJob: 3600, PicturesJob: 7200}
_FILES = 64  # open at once
_PR_SET_PDEATHSIG = 1
_M_ARENA_MAX = -8  # of glibc's malloc.h
_LIBC = ctypes.CDLL(None, use_errno=True)
_NO_MEMORY = "The file needs more memory to decode than one file may take. Make it smaller."
_DAMAGED = "The file is damaged and cannot be decoded. Save it again."


def main() -> None:
    """Waits for jobs, each a connection, until the server is gone."""
    _LIBC.mallopt(_M_ARENA_MAX, 1)  # decoders' threads would reserve all of the memory by arenas
    confinement.leave_network_and_processes()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for children
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as server:
        while True:
            _, given, _, _ = socket.recv_fds(server, 16, 1)
            if not given:
                return
            if os.fork() == 0:
                server.close()
                serve(Connection(given[0]))
                os._exit(0)
            os.close(given[0])


def serve(connection: Connection) -> None:
    """One job in this process, which ends with it."""
    connection.send_bytes(b"here")
    job = msgspec.msgpack.decode(connection.recv_bytes(), type=CheckJob | DecodeJob | PicturesJob)
    _bound(_CPU_SECONDS[type(job)])
    confinement.read_only_these(job.paths)
    threading.Thread(target=_end_with, args=(connection.fileno(),), daemon=True).start()
    try:
        for message in _messages(job, connection):
            connection.send_bytes(msgspec.msgpack.encode(message))
    except (BrokenPipeError, ConnectionResetError, EOFError):
        return
    except Exception as error:  # noqa: BLE001  # decoders raise whatever they like
        # No room for a thread is EAGAIN, which Python calls a blocking error.
        is_full = isinstance(error, MemoryError | BlockingIOError)
        sentence = _NO_MEMORY if is_full else _DAMAGED
        if isinstance(error, BadInput):
            sentence = str(error)
        connection.send_bytes(msgspec.msgpack.encode(sandbox.Failed(sentence)))


def _messages(job: Job, connection: Connection) -> Iterator[Message]:
    limits = job.limits
    paths = [Path(path) for path in job.paths]
    if isinstance(job, CheckJob) and is_video(paths[0]):
        yield video.read_header(paths[0])
    elif isinstance(job, CheckJob):
        yield sandbox.Damaged(list(_damaged(paths, job.names, limits)))
    elif isinstance(job, DecodeJob):
        notes: list[str] = []
        yield from map(_as_message, _frames(job, paths, limits, notes.append))
        yield from map(sandbox.Note, notes)
    else:
        while True:
            decoded = open_picture(
                io.BytesIO(connection.recv_bytes()), "the camera's picture", limits
            ).convert("RGB")
            yield sandbox.DecodedPicture((decoded.height, decoded.width), decoded.tobytes())
    yield sandbox.Done()


def _damaged(paths: list[Path], names: list[str], limits: InputLimits) -> Iterator[int]:
    """Numbers of pictures that are not whole; where none is, the first one's sentence is told."""
    for number, (path, name) in enumerate(zip(paths, names, strict=True)):
        try:
            check_picture(path, name, limits)
        except DamagedPicture:
            if len(paths) == 1:
                raise
            yield number


def _frames(
    job: DecodeJob, paths: list[Path], limits: InputLimits, note: Callable[[str], None]
) -> Iterator[Frame]:
    if is_video(paths[0]):
        selection = ByMotion() if job.rate is None else AtRate(job.rate)
        yield from video.frames_of(paths[0], job.width, selection, limits, note)
        return
    fitter = Fitter(job.width)
    for number, (path, name) in enumerate(zip(paths, job.names, strict=True)):
        yield fitter.frame(number, float(number), open_picture(path, name, limits))


def _as_message(frame: Frame) -> sandbox.DecodedFrame:
    return sandbox.DecodedFrame(
        frame.number,
        frame.time_s,
        frame.image.shape[:2],
        np.ascontiguousarray(frame.image).tobytes(),
        frame.grey.shape,
        np.ascontiguousarray(frame.grey).tobytes(),
    )


def _bound(cpu_seconds: int) -> None:
    """Bounds this process; from now on it writes no file."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = pages * resource.getpagesize() + MEMORY_BYTES
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _FILES),
    ):
        resource.setrlimit(kind, (most, most))


def _end_with(descriptor: int) -> None:
    """Ends this process as soon as the other end of its connection is closed."""
    poll = select.poll()
    poll.register(descriptor, select.POLLRDHUP | select.POLLHUP)
    poll.poll()
    os._exit(0)


if __name__ == "__main__":
    main()
