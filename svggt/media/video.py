"""Video files, decoded one frame at a time by PyAV (FFmpeg), within `svggt.media.decoder`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorTrc, VideoReformatter
from PIL import Image

from svggt.errors import BadInput
from svggt.media.frame_selection import LOOK_WIDTH, Selection
from svggt.media.frames import Fitter, Frame, InputLimits, check_size
from svggt.media.sandbox import VideoInfo

_OPTIONS = {
    "protocol_whitelist": "file",  # a playlist must not reach the network,
    "format_whitelist": "mov,mp4,matroska,webm,avi",  # nor a script other files
}
_STREAMS = 64  # of one file; more are no clip
_NO_VIDEO = (
    "The file is not a video that can be decoded. Use MP4 or MOV with H.264 or HEVC, "
    "or WebM, and check that it plays."
)
_HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)  # PQ and HLG


def read_header(path: Path) -> VideoInfo:
    """What a video says of itself.

    Raises:
        BadInput: it is none.
    """
    try:
        with av.open(str(path), options=_OPTIONS) as container:
            if len(container.streams) > _STREAMS:
                raise BadInput(_NO_VIDEO)
            codec = container.streams.video[0].codec_context
            seconds = container.duration / av.time_base if container.duration else None
            return VideoInfo(codec.width, codec.height, seconds)
    except (av.FFmpegError, OSError, LookupError, ValueError):
        raise BadInput(_NO_VIDEO) from None


def frames_of(
    path: Path,
    width: int,
    selection: Selection,
    limits: InputLimits,
) -> Iterator[Frame]:
    """Chosen frames of a video, upright, decoded lazily.

    Args:
        path: a file whose header was read and accepted.
        width: the frames', pixels, a multiple of the patch.
        selection: chooses them.
        limits: what is accepted; frames after `max_seconds` are left out.

    Raises:
        BadInput: the video turns out damaged before its first frame, or changes to a size
            above the limit.
    """
    fitter, number = Fitter(width), 0
    reformatter = VideoReformatter()  # keeps its tone-mapping tables from frame to frame
    for time_s, picture in _decode(path, limits):
        if time_s > limits.max_seconds:
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
