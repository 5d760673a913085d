"""`svggt run | resume | export | serve`: streams without a browser, and the page."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import rich
import tyro
from tqdm import tqdm

from svggt.engine.checkpoints import LoadedModel, automatic_model, load_model
from svggt.engine.devices import choose_device
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.engine.recorded_stream import RecordedStream
from svggt.errors import BadInput, ClusterRefused, StoreRefused
from svggt.exports.exporter import FormatName, lacking, make_export
from svggt.media import lens
from svggt.media.clips import Clip, open_clip, pictures_of_folder
from svggt.media.frames import InputLimits
from svggt.settings import AUTO, Precision, StreamSettings
from svggt.store.recording import About, Recording, RunState
from svggt.view_options import Cameras, CamerasChoice, ViewOptions, chosen_cameras

Formats = Annotated[tuple[FormatName, ...], tyro.conf.arg(metavar="FORMAT")]


def run(
    clip: Annotated[tuple[Path, ...], tyro.conf.Positional],
    out: Path,
    export: Formats = ("glb", "tum"),
    settings: Annotated[StreamSettings, tyro.conf.arg(name="")] = StreamSettings(refine=True),
    cameras: CamerasChoice = "auto",
    intrinsics: Path | None = None,
    rate: float | None = None,
    frames: int = 1000,
    whole: bool = False,
    precision: Precision = "auto",
) -> int:
    """Stream a clip into a folder, frame by frame, and export the scene.

    Args:
        clip: a video, pictures, or a folder of pictures.
        out: folder for the run; what is in it is a session that `resume` and `export` read.
        export: what to make of it at the end: glb, ply, mesh, colmap, colmap-undistorted,
            nerfstudio, npz, tum, depth, depth-large, viser, html, film, gif.
        settings: how the stream is computed; its model is auto, a preset, or a path to
            .safetensors, .pt, .pth.
        cameras: which the exports hold; auto is refined where the weights' head does not hold.
        intrinsics: text file with the 3x3 matrix in pixels, or fx fy cx cy, where no field of view
            is given; a folder's K.txt if left out.
        rate: frames a second taken from a video; chosen by motion if left out.
        frames: at most.
        whole: keep tall pictures whole, in narrower frames, instead of cutting them to a square.
        precision: numbers of the backbone.
    """
    if frames < 1:
        raise BadInput(f"--frames is the most frames to take: 1 or more, not {frames}.")
    if any(path.is_file() for path in out.rglob("*")):
        raise BadInput(f"{out} is not empty: name another folder, or resume the run in it.")
    loaded = load_model(_name(settings.model, precision), choose_device(precision))
    limits = InputLimits(max_frames=frames, max_bytes=sys.maxsize, max_files=sys.maxsize)
    opened = open_clip(_files(clip), loaded.input_width, rate, limits, whole)
    given = settings.field_of_view or _said_of_lens(clip, intrinsics)
    view = lens.known(given, opened.field_of_view, opened.across)
    settings = replace(settings, model=loaded.name, field_of_view=view)
    chosen = chosen_cameras(cameras, loaded.cameras_hold)
    look = ViewOptions(cameras=chosen)
    recording = Recording(out)
    recording.begin(About(settings, opened, frames, look, time.time()))
    state = _stream(loaded, settings, recording, opened)
    return _export(recording, export, chosen) if state == "finished" else 1


def resume(
    folder: Annotated[Path, tyro.conf.Positional],
    export: Formats = ("glb", "tum"),
    precision: Precision = "auto",
) -> int:
    """Resume a run that was interrupted; its stream is rebuilt from the frames kept.

    Args:
        folder: the run's folder.
        export: what to make of it at the end.
        precision: numbers of the backbone.
    """
    recording, about = _existing(folder)
    if about.state == "finished" or about.clip is None:
        raise BadInput(f"The run in {folder} has ended: there is nothing to resume.")
    loaded = load_model(about.settings.model, choose_device(precision))
    state = _stream(loaded, about.settings, recording, about.clip, resumed=True)
    return _export(recording, export, about.look.cameras) if state == "finished" else 1


def export(
    folder: Annotated[Path, tyro.conf.Positional],
    formats: Annotated[tuple[FormatName, ...], tyro.conf.Positional],
    cameras: Cameras | None = None,
    metres: float | None = None,
) -> int:
    """Make files of a run for other programs.

    Args:
        folder: the run's; one of a server's store does too.
        formats: glb, ply, mesh, colmap, colmap-undistorted, nerfstudio, npz, tum, depth,
            depth-large, viser, html, film, gif.
        cameras: which; those of the run if left out.
        metres: that the scene's unit of length is: files are in metres from now on; 0: in its own.
    """
    recording, about = _existing(folder)
    chosen = cameras or about.look.cameras
    if metres is not None:
        recording.set_metres(chosen, metres or None)
    return _export(recording, formats, chosen)


def _stream(
    loaded: LoadedModel,
    settings: StreamSettings,
    recording: Recording,
    clip: Clip,
    resumed: bool = False,
) -> RunState:
    """The run itself; Ctrl-C ends it, and it can be resumed later."""
    worker = LocalWorker(ModelRegistry([loaded]))
    stream = RecordedStream(worker, settings, recording)
    if resumed:
        recording.resume()
    began, done, seconds, state = time.perf_counter(), 0, 0.0, "finished"
    ended = threading.Event()
    try:
        frames = stream.frames_of(clip, ended.is_set, tqdm.write)
        for step in tqdm(stream.steps(frames), total=clip.total, unit="frame"):
            done = step.prediction.number + 1
        stream.finalize()
        seconds = time.perf_counter() - began
        _adjust(stream)
        if clip.is_cut(done):
            tqdm.write(f"The clip has more than {done} frames; --frames takes more of them.")
    except KeyboardInterrupt:
        state: RunState = "stopped"
        seconds = time.perf_counter() - began
    finally:
        ended.set()  # frames may still be read
        stream.close()
        worker.shutdown()
    recording.end(state, f"{state.capitalize()}: {done} frames.", seconds)
    sys.stdout.write(f"{state}: {done} frames, {1000 * seconds / max(1, done):.0f} ms each\n")
    return state


def _adjust(stream: RecordedStream) -> None:
    """All cameras at once; Ctrl-C skips it, and the run is whole."""
    with tqdm(total=100, desc="adjusting all cameras", unit="%", leave=False) as bar:
        try:
            stream.adjust(lambda share: _show(bar, int(100 * share)))
        except KeyboardInterrupt:
            tqdm.write("The adjustment of all cameras is left out.")


def _export(recording: Recording, formats: Sequence[FormatName], cameras: Cameras) -> int:
    for name in formats:
        with tqdm(total=len(recording.frames), desc=name, unit="frame", leave=False) as bar:
            # Some formats read frames twice.
            path = make_export(
                recording, name, cameras, lambda number, bar=bar: _show(bar, number + 1)
            )
        sys.stdout.write(f"{path}\n")
    if said := lacking(recording):
        sys.stdout.write(f"{said}\n")
    return 0


def _show(bar: tqdm, done: int) -> None:
    bar.update(max(0, done - bar.n))


def _existing(folder: Path) -> tuple[Recording, About]:
    about = Recording(folder).about if (folder / "run.json").is_file() else None
    if about is None:
        raise BadInput(f"{folder} holds no run. Make one: svggt run CLIP --out {folder}")
    return Recording(folder), about


def _files(clip: tuple[Path, ...]) -> list[Path]:
    """The files meant; a folder means the pictures in it."""
    if len(clip) == 1 and clip[0].is_dir():
        return pictures_of_folder(clip[0])
    missing = [path for path in clip if not path.is_file()]
    if missing:
        raise BadInput(f"There is no file {missing[0]}.")
    return list(clip)


def _said_of_lens(clip: tuple[Path, ...], intrinsics: Path | None) -> float:
    """Degrees across, from a file of intrinsics; 0 without one."""
    beside = clip[0] / "K.txt"
    if intrinsics is None and not (len(clip) == 1 and beside.is_file()):
        return 0.0
    return lens.from_matrix(intrinsics or beside)


def _name(model: str, precision: Precision) -> str:
    return automatic_model(choose_device(precision)) if model == AUTO else model


def main(words: Sequence[str] | None = None) -> None:
    """The command line, or the words given; bad input ends it with a sentence."""
    words = sys.argv[1:] if words is None else words
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    rich.get_console().quiet = True  # viser announces every server
    commands = {"run": run, "resume": resume, "export": export, "serve": _serve(words)}
    try:
        sys.exit(tyro.extras.subcommand_cli_from_dict(commands, prog="svggt", args=words))
    except (ValueError, ClusterRefused, StoreRefused) as error:  # its message says what to do
        sys.exit(f"svggt: {error}")
    except OSError as error:  # a disk that is full, read-only or gone
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(
            f"svggt: {place}{error.strerror}. Free some space, or name another folder; a run "
            "that was begun goes on with: svggt resume FOLDER"
        )


def _serve(words: Sequence[str]) -> Callable[..., None]:
    """The page's command; a stand-in where another one was asked for, since it imports much."""
    if words[:1] != ["serve"]:
        return lambda: None
    try:
        from svggt.web.serve import serve
    except ModuleNotFoundError as error:
        sys.exit(f"svggt: the page needs {error.name}: pip install 'svggt[web]'")
    return serve
