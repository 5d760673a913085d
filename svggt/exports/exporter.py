"""What can be taken away: a recording in the formats that others read.

An export is made once and lies beside its recording; it is whole or not there,
and of one state of its cameras.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from svggt.errors import BadInput, Busy, Cancelled, writing
from svggt.exports.arrays import write_depth, write_npz, write_tum
from svggt.exports.clouds import write_glb, write_ply
from svggt.exports.colmap import write_colmap, write_undistorted
from svggt.exports.comparison import write_comparison
from svggt.exports.film import write_animation, write_film
from svggt.exports.large_depth import write_large_depth
from svggt.exports.mesh import write_mesh
from svggt.exports.nerfstudio import write_nerfstudio
from svggt.exports.replay import write_html, write_viser
from svggt.store.posed_frames import PosedFrames
from svggt.store.recording import Recording
from svggt.view_options import Cameras


@dataclass(frozen=True)
class Format:
    """One kind of export.

    Attributes:
        title: for people.
        suffix: what its file's name ends with.
        write: writes it.
        stem: what its name begins with.
        metric: whether it is in metres, where somebody measured.
        says_unit: whether it says how long things are: of another unit it is another file.
    """

    title: str
    suffix: str
    write: Callable[[PosedFrames, Path], None]
    stem: str = "scene-{cameras}-{count}-frames"
    metric: bool = True
    says_unit: bool = True


_MOST_WAITING, _MOST_OF_ADDRESS = 8, 2
_CHANGED = "The run went on or was deleted meanwhile. Prepare the file once more."

FormatName = Literal[
    "glb",
    "ply",
    "mesh",
    "colmap",
    "colmap-undistorted",
    "nerfstudio",
    "npz",
    "tum",
    "depth",
    "depth-large",
    "viser",
    "html",
    "film",
    "gif",
    "comparison",
]

FORMATS: dict[FormatName, Format] = {
    "glb": Format("Points and cameras, GLB", ".glb", write_glb),
    "ply": Format("Points, PLY", ".ply", write_ply),
    "mesh": Format("Surface, GLB", "-mesh.glb", write_mesh),
    "colmap": Format("COLMAP model, text and binary", "-colmap.zip", write_colmap),
    "colmap-undistorted": Format(
        "COLMAP model, pictures undistorted", "-undistorted.zip", write_undistorted
    ),
    "nerfstudio": Format(
        "nerfstudio: pictures, depth, cameras", "-nerfstudio.zip", write_nerfstudio
    ),
    "npz": Format("All arrays, NPZ", ".npz", write_npz),
    "tum": Format("Trajectory, TUM", ".tum", write_tum),
    "depth": Format("Depth, 16-bit PNG", "-depth.zip", write_depth),
    "depth-large": Format(
        "Depth at the pictures’ size, and a script for points",
        "-depth-large.zip",
        write_large_depth,
    ),
    "viser": Format("Replay, .viser", ".viser", write_viser, metric=False),
    "html": Format("Replay, a page by itself", ".html", write_html, metric=False),
    "film": Format(
        "Film of the run and a flight, MP4", ".mp4", write_film, metric=False, says_unit=False
    ),
    "gif": Format("The same, GIF", ".gif", write_animation, metric=False, says_unit=False),
    "comparison": Format(
        "Comparison, report", ".zip", write_comparison, "comparison", False, False
    ),
}


def make_export(
    recording: Recording,
    format_name: FormatName,
    cameras: Cameras,
    on_frame: Callable[[int], None] = lambda number: None,
) -> Path:
    """The file of an export, made unless it is there.

    Args:
        recording: a run that may go on; then the frames so far are exported.
        format_name: one of `FORMATS`.
        cameras: which; a refined export has the head's camera where there is no other.
        on_frame: told how many frames were read; may raise to end it.

    Raises:
        BadInput: there is no such format, or no frame; or the run ended or was deleted meanwhile.
    """
    if format_name not in FORMATS or cameras not in ("refined", "head"):
        raise BadInput(f"There is no such export. Choose one of {', '.join(FORMATS)}.")
    stamp, form = recording.stamp, FORMATS[format_name]
    shots = PosedFrames.of(recording, cameras, on_frame, form.metric)
    if not stamp or not shots.count:
        raise BadInput("There is nothing to export yet. Press Start first.")
    metres = recording.metres.get(cameras) if form.says_unit else None
    unit = "" if metres is None else f"-unit-{metres:.6g}m"
    name = form.stem + unit + form.suffix
    path = recording.exports / name.format(cameras=cameras, count=shots.count)
    if path.exists():
        return path
    begun = recording.folder / f"{secrets.token_hex(4)}{form.suffix}.part"
    with writing():
        try:
            form.write(shots, begun)
            if recording.stamp != stamp:
                raise BadInput(_CHANGED)
            for older in recording.exports.glob(name.format(cameras=cameras, count="*")):
                older.unlink(missing_ok=True)
            return begun.replace(path)
        except (KeyError, FileNotFoundError):
            raise BadInput(_CHANGED) from None
        finally:
            begun.unlink(missing_ok=True)


def lacking(recording: Recording) -> str:
    """What exports of a recording lack, a sentence for people; empty: nothing."""
    thinned, count = recording.frames.num_thinned, len(recording.frames)
    if not thinned:
        return ""
    return (
        f"{thinned} of {count} frames were thinned when the disk became short: their pictures are "
        "kept as JPEG, a quarter of their depth, and no point maps."
    )


class Exporter:
    """Makes exports, one at a time in this process: they take memory and both hands."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="export")
        self._lock, self._waiting = threading.Lock(), Counter[str]()  # by address
        self._closed = threading.Event()

    def close(self) -> None:
        """Ends the one under way, and forgets those that wait."""
        self._closed.set()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def submit(
        self,
        recording: Recording,
        format_name: FormatName,
        cameras: Cameras,
        on_frame: Callable[[int], None] = lambda number: None,
        address: str = "",
    ) -> Future[Path]:
        """Makes an export when those before it are done; see `make_export`.

        Args:
            recording: the run.
            format_name: one of `FORMATS`.
            cameras: which.
            on_frame: told how many frames were read; may raise to end it.
            address: the visitor's who asks for it; empty: for a page that needs it.

        Raises:
            Busy: too many wait, or too many of this address.
        """
        with self._lock:
            if self._waiting.total() >= _MOST_WAITING:
                raise Busy("Many exports are being made. Try again in a minute.")
            if address and self._waiting[address] >= _MOST_OF_ADDRESS:
                raise Busy("Two exports of yours are being made. Wait until one is done.")
            self._waiting[address] += 1

        def watched(number: int) -> None:
            if self._closed.is_set():
                raise Cancelled
            on_frame(number)

        future = self._thread.submit(make_export, recording, format_name, cameras, watched)
        future.add_done_callback(lambda _: self._done(address))
        return future

    def _done(self, address: str) -> None:
        with self._lock:
            self._waiting -= Counter([address])  # without those that are at 0
