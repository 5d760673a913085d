"""One run on disk: what it was made by, its frames, its cameras, and what was exported of it.

```
run.json        settings, clip, state; written at the beginning and at the end
frames/         a file a frame (svggt.archive)
cameras.jsonl   refined cameras (svggt.store.journal)
source/         the clip's files
exports/        files made for download
beside/         a run that it is compared with, and what was found (svggt.compare)
```
A process may be killed at any moment: what is then read is whole, and a run without an end counts
as interrupted.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from svggt.archive import FrameArchive
from svggt.clips import Clip
from svggt.files import whole
from svggt.frames import Frame
from svggt.prediction import FramePrediction
from svggt.progress import State
from svggt.refine.correction import Correction
from svggt.scene.look import Look
from svggt.settings import StreamSettings
from svggt.store.journal import CameraJournal

log = logging.getLogger(__name__)

BESIDE = "beside"
"""Folder of the run that one is compared with."""


@dataclass(frozen=True)
class About:
    """What there is to say of a run, besides its frames.

    Attributes:
        settings: of its stream.
        model_note: what the weights are, for people.
        clip: where its frames come from; None: a camera, which is gone.
        max_frames: at most, which share the scene's points.
        look: how the scene looked at first.
        began: seconds since 1970.
        state: of the run; "running" until it has ended.
        message: how it ended, for people.
        elapsed_s: that it took.
    """

    settings: StreamSettings
    model_note: str
    clip: Clip | None
    max_frames: int
    look: Look
    began: float
    state: State = "running"
    message: str = ""
    elapsed_s: float = 0.0


_ABOUT = TypeAdapter(About)


class Recording:
    """The folder of one run. Holds no open file; several may read while one writes.

    Args:
        folder: made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.frames = FrameArchive(folder / "frames")
        self.cameras = CameraJournal(folder / "cameras.jsonl")
        self.exports = folder / "exports"
        self.exports.mkdir(exist_ok=True)
        self._source = folder / "source"
        self._path = folder / "run.json"

    @property
    def has_run(self) -> bool:
        """Whether there is a run, of whatever version."""
        return self._path.is_file()

    @property
    def stamp(self) -> int:
        """Changes when a run begins, goes on or ends; 0 without a run."""
        return self._path.stat().st_mtime_ns if self.has_run else 0

    @property
    def about(self) -> About | None:
        """Of the run; None if there is none, or if it was written by another version."""
        try:
            return _ABOUT.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            log.exception("%s is not of this version", self._path)
            return None

    def begin(self, about: About) -> None:
        """Forgets the last run and begins the next one; the clip's files are kept with it.

        Where they cannot be, the last run stays.
        """
        staged = self._source.with_name("source.part")
        shutil.rmtree(staged, ignore_errors=True)
        if about.clip is not None:
            about = replace(about, clip=self._with_files(about.clip, staged))
        self.clear()
        if about.clip is not None:
            staged.rename(self._source)
        self._write(about)

    def go_on(self) -> None:
        """Says that an ended or interrupted run goes on."""
        self.cameras.compact()
        self._clear_exports()
        self._end("running", "", 0.0)

    def add(self, frame: Frame, prediction: FramePrediction, corrections: list[Correction]) -> None:
        """Keeps a frame, and what its coming changed of the cameras."""
        self.frames.add(prediction, frame.grey)
        self.cameras.append(corrections)

    def end(self, state: State, message: str, elapsed_s: float) -> None:
        """Says how the run ended; until then it counts as interrupted."""
        self.cameras.compact()
        self._clear_exports()  # of cameras that were not the last
        self._end(state, message, elapsed_s)

    def kept_frames(self) -> Iterator[Frame]:
        """What the model was given so far, to rebuild a stream from."""
        return map(self.frames.frame, range(len(self.frames)))

    @property
    def beside(self) -> Recording:
        """The run that this one is compared with."""
        return Recording(self.folder / BESIDE)

    def forget_comparison(self) -> None:
        """Forgets what it was compared with, and the report."""
        shutil.rmtree(self.folder / BESIDE, ignore_errors=True)
        for report in self.exports.glob("comparison*"):
            report.unlink(missing_ok=True)

    def clear(self) -> None:
        """Forgets the run."""
        self._path.unlink(missing_ok=True)  # first: without it nothing else is read
        self.forget_comparison()
        self.frames.clear()
        self.cameras.clear()
        self._clear_exports()
        shutil.rmtree(self._source, ignore_errors=True)
        for begun in self.folder.glob("*.part"):
            if begun.is_file():
                begun.unlink(missing_ok=True)

    def _clear_exports(self) -> None:
        for path in self.exports.iterdir():
            path.unlink(missing_ok=True)

    def _end(self, state: State, message: str, elapsed_s: float) -> None:
        about = self.about
        if about is not None:
            self._write(replace(about, state=state, message=message, elapsed_s=elapsed_s))

    def _write(self, about: About) -> None:
        with whole(self._path) as path:
            path.write_bytes(_ABOUT.dump_json(about, indent=2))

    def _with_files(self, clip: Clip, staged: Path) -> Clip:
        """The clip with files of its own: those that were sent go after a while."""
        staged.mkdir()
        kept = []
        for number, path in enumerate(clip.paths):
            name = f"{number:06}{path.suffix.lower()}"
            try:
                os.link(path.resolve(), staged / name)  # costs nothing where it can be done
            except OSError:
                shutil.copyfile(path, staged / name)
            kept.append((self._source / name).absolute())
        return replace(clip, paths=tuple(kept))
