"""One run on disk: what it was made by, its frames, its cameras, and what was exported of it.

```
run.json        settings, clip, state; written at the beginning and at the end
frames/         a file a frame (svggt.store.frame_archive)
stream_N.safetensors  its stream after N frames, of a run that was stopped (svggt.engine.snapshot)
cameras.jsonl   refined cameras (svggt.store.journal)
metres.json     how long the scene's unit of length is, where a visitor measured
source/         the clip's files
exports/        files made for download
beside/         a run that it is compared with, and what was found (svggt.compare)
```
A process may be killed at any moment: what is then read is whole, and a run without an end counts
as interrupted.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from svggt.errors import DISK_FULL, BadInput, writing
from svggt.files import atomic_write
from svggt.media.clips import Clip
from svggt.media.frames import Frame
from svggt.prediction import FramePrediction
from svggt.refine.correction import Correction
from svggt.refine.tracking import Sightings
from svggt.settings import StreamSettings
from svggt.store import claim
from svggt.store.claim import FORMAT
from svggt.store.frame_archive import FrameArchive
from svggt.store.journal import CameraJournal
from svggt.view_options import Cameras, ViewOptions

log = logging.getLogger(__name__)

RunState = Literal["empty", "running", "finished", "stopped", "failed", "interrupted"]

BESIDE = "beside"
"""Folder of the run that one is compared with."""


@dataclass(frozen=True)
class About:
    """What there is to say of a run, besides its frames.

    Attributes:
        settings: how its stream is computed.
        clip: where its frames come from; None: a camera, which is gone.
        max_frames: at most, which share the scene's points.
        look: how the scene looked at first.
        began: seconds since 1970.
        state: how it ended; "running" until then.
        message: how it ended, for people.
        elapsed_s: that it took.
        sent: files as they were sent, which wait for another Start for a while.
        frames: that there were when it ended; 0 before, and where an older version kept it.
        earlier: memories that the stream had before that of the settings, in order: until which
            frame, by which settings.
    """

    settings: StreamSettings
    clip: Clip | None
    max_frames: int
    look: ViewOptions
    began: float
    state: RunState = "running"
    message: str = ""
    elapsed_s: float = 0.0
    sent: tuple[Path, ...] = ()
    frames: int = 0
    earlier: tuple[tuple[int, StreamSettings], ...] = ()

    @property
    def memories(self) -> list[tuple[int, StreamSettings]]:
        """By which settings its stream remembers, each from a frame on; the first from frame 0."""
        firsts = [0, *(until for until, _ in self.earlier)]
        settings = [*(before for _, before in self.earlier), self.settings]
        return list(zip(firsts, settings, strict=True))

    @property
    def memory_changes(self) -> tuple[tuple[int, str], ...]:
        """Frames from which the stream remembered otherwise, each with how, for people."""
        return tuple((first, settings.memory_title) for first, settings in self.memories[1:])


_LONGEST = 1e9  # metres, of a scene's unit
_FRAMES_A_LOOK = 16  # between two looks whether the disk has room
_ABOUT, _METRES = TypeAdapter(About), TypeAdapter(dict[Cameras, float])


def _upgraded(kept: dict[str, Any]) -> dict[str, Any]:
    """What run.json holds, as this version says it.

    The first version named no format. One before this one kept of other memories only titles: the
    last memory stands for them.

    Raises:
        ValueError: a newer version wrote it.
    """
    version = kept.get("format", 1) if isinstance(kept, dict) else None
    if version not in range(1, FORMAT + 1):
        raise ValueError(f"format {version}, and this version reads up to {FORMAT}")
    told = {name: value for name, value in kept.items() if name != "format"}
    titled = told.pop("memory_changes", [])
    if titled:
        told["earlier"] = [[number, told["settings"]] for number, _ in titled]
    return told


class Recording:
    """The folder of one run. Holds no open file; several may read while one writes.

    Args:
        folder: made if it is not there.
        has_room: see `Store.has_room`; without it, always.

    Attributes:
        running: whether a run writes to it now, through this object.
    """

    def __init__(
        self, folder: Path, has_room: Callable[..., bool] = lambda num_bytes, others_go=False: True
    ) -> None:
        self.folder, self._has_room = folder, has_room
        self.running = False
        folder.mkdir(parents=True, exist_ok=True)
        self.frames = FrameArchive(folder / "frames")
        self.cameras = CameraJournal(folder / "cameras.jsonl")
        self.exports = folder / "exports"
        self._make_folders()
        self._source = folder / "source"
        self._path, self._metres_path = folder / "run.json", folder / "metres.json"

    @property
    def has_run(self) -> bool:
        """Whether there is a run, of whatever version."""
        return self._path.is_file()

    @property
    def stamp(self) -> int:
        """Changes when a run begins, is resumed or ends; 0 without a run."""
        return self._path.stat().st_mtime_ns if self.has_run else 0

    @property
    def about(self) -> About | None:
        """Of the run; None if there is none, it is damaged, or another version wrote it."""
        try:
            kept = json.loads(self._path.read_bytes())
            about = _ABOUT.validate_python(_upgraded(kept))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError):  # no JSON, or of another version
            log.exception("%s cannot be read", self._path)
            return None
        if about.clip is None:
            return about
        # A store may have been moved: the clip's files lie here, wherever they were.
        paths = tuple(self._source.absolute() / path.name for path in about.clip.paths)
        return replace(about, clip=replace(about.clip, paths=paths))

    def begin(self, about: About) -> None:
        """Forgets the last run and begins the next one; the clip's files are kept with it.

        Where they cannot be, the last run stays.
        """
        staged = self._source.with_name("source.part")
        shutil.rmtree(staged, ignore_errors=True)
        if about.clip is not None:
            about = replace(about, clip=self._with_files(about.clip, staged))
        self.clear(spared={staged.name})
        if about.clip is not None:
            self._source.mkdir(exist_ok=True)
            for path in staged.iterdir():
                path.replace(self._source / path.name)
            staged.rmdir()
        self._write(about)
        self.running = True

    def resume(self) -> None:
        """Says that an ended or interrupted run is resumed."""
        self.cameras.compact()
        self._clear_exports()
        self._end("running", "", 0.0)
        self.running = True

    def add(
        self,
        frame: Frame,
        prediction: FramePrediction,
        corrections: list[Correction],
        sightings: Sightings | None = None,
    ) -> None:
        """Keeps a frame, and what its coming changed of the cameras."""
        self.frames.add(prediction, frame.grey, sightings)
        self.cameras.append(corrections)

    def end(self, state: RunState, message: str, elapsed_s: float) -> None:
        """Says how the run ended; until then it counts as interrupted."""
        self.running = False
        self.cameras.compact()
        self._clear_exports()  # of cameras that were not the last
        self._end(state, message, elapsed_s)
        if state == "finished":
            self.clear_snapshots()

    def change_memory(self, settings: StreamSettings, number: int) -> None:
        """Says that the stream remembers otherwise from a frame on."""
        about = self.about
        if about is not None:
            changed = about.settings.with_memory_of(settings)
            earlier = (*about.earlier, (number, about.settings))
            self._write(replace(about, settings=changed, earlier=earlier))

    @property
    def metres(self) -> Mapping[Cameras, float]:
        """That the scene's unit of length is, by the cameras that it was measured by."""
        try:
            known = _METRES.validate_json(self._metres_path.read_bytes())
            return {name: length for name, length in known.items() if _is_length(length)}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            log.exception("%s cannot be read", self._metres_path)
            return {}

    def set_metres(self, cameras: Cameras, metres: float | None) -> None:
        """Says how long the scene's unit is, as measured by some cameras; None: nobody knows.

        Raises:
            BadInput: it is no length, or the disk takes nothing.
        """
        if metres is not None and not _is_length(metres):
            raise BadInput("A known length is a number of more than 0. Measure once more.")
        known = dict[Cameras, float](self.metres)
        known.pop(cameras, None)
        if metres is not None:
            known[cameras] = metres
        with writing(), atomic_write(self._metres_path) as path:
            path.write_bytes(_METRES.dump_json(known))

    def snapshot(self, num_frames: int) -> Path:
        """Where its stream lies after so many frames, if it does."""
        return self.folder / f"stream_{num_frames:06}.safetensors"

    def newest_snapshot(self, most: int | None = None) -> int | None:
        """Frames after which its stream was kept last, as far as frames are there; None: never.

        Args:
            most: frames that are looked at; all if left out.
        """
        most = len(self.frames) if most is None else min(most, len(self.frames))
        kept = (int(path.stem.removeprefix("stream_")) for path in self._snapshots())
        return max((number for number in kept if number <= most), default=None)

    def clear_snapshots(self, spared: int | None = None) -> None:
        """Forgets what its stream was, but for after so many frames."""
        for path in self._snapshots():
            if spared is None or path != self.snapshot(spared):
                path.unlink(missing_ok=True)

    def makes_room(self, num_bytes: int) -> bool:
        """Whether disk and quota take so many bytes, after the oldest recordings went for them."""
        return self._has_room(num_bytes, others_go=True)

    def check_room(self, num_bytes: int = 0) -> None:
        """Raises BadInput where the disk, or the quota of all recordings, takes no more.

        Args:
            num_bytes: that are to be written at once; nothing goes for them.
        """
        if not self._has_room(num_bytes):
            raise BadInput(DISK_FULL)

    @property
    def beside(self) -> Recording:
        """The run that this one is compared with."""
        return Recording(self.folder / BESIDE, self._has_room)

    def forget_comparison(self) -> None:
        """Forgets what it was compared with, and the report."""
        claim.delete_ours(self.folder / BESIDE)
        for report in self.exports.glob("comparison*"):
            report.unlink(missing_ok=True)

    def clear(self, spared: Set[str] = frozenset()) -> None:
        """Forgets the run, but for what is spared by name."""
        claim.delete_ours(self.folder, {"tokens.json", *spared})
        self._make_folders()

    def _snapshots(self) -> list[Path]:
        found = self.folder.glob("stream_*.safetensors")
        return [path for path in found if claim.is_ours(self.folder, path)]

    def _make_folders(self) -> None:
        self.frames.folder.mkdir(parents=True, exist_ok=True)
        self.exports.mkdir(exist_ok=True)

    def _clear_exports(self) -> None:
        for path in self.exports.iterdir():
            if claim.is_ours(self.folder, path):
                path.unlink(missing_ok=True)

    def _end(self, state: RunState, message: str, elapsed_s: float) -> None:
        about = self.about
        if about is not None:
            ended = replace(about, state=state, message=message, elapsed_s=elapsed_s)
            self._write(replace(ended, frames=len(self.frames)))

    def _write(self, about: About) -> None:
        kept = {"format": FORMAT, **_ABOUT.dump_python(about, mode="json")}
        with atomic_write(self._path) as path:
            path.write_text(json.dumps(kept, indent=2) + "\n", "utf-8")

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


def _is_length(metres: float) -> bool:
    """Whether a scene's unit may be as long."""
    return 1 / _LONGEST < metres < _LONGEST


def looks_for_room(number: int) -> bool:
    """Whether it is looked after a frame if the disk still has room for a run."""
    return number % _FRAMES_A_LOOK == 0
