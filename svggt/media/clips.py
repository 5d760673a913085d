"""Clips: a video or a set of pictures, checked, and ready to be decoded frame by frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from natsort import natsorted

from svggt.data.truth import TruthFile
from svggt.errors import BadInput
from svggt.media import video
from svggt.media.frame_selection import AtRate, ByMotion
from svggt.media.frames import Fitter, Frame, InputLimits, check_picture, open_picture

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif")
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi")


@dataclass(frozen=True)
class Clip:
    """Where a run's frames come from. Made by `open_clip`.

    Attributes:
        paths: one video, or pictures in order.
        names: what people call the files, for messages.
        width: the frames', pixels, a multiple of the patch.
        frames_per_second: taken from a video, None for a choice by motion; pictures are all
            taken.
        total: frames that will come; None if nobody knows.
        cut: whether the limit on frames leaves some out.
        limits: what is accepted.
        example: name of the example that it is; empty for a visitor's.
        truth: its true cameras and depth, where there is one.
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

    def frames(self, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Frame]:
        """Decodes lazily, until `cancelled` says so.

        Raises:
            BadInput: a file turns out damaged or too large.
        """
        if _is_video(self.paths[0]):
            rate = self.frames_per_second
            selection = ByMotion() if rate is None else AtRate(rate)
            return video.frames_of(self.paths[0], self.width, selection, self.limits, cancelled)
        return self._pictures()

    def is_cut(self, taken: int) -> bool:
        """Whether the limit on frames left some out, after so many were taken."""
        return self.cut or (self.total is None and taken == self.limits.max_frames)

    def _pictures(self) -> Iterator[Frame]:
        fitter = Fitter(self.width)
        for number, (path, name) in enumerate(zip(self.paths, self.names, strict=True)):
            yield fitter.frame(number, float(number), open_picture(path, name, self.limits))


def open_clip(
    paths: Sequence[Path], width: int, frames_per_second: float | None, limits: InputLimits
) -> Clip:
    """Checks kind, bytes and every header; pictures are put in natural order (2 before 10).

    Args:
        paths: one video, or pictures.
        width: the frames', pixels, a multiple of the patch.
        frames_per_second: to take from a video; None chooses them by motion.
        limits: what is accepted; a longer clip is cut at `max_frames`.

    Raises:
        BadInput: the files cannot be used; the message says why, and what to do instead.
    """
    if frames_per_second is not None and not frames_per_second > 0:
        raise BadInput("FPS must be more than 0; without it frames are chosen by motion.")
    _check_files(paths, limits)
    if _is_video(paths[0]):
        chosen, seconds = list(paths), video.probe(paths[0], limits).seconds
        there = None
        if seconds is not None and frames_per_second is not None:
            there = max(1, math.ceil(seconds * frames_per_second - 0.1))
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
