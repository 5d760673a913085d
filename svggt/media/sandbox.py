"""Where people's files are decoded: in child processes that can do little else.

A decoder is a large program that strangers feed. Each job runs in a child of its own, with bounds
on memory and CPU time, no network, nothing of this process's environment, and no way to write a
file. What it sends back is plain numbers that are checked here, never a pickle.

Children are forked by one helper process that has imported the decoders already (`svggt.media.
decoder`), so that a job costs milliseconds.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import psutil
from numpy.typing import NDArray

from svggt.errors import BadInput, Busy
from svggt.media.frames import PATCH, TRACKING_WIDTH, Frame
from svggt.media.messages import (
    DecodedFrame,
    DecodedPicture,
    DecodeJob,
    Done,
    Failed,
    Job,
    Message,
    Note,
)

_ROOT = Path(__file__).resolve().parents[2]  # where the helper finds this package
_ROOM_BYTES = 1_500_000_000  # that must be free before a child begins
_GREETING_SECONDS = 60.0  # until a child is there
_LONGEST_NOTE, _LONGEST_SENTENCE = 300, 1000  # characters
_LONGEST_MESSAGE = 400_000_000  # bytes: the largest picture, and a little
_LOOK_SECONDS = 0.2  # between two looks whether the run was stopped
DIED = (
    "The file could not be decoded: it is damaged, or needs more memory or time than one file may "
    "take. Save it again, smaller."
)
"""What is said where a child dies, or sends what makes no sense."""

Piece = TypeVar("Piece", DecodedFrame, DecodedPicture)


@dataclass(frozen=True)
class Child:
    """A job under way."""

    connection: Connection

    def message(self, cancelled: Callable[[], bool] = lambda: False) -> Message | None:
        """The child's next message; None if nobody waits for it any more.

        Raises:
            BadInput: the child says so, or died.
        """
        try:
            while not self.connection.poll(_LOOK_SECONDS):
                if cancelled():
                    return None
            data = self.connection.recv_bytes(_LONGEST_MESSAGE)
            message = msgspec.msgpack.decode(data, type=Message)
        except (EOFError, OSError, msgspec.MsgspecError):
            raise BadInput(DIED) from None
        if isinstance(message, Failed):
            raise BadInput(message.sentence[:_LONGEST_SENTENCE])
        return message

    def send(self, data: bytes) -> None:
        """A message to the child.

        Raises:
            BadInput: it died.
        """
        try:
            self.connection.send_bytes(data)
        except OSError:
            raise BadInput(DIED) from None


@contextmanager
def running(job: Job) -> Iterator[Child]:
    """Runs a job until the block ends; the child ends with it, whatever it is doing.

    Raises:
        Busy: no child can be had.
    """
    connection = _HELPER.child()
    try:
        child = Child(connection)
        child.send(msgspec.msgpack.encode(job))
        yield child
    finally:
        connection.close()


def frames(
    job: DecodeJob,
    cancelled: Callable[[], bool],
    note: Callable[[str], None] = lambda sentence: None,
) -> Iterator[Frame]:
    """A clip's frames, decoded ahead of their use.

    Args:
        job: which clip.
        cancelled: asked while a frame is waited for.
        note: told what was left out or repaired, a sentence each.

    Raises:
        BadInput: the clip cannot be decoded.
    """
    for message in _decoded(job, DecodedFrame, cancelled, note):
        image = _array(message.image, (*message.size, 3))
        grey = _array(message.grey, message.grey_size)
        if (
            image.shape[1] > job.width
            or image.shape[1] % PATCH
            or image.shape[0] % PATCH
            or (grey.shape[1] != TRACKING_WIDTH)
        ):
            raise BadInput(DIED)
        yield Frame(message.number, message.time_s, image, grey)


def originals(job: DecodeJob, cancelled: Callable[[], bool]) -> Iterator[NDArray[np.uint8]]:
    """The frames of a clip as they are, (H, W, 3), of any size; see `frames`."""
    for message in _decoded(job, DecodedPicture, cancelled, lambda sentence: None):
        yield _array(message.pixels, (*message.size, 3))


def _decoded(
    job: DecodeJob,
    kind: type[Piece],
    cancelled: Callable[[], bool],
    note: Callable[[str], None],
) -> Iterator[Piece]:
    """What a child decodes, one by one, of the one kind that the job is for."""
    with running(job) as child:
        while not isinstance(message := child.message(cancelled), Done | None):
            if isinstance(message, Note):
                note(message.sentence[:_LONGEST_NOTE])
            elif isinstance(message, kind):
                yield message
            else:
                raise BadInput(DIED)


def picture(child: Child, encoded: bytes) -> NDArray[np.uint8]:
    """(H, W, 3) of an encoded picture, by the child of a `PicturesJob`.

    Raises:
        BadInput: it cannot be decoded.
    """
    child.send(encoded)
    message = child.message()
    if not isinstance(message, DecodedPicture):
        raise BadInput(DIED)
    return _array(message.pixels, (*message.size, 3))


def _array(data: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if len(data) != int(np.prod(shape, dtype=np.int64)) or min(shape) < 1:
        raise BadInput(DIED)
    return np.frombuffer(data, np.uint8).reshape(shape)


class _Helper:
    """The process that forks children; begun when the first job comes, and again if it died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def child(self) -> Connection:
        """A new child, which has said that it is there.

        Raises:
            Busy: none can be had.
        """
        if psutil.virtual_memory().available < _ROOM_BYTES:
            raise Busy("The machine’s memory is full just now. Try again in a minute.")
        for _ in range(3):  # again if the helper has died since
            connection = self._asked()
            if connection is None:
                continue
            try:
                if connection.poll(_GREETING_SECONDS):
                    connection.recv_bytes()
                    return connection
            except (OSError, EOFError):
                connection.close()
                continue
            connection.close()
            break  # the helper is slow; it stays, since others' children end with it
        raise Busy("The machine cannot decode anything just now. Try again in a minute.")

    def _asked(self) -> Connection | None:
        """A connection whose other end the helper was given; None if it is gone."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(True)  # whatever a library made the default
        connection = Connection(ours.detach())
        with self._lock, theirs:
            if self._process is not None and self._process.poll() is not None:
                self.close()
            try:
                self._socket = self._socket or self._begun()
                socket.send_fds(self._socket, [b"job"], [theirs.fileno()])
            except OSError:
                connection.close()
                self.close()
                return None
        return connection

    def close(self) -> None:
        """Ends the helper; the next job begins another one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _begun(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        kept: dict[str, Any] = {n: os.environ[n] for n in ("PATH", "LANG") if n in os.environ}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "svggt.media.decoder"],
                stdin=theirs.fileno(),
                cwd=_ROOT,
                env=kept,  # tokens are none of its business
                start_new_session=True,  # Ctrl-C is the server's
            )
        return ours


_HELPER = _Helper()
