"""`python -m svggt.media.decoder`: forks a child for each job of `svggt.media.sandbox`.

It ends when its standard input, the server's socket, does.
"""

from __future__ import annotations

import ctypes
import io
import logging
import os
import resource
import select
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
from PIL import Image

from svggt.errors import BadInput
from svggt.media import confinement, lens, messages, video
from svggt.media.bars import Bars, is_looked_at
from svggt.media.frame_selection import AtRate, ByMotion
from svggt.media.frames import Fitter, InputLimits, is_video
from svggt.media.messages import CheckJob, DecodeJob, Job, Message, PicturesJob
from svggt.media.pictures import DamagedPicture, listed, open_picture, pictures_in

MEMORY_BYTES = 1_500_000_000
"""That a child may take besides what the helper has."""

_CPU_SECONDS = {CheckJob: 120, DecodeJob: 3600, PicturesJob: 7200}
_FILES = 64  # open at once
_PR_SET_PDEATHSIG = 1
_M_ARENA_MAX = -8  # of glibc's malloc.h
_LIBC = ctypes.CDLL(None, use_errno=True)
_LONGEST_SIDE = 2000  # pixels of an original that is given back
_ONE_LENS = 0.97  # narrowest by widest field of view: one that zooms is several
_NO_MEMORY = "The file needs more memory to decode than one file may take. Make it smaller."
_DEEP_GREYS = (
    "Greys of 16 bits or more are shown from the darkest to the brightest of the first picture."
)
_DAMAGED = "The file is damaged and cannot be decoded. Save it again."


def main() -> None:
    """Waits for jobs, each a connection, until the server is gone."""
    _LIBC.mallopt(_M_ARENA_MAX, 1)  # decoders' threads would reserve all of the memory by arenas
    confinement.leave_network_and_processes()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for children
    # What decoders say of strangers' files would fill the server's log.
    warnings.simplefilter("ignore")
    logging.disable()
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
        connection.send_bytes(msgspec.msgpack.encode(messages.Failed(sentence)))


def _messages(job: Job, connection: Connection) -> Iterator[Message]:
    limits = job.limits
    paths = [Path(path) for path in job.paths]
    if isinstance(job, CheckJob) and is_video(paths[0]):
        yield video.read_header(paths[0], limits)
    elif isinstance(job, CheckJob):
        yield _looked_at(paths, job.names, limits)
    elif isinstance(job, DecodeJob):
        notes: list[str] = []
        make = _original if job.original else _fitted
        fitter = Fitter(job.width, job.whole)

        def made(number: int, time_s: float, picture: Image.Image) -> Message:
            shown = picture if job.shown is None else job.shown.cut(picture)
            return make(fitter, number, time_s, shown)

        yield from _frames(job, paths, made, notes.append)
        if fitter.took_deep_greys:
            notes.append(_DEEP_GREYS)
        yield from map(messages.Note, notes)
    else:
        while True:
            decoded = open_picture(
                io.BytesIO(connection.recv_bytes()), "the camera's picture", limits
            ).convert("RGB")
            yield _as_picture(decoded)
    yield messages.Done()


def _looked_at(paths: list[Path], names: list[str], limits: InputLimits) -> messages.PicturesInfo:
    """Whole pictures of each file, up to one more than a run takes.

    Raises:
        DamagedPicture: the only file has none.
    """
    counts, views, bars = list[int](), list[float](), Bars()
    for path, name in zip(paths, names, strict=True):
        count, damaged = 0, DamagedPicture(name, "holds no picture.")
        for picture in pictures_in(path, name, limits, small=True):
            if isinstance(picture, DamagedPicture):
                damaged = picture
                continue
            if is_looked_at(len(views)):
                bars.look(picture)
            views.append(lens.from_exif(picture))
            count += 1
            if sum(counts) + count > limits.max_frames:
                break
        if not count and len(paths) == 1:
            raise damaged
        counts.append(count)
        if sum(counts) > limits.max_frames:
            break
    is_one = bool(views) and min(views) > _ONE_LENS * max(views)
    return messages.PicturesInfo(counts, median(views) if is_one else 0.0, bars.shown)


def _frames(
    job: DecodeJob,
    paths: list[Path],
    make: Callable[[int, float, Image.Image], Message],
    note: Callable[[str], None],
) -> Iterator[Message]:
    limits = job.limits
    if is_video(paths[0]):
        selection = ByMotion(job.length_s) if job.rate is None else AtRate(job.rate)
        yield from video.frames_of(paths[0], make, selection, limits, note)
        return
    number, damaged = 0, list[DamagedPicture]()
    for path, name in zip(paths, job.names, strict=True):
        for picture in pictures_in(path, name, limits):
            if isinstance(picture, DamagedPicture):
                damaged.append(picture)
            elif number < limits.max_frames:
                yield make(number, float(number), picture)
                number += 1
            else:
                break
    if not number and damaged:
        raise damaged[0]
    if damaged:
        names = list(dict.fromkeys(each.name for each in damaged))
        note(f"Damaged or no picture, left out wholly or in part: {listed(names)}.")


def _original(
    fitter: Fitter, number: int, time_s: float, picture: Image.Image
) -> messages.DecodedPicture:
    whole = fitter.in_colour(picture)
    whole.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    return _as_picture(whole)


def _as_picture(picture: Image.Image) -> messages.DecodedPicture:
    return messages.DecodedPicture((picture.height, picture.width), picture.tobytes())


def _fitted(
    fitter: Fitter, number: int, time_s: float, picture: Image.Image
) -> messages.DecodedFrame:
    frame = fitter.frame(number, time_s, picture)
    return messages.DecodedFrame(
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
