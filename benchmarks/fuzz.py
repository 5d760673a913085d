"""Damaged files of every kind, as a visitor would send them: each ends in frames or a sentence.

`python -m benchmarks.fuzz [--cases 2000] [--seed 0]` mutates small pictures, zips and clips of all
formats that the page reads (bits, cuts, gaps, repeats, numbers at their extremes, halves of two
files), and decodes each in the child that the page would give it. What is neither decoded nor
refused by a sentence is kept in `--keep`, and so is what takes longer than its limit.
"""

from __future__ import annotations

import io
import itertools
import json
import random
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import tyro
from PIL import Image

from benchmarks.footprint import Footprint
from svggt.errors import BadInput, Busy
from svggt.media.clips import open_clip
from svggt.media.frames import VIDEO_SUFFIXES, InputLimits
from svggt.media.pictures import PICTURE_SUFFIXES, ZIP_SUFFIX

_LIMITS = InputLimits(max_frames=20)
_SIZE = (84, 56)
_LIMIT_SECONDS = 30.0  # of one file: more is a hang
_KINDS = {".jfif": "JPEG", ".jpg": "JPEG", ".mts": "mpegts", ".m2ts": "mpegts", ".m4v": "mp4"}
_ANIMATED = (".gif", ".webp", ".png", ".tif", ".tiff", ".avif")
_EXTREMES = (b"\x00" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0")


@dataclass
class Found:
    """What came of the files.

    Attributes:
        cases: files, by the suffix of their names.
        frames: of them, those that gave frames.
        refused: those that were refused by a sentence, by its first words.
        failed: what must not be, a line each.
        slowest_s: seconds of the slowest.
        children: processes more than before.
        files: descriptors more than before.
        memory: of this process and its children, by what it was after a tenth of the cases.
    """

    cases: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    children: int = 0
    files: int = 0
    memory: float = 1.0


def whole_files() -> dict[str, bytes]:
    """A small good file of every kind, by suffix."""
    pictures = {suffix: _picture(suffix) for suffix in PICTURE_SUFFIXES}
    videos = {suffix: _video(suffix) for suffix in VIDEO_SUFFIXES}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for suffix in (".jpg", ".png", ".gif"):
            archive.writestr(f"walk/{suffix[1:]}{suffix}", pictures[suffix])
    return pictures | videos | {ZIP_SUFFIX: buffer.getvalue()}


def mutated(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """One to four damages of a file, by another one's bytes where two are joined."""
    for _ in range(chance.randint(1, 4)):
        data = chance.choice(_DAMAGES)(data, other, chance) or b"\0"
    return data


def fuzz(cases: int, seed: int, keep: Path | None = None) -> Found:
    """Decodes so many damaged files.

    Args:
        cases: files, as many of each kind.
        seed: of the damages.
        keep: folder for files that failed.
    """
    chance, found, whole = random.Random(seed), Found(), whole_files()  # noqa: S311
    begun = _held()
    with tempfile.TemporaryDirectory() as folder:
        for number, suffix in zip(range(cases), itertools.cycle(whole), strict=False):
            path = Path(folder, f"case{suffix}")
            path.write_bytes(mutated(whole[suffix], chance.choice([*whole.values()]), chance))
            failures = len(found.failed)
            _decode(path, found)
            if len(found.failed) > failures and keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{seed}-{number}{suffix}").write_bytes(path.read_bytes())
            if number == cases // 10:
                begun = _held()  # what is loaded once is there
    (children, files, memory), after = begun, _held()
    found.children, found.files = after[0] - children, after[1] - files
    found.memory = after[2] / memory
    return found


def main(
    cases: int = 2000, seed: int = 0, keep: Path | None = None, json_path: Path | None = None
) -> int:
    """Fuzzes and prints what came of it; 1 where something must not be.

    Args:
        cases: files, as many of each kind.
        seed: of the damages.
        keep: folder for files that failed.
        json_path: where the figures go too.
    """
    found = fuzz(cases, seed, keep)
    sys.stdout.write(
        f"{cases} files of {len(found.cases)} kinds: {found.frames} decoded, "
        f"{found.refused.total()} refused, {len(found.failed)} failed; slowest "
        f"{found.slowest_s:.1f} s; {found.children} processes and {found.files} descriptors more; "
        f"memory {found.memory:.2f} of what it was\n"
    )
    for line in [*(f"{n:5} {words}" for words, n in found.refused.most_common()), *found.failed]:
        sys.stdout.write(f"{line}\n")
    if json_path is not None:
        json_path.write_text(json.dumps(asdict(found), indent=1))
    return int(bool(found.failed) or found.children > 0 or found.files > 0)


def _decode(path: Path, found: Found) -> None:
    """As a run does: looked at first, then every frame."""
    found.cases[path.suffix] += 1
    began = time.perf_counter()
    try:
        frames = sum(1 for _ in open_clip([path], 84, None, _LIMITS).frames())
        found.frames += 1
        if not 0 < frames <= _LIMITS.max_frames:
            found.failed.append(f"{path.suffix}: {frames} frames without a sentence")
    except Busy as error:
        found.failed.append(f"{path.suffix}: {error}")
    except BadInput as error:
        words = str(error).replace(f"“{path.name}” ", "")
        found.refused[" ".join(words.split()[:7])] += 1
    except Exception as error:  # noqa: BLE001  # what must not come
        found.failed.append(f"{path.suffix}: {type(error).__name__}: {error}")
    seconds = time.perf_counter() - began
    found.slowest_s = max(found.slowest_s, seconds)
    if seconds > _LIMIT_SECONDS:
        found.failed.append(f"{path.suffix}: {seconds:.0f} s")


def _cut(data: bytes, other: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def _flip(data: bytes, other: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 4, 32))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _extreme(data: bytes, other: bytes, chance: random.Random) -> bytes:
    at, value = chance.randrange(min(len(data), 512)), chance.choice(_EXTREMES)
    return data[:at] + value + data[at + len(value) :]


def _gap(data: bytes, other: bytes, chance: random.Random) -> bytes:
    at, length = chance.randrange(len(data)), chance.randrange(1, 200)
    return data[:at] + data[at + length :]


def _zeros(data: bytes, other: bytes, chance: random.Random) -> bytes:
    at, length = chance.randrange(len(data)), chance.randrange(1, 200)
    return data[:at] + bytes(length) + data[at + length :]


def _repeat(data: bytes, other: bytes, chance: random.Random) -> bytes:
    at, length = chance.randrange(len(data)), chance.randrange(1, 400)
    return data[:at] + chance.randint(2, 20) * data[at : at + length] + data[at:]


def _join(data: bytes, other: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :]


_DAMAGES: tuple[Callable[[bytes, bytes, random.Random], bytes], ...] = (
    *(_cut, _flip, _flip, _extreme, _extreme, _gap, _zeros, _repeat, _join),
)


def _picture(suffix: str) -> bytes:
    pictures, buffer = [_noise(seed) for seed in range(3)], io.BytesIO()
    kind = _KINDS.get(suffix) or Image.registered_extensions()[suffix]
    exif = Image.Exif()
    exif[0x0112] = 6
    how = {"exif": exif.tobytes()} if kind in ("JPEG", "WEBP", "PNG") else {}
    if suffix in _ANIMATED:
        how |= {"save_all": True, "append_images": pictures[1:]}
    pictures[0].save(buffer, kind, **how)
    return buffer.getvalue()


def _video(suffix: str) -> bytes:
    buffer = io.BytesIO()
    codec = {".webm": "libvpx-vp9", ".avi": "mjpeg"}.get(suffix, "libx264")
    kind = _KINDS.get(suffix, {".ts": "mpegts", ".mkv": "matroska"}.get(suffix, suffix[1:]))
    with av.open(buffer, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = _SIZE
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for number in range(8):
            frame = av.VideoFrame.from_image(_noise(number))
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def _noise(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (7, 10, 3), np.uint8)
    return Image.fromarray(pixels).resize(_SIZE, Image.Resampling.BICUBIC)


def _held() -> tuple[int, int, float]:
    """Children; descriptors open here and in them; and memory, MB."""
    time.sleep(1.0)  # children end by themselves
    us = psutil.Process()
    everyone = [us, *us.children(recursive=True)]
    descriptors = sum(each.num_fds() for each in everyone)
    return len(everyone) - 1, descriptors, Footprint.of(us).uss_mb


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
