"""Video files, probed in a process of their own and decoded one frame at a time.

Decoding is PyAV's (FFmpeg). Run as `python -m svggt.media.video FILE` this module is the probe: it
prints what the header says, under limits on memory and time, with no protocol but `file`.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorTrc, VideoReformatter
from PIL import Image

from svggt.errors import BadInput, Busy
from svggt.media.frame_selection import LOOK_WIDTH, Selection
from svggt.media.frames import Fitter, Frame, InputLimits, check_size

_OPTIONS = {
    "protocol_whitelist": "file",  # a playlist must not reach the network,
    "format_whitelist": "mov,mp4,matroska,webm,avi",  # nor a script other files
}
_ROOT = Path(__file__).resolve().parents[2]  # where the probe finds this package
_PROBE_SECONDS = 10  # of CPU time: a busy machine takes none of it away
_PATIENCE_SECONDS = 60.0
_PROBES = threading.BoundedSemaphore(2)  # at once, of all visitors
_BUSY = "The machine is busy, and the video could not be looked at yet. Try again in a minute."
_PROBE_BYTES = 4 << 30  # address space, most of it libraries
_HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)  # PQ and HLG


@dataclass(frozen=True)
class VideoInfo:
    """What a video's header says.

    Attributes:
        codec: name of the video codec.
        width: pixels, before rotation.
        height: pixels, before rotation.
        seconds: length; None where the header does not say.
    """

    codec: str
    width: int
    height: int
    seconds: float | None


def probe(path: Path, limits: InputLimits) -> VideoInfo:
    """Reads a video's header in a process with limits of its own, and checks it.

    Raises:
        BadInput: no video, or too many pixels, or too long; or the machine is busy.
    """
    facts = path.stat()
    info = _probed(path.resolve(), facts.st_size, facts.st_mtime_ns)
    check_size(info.width, info.height, path.name, limits)
    if info.seconds is not None and info.seconds > limits.max_seconds:
        raise BadInput(
            f"The video lasts {info.seconds / 60:.0f} minutes; the limit is "
            f"{limits.max_seconds / 60:.0f}. Cut it and try again."
        )
    return info


@lru_cache(maxsize=256)
def _probed(path: Path, size: int, changed_ns: int) -> VideoInfo:
    """What the header of a file in a state says; the page's examples are looked at once.

    Raises:
        BadInput: no video, or the machine is busy.
    """
    command = [sys.executable, "-m", "svggt.media.video", str(path)]
    until = time.monotonic() + _PATIENCE_SECONDS
    if not _PROBES.acquire(timeout=_PATIENCE_SECONDS):
        raise Busy(_BUSY)
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=max(1.0, until - time.monotonic()),
            check=True,
            text=True,
            cwd=_ROOT,
        )
        return VideoInfo(**json.loads(done.stdout))
    except subprocess.TimeoutExpired:  # its CPU time is bounded too: it never got that much
        raise Busy(_BUSY) from None
    except (subprocess.SubprocessError, ValueError, TypeError):
        raise BadInput(
            "The file is not a video that can be decoded. Use MP4 or MOV with H.264 or HEVC, "
            "or WebM, and check that it plays."
        ) from None
    finally:
        _PROBES.release()


def frames_of(
    path: Path,
    width: int,
    selection: Selection,
    limits: InputLimits,
    cancelled: Callable[[], bool],
) -> Iterator[Frame]:
    """Chosen frames of a video, upright, decoded lazily.

    Args:
        path: a file that `probe` accepted.
        width: the frames', pixels, a multiple of the patch.
        selection: chooses them.
        limits: what is accepted; frames after `max_seconds` are left out.
        cancelled: asked after every decoded frame, also of those that are not taken.

    Raises:
        BadInput: the video turns out damaged before its first frame, or changes to a size
            above the limit.
    """
    fitter, number = Fitter(width), 0
    reformatter = VideoReformatter()  # keeps its tone-mapping tables from frame to frame
    for time_s, picture in _decode(path, limits):
        if cancelled() or time_s > limits.max_seconds:
            return
        if not selection.takes(time_s, partial(_small_grey, picture)):
            continue
        yield fitter.frame(number, time_s, _upright(picture, reformatter))
        number += 1
        if number == limits.max_frames:
            return
    if number == 0:
        raise BadInput("The video holds no frame that can be decoded. Export it again as MP4.")


def _decode(path: Path, limits: InputLimits) -> Iterator[tuple[float, av.VideoFrame]]:
    """(seconds from the first frame, frame) of the best video stream, as far as it is whole."""
    with av.open(str(path), options=_OPTIONS) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"max_pixels": str(limits.max_pixels)}
        start = None
        for frame in _until_damage(container, stream):
            check_size(frame.width, frame.height, path.name, limits)
            time = frame.time or 0.0
            start = time if start is None else start
            yield time - start, frame


def _until_damage(container, stream) -> Iterator[av.VideoFrame]:
    """What can be decoded; a clip that was cut off in transfer is good up to there."""
    try:
        yield from container.decode(stream)
    except av.FFmpegError:
        return


def _upright(frame: av.VideoFrame, reformatter: VideoReformatter) -> Image.Image:
    """8-bit sRGB, turned as the display matrix says (degrees counter-clockwise)."""
    mapped = {"dst_color_trc": ColorTrc.BT709, "dst_color_primaries": ColorPrimaries.BT709}
    rgb = reformatter.reformat(frame, format="rgb24", **mapped if frame.color_trc in _HDR else {})
    turned = np.rot90(rgb.to_ndarray(), k=frame.rotation // 90)
    return Image.fromarray(np.ascontiguousarray(turned))


def _small_grey(frame: av.VideoFrame) -> np.ndarray:
    """(h, 240) uint8, for looking at motion; cheap beside a whole picture."""
    height = max(1, round(LOOK_WIDTH * frame.height / frame.width))
    return frame.reformat(LOOK_WIDTH, height, "gray").to_ndarray()


def _read_header(path: str) -> VideoInfo:
    with av.open(path, options=_OPTIONS) as container:
        if len(container.streams) > 64:
            raise ValueError("too many streams")
        stream = container.streams.video[0]
        codec = stream.codec_context
        seconds = container.duration / av.time_base if container.duration else None
        return VideoInfo(codec.name, codec.width, codec.height, seconds)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_PROBE_BYTES, _PROBE_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_PROBE_SECONDS, _PROBE_SECONDS))
    sys.stdout.write(json.dumps(asdict(_read_header(sys.argv[1]))))
