"""A comparison's report as one file."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

from svggt.compare.report import command_of, write_report
from svggt.compare.result import ComparisonResult
from svggt.errors import BadInput
from svggt.store.posed_frames import PosedFrames


def write_comparison(shots: PosedFrames, path: Path) -> None:
    """A zip of what `svggt.compare.report` writes.

    Raises:
        BadInput: nothing was compared yet, or something else meanwhile.
    """
    recording = shots.recording
    about, outcome = recording.about, ComparisonResult.read(recording.beside.folder)
    if outcome is None or about is None:
        raise BadInput("There is no comparison yet. Open “Compare” and press Compare first.")
    a, b = (
        PosedFrames.of(each, side.way.cameras, shots.on_frame).first_of(outcome.frames)
        for each, side in zip((recording, recording.beside), outcome.sides.values(), strict=True)
    )
    command = None if about.clip is None else command_of(outcome, about.clip)
    with tempfile.TemporaryDirectory(prefix="svggt-report-") as folder:
        write_report(outcome, a, b, command, Path(folder))
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(Path(folder).iterdir()):
                archive.write(file, file.name)
    if ComparisonResult.read(recording.beside.folder) != outcome:
        raise BadInput("Another comparison began meanwhile. Make the report once more.")
