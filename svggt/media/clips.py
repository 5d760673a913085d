"""Clips: a video or a set of pictures, checked, and ready to be decoded frame by frame."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svggt.data.truth import TruthFile
from svggt.errors import BadInput, Busy
from svggt.media import lens, sandbox
from svggt.media.bars import Shown
from svggt.media.frames import Frame, InputLimits, check_size, is_video
from svggt.media.messages import CheckJob, DecodeJob, PicturesInfo, VideoInfo
from svggt.media.pictures import KINDS, PICTURE_SUFFIXES, ZIP_SUFFIX, in_order, listed

_CHECKS = threading.BoundedSemaphore(2)  # at once, of all visitors
_PATIENCE_SECONDS = 60.0
_TALL = "What is left is higher than wide, and cut to a square unless it is kept whole."
_BUSY = "The machine is busy, and the files could not be looked at yet. Try again in a minute."


@dataclass(frozen=True)
class Clip:
    """Where a run's frames come from. Made by `open_clip`.

    Attributes:
        paths: one video, or pictures in order.
        names: what people call the files, for messages.
        width: the frames', pixels, a multiple of the patch; of tall ones that are kept whole, less.
        frames_per_second: taken from a video, None for a choice by motion; pictures are all
            taken.
        total: frames that will come; None if nobody knows.
        cut: whether the limit on frames leaves some out.
        limits: what is accepted.
        example: name of the example that it is; empty for a visitor's.
        truth: its true cameras and depth, where there is one.
        notes: what was left out of it, a sentence each.
        field_of_view: degrees across its pictures, as their EXIF says; 0 where it does not.
        length_s: of a video, seconds, if it says.
        whole: tall pictures are not cut to a square.
        shown: of its pictures, between black bars, which are cut off; None: they have none.
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    width: int
    frames_per_second: float | None
    total: int | None
    cut: bool
    limits: InputLimits
    example: str = ""
    truth: TruthFile | None = None
    notes: tuple[str, ...] = ()
    field_of_view: float = 0.0
    length_s: float | None = None
    whole: bool = False
    shown: Shown | None = None

    def frames(
        self,
        cancelled: Callable[[], bool] = lambda: False,
        note: Callable[[str], None] = lambda sentence: None,
    ) -> Iterator[Frame]:
        """Decodes in a child process, ahead of their use, until `cancelled` says so.

        Raises:
            BadInput: a file turns out damaged or too large.
        """
        for sentence in self.notes:
            note(sentence)
        return sandbox.frames(self._job(original=False), cancelled, note)

    def originals(
        self, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[NDArray[np.uint8]]:
        """The same frames, (H, W, 3), upright, at most 2 000 pixels long, without black bars."""
        return sandbox.originals(self._job(original=True), cancelled)

    def _job(self, original: bool) -> DecodeJob:
        return DecodeJob(
            paths=_absolute(self.paths),
            limits=self.limits,
            names=list(self.names),
            width=self.width,
            rate=self.frames_per_second,
            length_s=self.length_s,
            original=original,
            whole=self.whole,
            shown=self.shown,
        )

    @property
    def across(self) -> float:
        """The share of the pictures' width that is shown."""
        return 1.0 if self.shown is None else self.shown.right - self.shown.left

    def is_cut(self, taken: int) -> bool:
        """Whether the limit on frames left some out, after so many were taken."""
        return self.cut or (self.total is None and taken == self.limits.max_frames)


def open_clip(
    paths: Sequence[Path],
    width: int,
    frames_per_second: float | None,
    limits: InputLimits,
    whole: bool = False,
) -> Clip:
    """Checks kind, bytes and every header; pictures are put in natural order (2 before 10).

    Args:
        paths: one video, or pictures.
        width: the frames', pixels, a multiple of the patch.
        frames_per_second: to take from a video; None chooses them by motion.
        limits: what is accepted; a longer clip is cut at `max_frames`.
        whole: tall pictures are not cut to a square: their frames are narrower.

    Raises:
        BadInput: the files cannot be used; the message says why, and what to do instead.
    """
    if frames_per_second is not None and not frames_per_second > 0:
        raise BadInput("FPS must be more than 0; without it frames are chosen by motion.")
    usable, notes = _usable(paths)
    _check_files(usable or paths, limits)
    field_of_view, seconds = 0.0, None
    if is_video(usable[0]):
        chosen, info, there = usable, _video(usable[0], limits), None
        seconds, shown = info.seconds, info.shown
        if seconds is not None and frames_per_second is not None:
            there = max(1, math.ceil(seconds * frames_per_second - 0.1))
    else:
        chosen, pictures, damaged = _whole(in_order(usable), limits)
        notes, there = notes + damaged, sum(pictures.counts)
        field_of_view, shown = pictures.field_of_view, pictures.shown
    if shown is not None:
        notes += [shown.sentence, *[_TALL] * (shown.is_tall and not whole)]
    clip = Clip(
        paths=tuple(chosen),
        names=tuple(path.name for path in chosen),
        width=width,
        frames_per_second=frames_per_second,
        total=None if there is None else min(there, limits.max_frames),
        cut=there is not None and there > limits.max_frames,
        limits=limits,
        notes=tuple(notes),
        field_of_view=field_of_view,
        length_s=seconds,
        whole=whole,
        shown=shown,
    )
    return replace(clip, field_of_view=lens.of_part(field_of_view, clip.across))


def pictures_of_folder(folder: Path) -> list[Path]:
    """The pictures that lie in a folder.

    Raises:
        BadInput: none does; it names the folders in it.
    """
    inside = list(folder.iterdir())
    pictures = [path for path in inside if path.suffix.lower() in PICTURE_SUFFIXES]
    if pictures:
        return pictures
    folders = sorted(path.name for path in inside if path.is_dir())
    if folders:
        raise BadInput(f"{folder} holds folders and no picture: {listed(folders)}. Name one.")
    raise BadInput(f"{folder} holds no picture. Name a video, or a folder of {KINDS}.")


def _usable(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Videos and pictures; hidden files and what else lies beside them is named in a sentence."""
    usable = [path for path in paths if _is_usable(path)]
    others = [path.name for path in paths if not _is_usable(path)]
    return usable, [f"Left out: {listed(others)}."] if usable and others else []


def _is_usable(path: Path) -> bool:
    is_known = is_video(path) or path.suffix.lower() in (*PICTURE_SUFFIXES, ZIP_SUFFIX)
    return is_known and not path.name.startswith(".")


def _whole(paths: list[Path], limits: InputLimits) -> tuple[list[Path], PicturesInfo, list[str]]:
    """Files that hold a picture which can be decoded, as many as a run takes, or one more.

    Returns:
        The files, what pictures they hold, and those that hold none, named in a sentence.

    Raises:
        BadInput: none does, or a picture is too large.
    """
    found = _checked(paths, limits)
    if not isinstance(found, PicturesInfo) or len(found.counts) > len(paths):
        raise BadInput(sandbox.DIED)
    looked_at = list(zip(paths, found.counts, strict=False))
    whole = [path for path, count in looked_at if count]
    names = [path.name for path, count in looked_at if not count]
    if not whole:
        raise BadInput(f"All pictures are damaged ({listed(names)}). Save them again.")
    notes = [f"Damaged and left out: {listed(names)}."] if names else []
    return whole, found, notes


def _check_files(paths: Sequence[Path], limits: InputLimits) -> None:
    if not paths:
        raise BadInput("No file was chosen. Choose an example, a video or some pictures.")
    if len(paths) > limits.max_files:
        raise BadInput(
            f"{len(paths)} files were sent; the limit is {limits.max_files}. Send fewer pictures, "
            "or a video."
        )
    total = sum(path.stat().st_size for path in paths)
    if total > limits.max_bytes:
        raise BadInput(
            f"The upload has {total / 1e6:.0f} MB; the limit is {limits.max_bytes / 1e6:.0f} MB. "
            "Cut the clip, or send fewer pictures."
        )
    videos = sum(is_video(path) for path in paths)
    strange = [path.name for path in paths if not _is_usable(path)]
    if strange:
        raise BadInput(
            f"{listed(strange)}: neither a video nor a picture. Use MP4, MOV, WebM or MKV; or "
            f"{KINDS}, also in a ZIP."
        )
    if videos and len(paths) > 1:
        names = listed([path.name for path in sorted(paths, key=is_video, reverse=True)])
        raise BadInput(f"Send one video, or several pictures, not both: {names} were sent.")


def _video(path: Path, limits: InputLimits) -> VideoInfo:
    """What a video says of itself, which is checked."""
    facts = path.stat()
    info = _header(path.resolve(), facts.st_size, facts.st_mtime_ns)
    check_size(info.width, info.height, path.name, limits.max_video_pixels)
    if info.seconds is not None and info.seconds > limits.max_seconds:
        raise BadInput(
            f"The video lasts {info.seconds / 60:.0f} minutes; the limit is "
            f"{limits.max_seconds / 60:.0f}. Cut it and try again."
        )
    return info


@lru_cache(maxsize=256)
def _header(path: Path, size: int, changed_ns: int) -> VideoInfo:
    """Of a file in a state: the page's examples are looked at once."""
    info = _checked([path], InputLimits())
    assert isinstance(info, VideoInfo)
    return info


def _checked(paths: Sequence[Path], limits: InputLimits) -> VideoInfo | PicturesInfo:
    """Looks at files in a child.

    Raises:
        BadInput: a file cannot be used.
        Busy: others are looked at, or the machine does not get on.
    """
    patience = _PATIENCE_SECONDS + max(len(paths), limits.max_frames)  # one may hold many
    until = time.monotonic() + patience
    if not _CHECKS.acquire(timeout=_PATIENCE_SECONDS):
        raise Busy(_BUSY)
    names = [path.name for path in paths]
    try:
        job = CheckJob(paths=_absolute(paths), limits=limits, names=names)
        with sandbox.running(job) as child:
            message = child.message(cancelled=lambda: time.monotonic() > until)
    finally:
        _CHECKS.release()
    if message is None:  # its CPU time is bounded too: it never got that much
        raise Busy(_BUSY)
    if not isinstance(message, VideoInfo | PicturesInfo):
        raise BadInput(sandbox.DIED)
    return message


def _absolute(paths: Sequence[Path]) -> list[str]:
    """The helper has a folder of its own."""
    return [str(path.absolute()) for path in paths]
