"""What can be taken away: a recording in the formats that others read.

An export is made once and lies beside its recording; it is whole or not there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from svggt.exports.arrays import write_depth, write_npz, write_tum
from svggt.exports.clouds import write_glb, write_ply
from svggt.exports.colmap import write_colmap
from svggt.exports.frames import Shots
from svggt.exports.replay import write_html, write_viser
from svggt.files import whole
from svggt.frames import BadInput
from svggt.scene.look import Cameras
from svggt.store.recording import Recording


@dataclass(frozen=True)
class Format:
    """One kind of export.

    Attributes:
        title: for people.
        suffix: of its file.
        write: writes it.
    """

    title: str
    suffix: str
    write: Callable[[Shots, Path], None]


_PATIENCE_SECONDS = 120.0

FormatName = Literal["glb", "ply", "colmap", "npz", "tum", "depth", "viser", "html"]

FORMATS: dict[FormatName, Format] = {
    "glb": Format("Points and cameras, GLB", ".glb", write_glb),
    "ply": Format("Points, PLY", ".ply", write_ply),
    "colmap": Format("COLMAP model, text and binary", "-colmap.zip", write_colmap),
    "npz": Format("All arrays, NPZ", ".npz", write_npz),
    "tum": Format("Trajectory, TUM", ".tum", write_tum),
    "depth": Format("Depth, 16-bit PNG", "-depth.zip", write_depth),
    "viser": Format("Replay, .viser", ".viser", write_viser),
    "html": Format("Replay, a page by itself", ".html", write_html),
}


class Exporter:
    """Makes exports, one at a time in this process: they take memory and both hands."""

    def __init__(self) -> None:
        self._turn = threading.Lock()

    def make(
        self,
        recording: Recording,
        format_name: FormatName,
        cameras: Cameras,
        on_frame: Callable[[int], None] = lambda number: None,
    ) -> Path:
        """The file of an export, made unless it is there.

        Args:
            recording: of a run, which may go on: then of the frames so far.
            format_name: of `FORMATS`.
            cameras: which; a refined export has the head's camera where there is no other.
            on_frame: told how many frames were read; may raise to end it.

        Raises:
            BadInput: there is no such format, or no frame; or too many want exports.
        """
        if format_name not in FORMATS or cameras not in ("refined", "head"):
            raise BadInput(f"There is no such export. Choose one of {', '.join(FORMATS)}.")
        count = len(recording.frames)
        if recording.about is None or not count:
            raise BadInput("There is nothing to export yet. Press Start first.")
        form = FORMATS[format_name]
        path = recording.exports / f"scene-{cameras}-{count}-frames{form.suffix}"
        if not self._turn.acquire(timeout=_PATIENCE_SECONDS):
            raise BadInput("Other exports are being made. Try again in a few minutes.")
        try:
            if not path.exists():
                with whole(path) as begun:
                    form.write(Shots(recording, cameras, count, on_frame), begun)
        finally:
            self._turn.release()
        return path
