"""Clips: a video or a set of pictures, checked, and ready to be decoded frame by frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from natsort import natsorted

from svggt import video
from svggt.frames import BadInput, Fitter, Frame, InputLimits, check_picture, open_picture

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif")
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi")


@dataclass(frozen=True)
class Clip:
    """Where a run's frames come from. Made by `open_clip`.

    Attributes:
        paths: one video, or pictures in order.
        names: what people call the files, for messages.
        width: of the frames, pixels, a multiple of the patch.
        frames_per_second: taken from a video; pictures are all taken.
        total: frames that will come; None if nobody knows.
        cut: whether the limit on frames leaves some out.
        limits: what is accepted.
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    width: int
    frames_per_second: float
    total: int | None
    cut: bool
    limits: InputLimits

    def frames(self, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Frame]:
        """Decodes lazily, until `cancelled` says so.

        Raises:
            BadInput: a file turns out damaged or too large.
        """
        if _is_video(self.paths[0]):
            rate, limits = self.frames_per_second, self.limits
            return video.frames_of(self.paths[0], self.width, rate, limits, cancelled)
        return self._pictures()

    def _pictures(self) -> Iterator[Frame]:
        fitter = Fitter(self.width)
        for number, (path, name) in enumerate(zip(self.paths, self.names, strict=True)):
            yield fitter.frame(number, float(number), open_picture(path, name, self.limits))


def open_clip(
    paths: Sequence[Path], width: int, frames_per_second: float, limits: InputLimits
) -> Clip:
    """Checks kind, bytes and every header; pictures are put in natural order (2 before 10).

    Args:
        paths: one video, or pictures.
        width: of the frames, pixels, a multiple of the patch.
        frames_per_second: to take from a video.
        limits: what is accepted; a longer clip is cut at `max_frames`.

    Raises:
        BadInput: the files cannot be used; the message says why, and what to do instead.
    """
    if not frames_per_second > 0:
        raise BadInput("Frames a second must be more than 0. The default is 2.")
    _check_files(paths, limits)
    if _is_video(paths[0]):
        chosen, seconds = list(paths), video.probe(paths[0], limits).seconds
        there = None if seconds is None else max(1, math.ceil(seconds * frames_per_second - 0.1))
    else:
        chosen = natsorted(paths, key=lambda path: path.name)[: limits.max_frames]
        there = len(paths)
        for path in chosen:
            check_picture(path, path.name, limits)
    return Clip(
        paths=tuple(chosen),
        names=tuple(path.name for path in chosen),
        width=width,
        frames_per_second=frames_per_second,
        total=None if there is None else min(there, limits.max_frames),
        cut=there is not None and there > limits.max_frames,
        limits=limits,
    )


def _check_files(paths: Sequence[Path], limits: InputLimits) -> None:
    if not paths:
        raise BadInput("No file was chosen. Choose an example, a video or some pictures.")
    total = sum(path.stat().st_size for path in paths)
    if total > limits.max_bytes:
        raise BadInput(
            f"The upload has {total / 1e6:.0f} MB; the limit is {limits.max_bytes / 1e6:.0f} MB. "
            "Cut the clip, or send fewer pictures."
        )
    videos = sum(_is_video(path) for path in paths)
    if any(not _is_video(p) and p.suffix.lower() not in PICTURE_SUFFIXES for p in paths):
        raise BadInput(
            "A file is neither a video nor a picture. Use MP4, MOV, WebM, MKV, JPEG, PNG, WebP "
            "or HEIC."
        )
    if videos and len(paths) > 1:
        raise BadInput("Send one video, or several pictures, not both.")


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES
