"""Files as visitors send them: videos, pictures and what a camera's page sends."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from tests.conftest import make_frames


def write_video(
    path: Path,
    count: int = 30,
    rate: int = 30,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: list[float] | None = None,
    size: tuple[int, int] = (96, 64),
) -> Path:
    """A video whose frame i has brightness 6 i + 40; its left half is red."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if codec == "libx265":
            stream.options = {"x265-params": "log-level=error"}
        for i in range(count):
            pixels = np.full((size[1], size[0], 3), min(6 * i + 40, 255), np.uint8)
            pixels[:, : size[0] // 2, 1:] = 0
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = round(1000 * (times[i] if times else i / rate))
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_pictures(folder: Path, count: int) -> list[Path]:
    """Smooth noise that drifts, as files."""
    folder.mkdir()
    paths = [folder / f"{frame.number}.png" for frame in make_frames(count)]
    for frame, path in zip(make_frames(count), paths, strict=True):
        Image.fromarray(frame.image).save(path)
    return paths


def jpeg(seed: int, size: tuple[int, int] = (64, 48)) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (size[1] // 8, size[0] // 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()
