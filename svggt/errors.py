"""What can go wrong, and what a visitor is told of it: a sentence with a remedy."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

DISK_FULL = (
    "The disk set aside for scenes is full; what was drawn stays. Clear scenes that nobody needs, "
    "or try again later."
)


DISK_READ_ONLY = (
    "The disk set aside for scenes cannot be written just now; what was drawn stays. Whoever runs "
    "this server has to look at it."
)


class BadInput(ValueError):
    """What a person sent cannot be used. The message says why, and what to do instead."""


class Busy(BadInput):
    """Others are served first. The message says when to try again; nothing is wrong with it."""


class DamagedFrame(BadInput):
    """A frame that was kept cannot be read any more.

    Args:
        number: the frame's, from 0.
    """

    def __init__(self, number: int) -> None:
        super().__init__(
            f"Frame {number + 1} of this scene is damaged on disk. Open the scene anew: what is "
            "whole is shown, and Resume computes the rest again."
        )


class ThinnedFrame(BadInput):
    """A frame of which too little is kept to compute it again.

    Args:
        number: the frame's, from 0.
    """

    def __init__(self, number: int) -> None:
        super().__init__(
            f"Frame {number + 1} was thinned when the disk became short, and cannot be computed "
            "again. Start its clip anew."
        )


class CheckpointError(ValueError):
    """Weights cannot be had or do not fit. The message says what else can be done."""


class SnapshotRefused(ValueError):
    """A stream cannot go on from a file; it is rebuilt from its frames instead."""


class StreamLost(RuntimeError):
    """What ran a stream is gone, with what it remembered: it is rebuilt on another worker."""


class StoreRefused(RuntimeError):
    """A folder cannot be a store; the sentence says why, and what to do."""


class ClusterRefused(RuntimeError):
    """There are no workers to be had; the sentence says why, and what to do."""


class MemoryFull(RuntimeError):
    """The streams' cached token memories have used up what is set aside for them."""


class ModelOverflow(ArithmeticError):
    """The network's numbers left the range of its dtype."""


class Cancelled(Exception):
    """Nobody waits for the result any more."""


def disk_sentence(error: OSError) -> str | None:
    """What people are told of a disk that takes nothing; None where it is not the disk."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DISK_FULL
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return DISK_READ_ONLY
    return None


@contextmanager
def writing() -> Iterator[None]:
    """A block that writes for a visitor.

    Raises:
        BadInput: the disk is full or read-only.
    """
    try:
        yield
    except OSError as error:
        sentence = disk_sentence(error)
        if sentence is None:
            raise
        raise BadInput(sentence) from error


def user_message(
    error: Exception,
    smaller: str = "Choose a smaller window under Advanced, and Start.",
    otherwise: str = "The run ended: something went wrong on our side; what was drawn stays. "
    "Try Start again.",
) -> str:
    """What a visitor is told of an error that nobody expected; never a traceback.

    Args:
        error: what was raised.
        smaller: the remedy where memory is full.
        otherwise: the message for any other error.
    """
    if isinstance(error, CheckpointError):
        return f"These weights cannot be had: {error}."
    if isinstance(error, ModelOverflow):
        return f"{str(error).capitalize()}."
    if isinstance(error, MemoryFull) or "out of memory" in str(error).lower():
        return f"The device is out of memory. {smaller}"
    told = disk_sentence(error) if isinstance(error, OSError) else None
    return told or otherwise
