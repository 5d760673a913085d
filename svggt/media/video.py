"""Video files, decoded one frame at a time by PyAV (FFmpeg), within `svggt.media.decoder`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc, VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from svggt.errors import BadInput
from svggt.media.bars import is_looked_at, shown_by
from svggt.media.frame_selection import LOOK_WIDTH, ByMotion, Selection
from svggt.media.frames import InputLimits, check_size
from svggt.media.messages import VideoInfo

Made = TypeVar("Made")

_OPTIONS = {
    "protocol_whitelist": "file",  # a playlist must not reach the network,
    "format_whitelist": "mov,mp4,matroska,webm,avi,mpegts",  # nor a script other files
}
_LOOKS = 8  # all over a video, for black bars
_LOOKED_THROUGH = 130_000_000  # pixels of its beginning: 64 frames of 1920 x 1080
_THREADS = 4  # each holds frames: on many cores, all of them would fill the memory
_STREAMS = 64  # of one file; more are no clip
_NO_VIDEO = (
    "The file is not a video that can be decoded. Use MP4 or MOV with H.264 or HEVC, "
    "or WebM, and check that it plays."
)
_LEAP_SECONDS = 30.0  # between two frames: more is a clock that jumped
_ASPECT, _LARGEST_ASPECT_TERM = 8.0, 65_535  # of a pixel; what is beyond is no aspect
_HD_ROWS = 720  # from here on an untagged picture is BT.709, as players take it
_UNSPECIFIED = 2  # of AVColorSpace
_SINGULAR, _ODD_DEGREES = 1e-3, 1.0
_HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)  # PQ and HLG


def read_header(path: Path, limits: InputLimits) -> VideoInfo:
    """What a video says of itself, and whether its pictures have black bars.

    Args:
        path: a file.
        limits: what is accepted; of a larger video no picture is looked at.

    Raises:
        BadInput: it is none.
    """
    try:
        with av.open(str(path), options=_OPTIONS) as container:
            if len(container.streams) > _STREAMS:
                raise BadInput(_NO_VIDEO)
            codec = _best(container).codec_context
            seconds = container.duration / av.time_base if container.duration else None
            width, height = codec.width, codec.height
    except (av.FFmpegError, OSError, LookupError, ValueError):
        raise BadInput(_NO_VIDEO) from None
    small = 0 < width * height <= limits.max_video_pixels
    shown = shown_by(_some_of(path, limits)) if small else None
    return VideoInfo(width, height, seconds, shown)


def frames_of(
    path: Path,
    make: Callable[[int, float, Image.Image], Made],
    selection: Selection,
    limits: InputLimits,
    note: Callable[[str], None] = lambda sentence: None,
) -> Iterator[Made]:
    """Chosen frames of a video, upright, decoded lazily.

    Args:
        path: a file whose header was read and accepted.
        make: what becomes of one, by its number, its time in seconds and its picture.
        selection: chooses them.
        limits: what is accepted; frames after `max_seconds` are left out.
        note: told at the end what was left out or repaired, a sentence each.

    Raises:
        BadInput: the video holds no frame that can be decoded, or changes to a size above the
            limit.
    """
    number, seen, damage, clock = 0, 0, _Damage(), _Clock()
    reformatter = VideoReformatter()  # keeps its tone-mapping tables from frame to frame,
    small = VideoReformatter()  # and both their threads
    with av.open(str(path), options=_OPTIONS) as container:
        stream = _bounded(container, limits)
        picture_of = partial(_upright, aspect=_pixel_aspect(stream), reformatter=reformatter)
        for frame in _decoded(container, stream, damage):
            check_size(frame.width, frame.height, path.name, limits.max_video_pixels)
            time_s = clock.of(frame)
            if time_s > limits.max_seconds or number == limits.max_frames:
                break
            seen += 1
            if selection.takes(time_s, partial(_small_grey, frame, small)):
                yield make(number, time_s, picture_of(frame))
                number += 1
    if number == 0:
        raise BadInput("The video holds no frame that can be decoded. Export it again as MP4.")
    chosen = ""
    if isinstance(selection, ByMotion) and number < seen:
        chosen = f"{number} of {seen} frames were taken, by motion; set FPS for another choice."
    for sentence in (chosen, damage.sentence, clock.sentence):
        if sentence:
            note(sentence)


def _some_of(path: Path, limits: InputLimits) -> Iterator[Image.Image]:
    """Pictures of a video's beginning and from all over it, upright; fewer where it is damaged."""
    reformatter = VideoReformatter()
    with suppress(Exception), av.open(str(path), options=_OPTIONS) as file:
        stream = _bounded(file, limits)
        pixels = stream.codec_context.width * stream.codec_context.height
        picture_of = partial(_upright, aspect=_pixel_aspect(stream), reformatter=reformatter)
        for number, frame in enumerate(islice(file.decode(stream), _LOOKED_THROUGH // pixels)):
            if is_looked_at(number):
                yield picture_of(frame)
        for share in range(1, _LOOKS):
            file.seek((file.start_time or 0) + share * (file.duration or 0) // _LOOKS)
            yield from map(picture_of, islice(file.decode(stream), 1))


@dataclass
class _Damage:
    """What could not be decoded.

    Attributes:
        packets: how many.
        first_s: when the first of them is, to a few frames (decoders work ahead), seconds.
        is_cut: the file ends within a packet.
    """

    packets: int = 0
    first_s: float | None = None
    is_cut: bool = False

    @property
    def sentence(self) -> str:
        """For people; empty where nothing is damaged."""
        if self.packets:
            frames = "frame is" if self.packets == 1 else "frames are"
            when = "" if self.first_s is None else f", the first near {self.first_s:.1f} s"
            return f"{self.packets} {frames} damaged in the video and left out{when}."
        return "The video is cut short; what is there was used." if self.is_cut else ""


class _Clock:
    """A time that rises by every frame, from what a file says of them.

    Joined recordings begin again at 0, clocks jump, and some files say nothing: a frame whose
    time does not rise, or leaps, comes one usual step after the one before.
    """

    def __init__(self) -> None:
        self._said: float | None = None  # by the file of the frame before
        self._now, self._step = 0.0, 1 / 30
        self._repairs = 0

    @property
    def sentence(self) -> str:
        """For people; empty where every time was good."""
        if not self._repairs:
            return ""
        return "Times in the video go back, leap or are missing; they were put in order."

    def of(self, frame: av.VideoFrame) -> float:
        """Seconds since the first frame."""
        said, before, self._said = frame.time, self._said, frame.time
        if before is None and not self._now and said is not None:
            self._said = said
            return self._now  # the first
        step = math.nan if said is None or before is None else said - before
        if 0 < step <= _LEAP_SECONDS:
            self._step = step
        else:
            self._repairs += 1
            step = self._step
        self._now += step
        return self._now


def _best(container) -> Any:
    """The film: not a cover or a preview (attached pictures), of several the largest."""
    stream = container.streams.best("video")
    if stream is None:
        raise LookupError("no video stream")
    return stream


def _bounded(container, limits: InputLimits) -> Any:
    """The film, to be decoded by some threads, of pictures up to the limit."""
    stream = _best(container)
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = _THREADS
    stream.codec_context.options = {"max_pixels": str(limits.max_video_pixels)}
    return stream


def _decoded(container, stream, damage: _Damage) -> Iterator[av.VideoFrame]:
    """Every frame that can be decoded; a damaged packet costs itself and no other."""
    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.FFmpegError:
                damage.packets += 1
                if damage.first_s is None and packet.pts is not None:
                    damage.first_s = float(packet.pts * packet.time_base)
    except av.FFmpegError:  # the container itself: a clip that was cut off in transfer
        damage.is_cut = True


def _pixel_aspect(stream) -> float:
    """Width of a stored pixel by its height; 1 where the file says nothing that makes sense."""
    said = stream.sample_aspect_ratio
    if not said or max(said.numerator, said.denominator) > _LARGEST_ASPECT_TERM:
        return 1.0
    return float(said) if 1 / _ASPECT <= said <= _ASPECT else 1.0


def _upright(frame: av.VideoFrame, aspect: float, reformatter: VideoReformatter) -> Image.Image:
    """8-bit sRGB with square pixels, turned and mirrored as the display matrix says."""
    mapped: dict[str, Any] = {}
    if frame.color_trc in _HDR:
        mapped = {"dst_color_trc": ColorTrc.BT709, "dst_color_primaries": ColorPrimaries.BT709}
    if frame.colorspace == _UNSPECIFIED and frame.height >= _HD_ROWS:
        mapped["src_colorspace"] = Colorspace.ITU709  # what cameras mean that do not say
    pixels = reformatter.reformat(frame, format="rgb24", **mapped).to_ndarray()
    # Both fields of an interlaced frame are of different moments: one is used, lines doubled.
    height = len(pixels)
    picture = Image.fromarray(pixels[::2] if frame.interlaced_frame else pixels)
    width = round(picture.width * aspect) if aspect >= 1 else picture.width
    if aspect < 1:  # pixels higher than wide: lines are added, none is thrown away
        height = round(height / aspect)
    if (width, height) != picture.size:
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    return _displayed(picture, _display_matrix(frame))


def _display_matrix(frame: av.VideoFrame) -> NDArray[np.float64] | None:
    """(2, 2) from stored to shown directions (x right, y down); None where there is none.

    Nine numbers, of which four turn (ISO/IEC 14496-12, section 6.2.2), in 16.16 fixed point.
    """
    side_data: Any = frame.side_data
    for data in side_data:
        if data.type == SideDataType.DISPLAYMATRIX:
            a, b, _, c, d, *_ = np.frombuffer(data, np.int32) / 65536
            matrix = np.array([[a, c], [b, d]])
            return matrix if abs(np.linalg.det(matrix)) > _SINGULAR else None
    return None


def _displayed(picture: Image.Image, matrix: NDArray[np.float64] | None) -> Image.Image:
    """A stored picture as it is to be seen: mirrored first, then turned."""
    if matrix is None:
        return picture
    if np.linalg.det(matrix) < 0:  # a reflection: what is left is a turn
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        matrix = matrix @ np.diag([-1.0, 1.0])
    degrees = -math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))  # counter-clockwise, y down
    quarters = round(degrees / 90)
    if abs(degrees - 90 * quarters) > _ODD_DEGREES:
        return picture.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    turn = Image.Transpose
    turns = (None, turn.ROTATE_90, turn.ROTATE_180, turn.ROTATE_270)[quarters % 4]
    return picture if turns is None else picture.transpose(turns)


def _small_grey(frame: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    """(h, 240) uint8, for looking at motion; cheap beside a whole picture."""
    height = max(1, round(LOOK_WIDTH * frame.height / frame.width))
    return reformatter.reformat(frame, LOOK_WIDTH, height, "gray").to_ndarray()
