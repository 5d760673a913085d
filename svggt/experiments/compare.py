"""Two ways of computing the same frames, side by side, without a browser: files for a paper."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from svggt.checkpoints import LoadedModel
from svggt.clips import open_clip
from svggt.compare.fits import check_fits
from svggt.compare.outcome import Outcome, Side, Weights, compare
from svggt.compare.report import write_report
from svggt.compare.ways import Latency, Mode, Way, every_so_many, run_way
from svggt.devices import choose_device
from svggt.frames import Fitter, Frame, InputLimits, open_picture
from svggt.residency import load_on_host
from svggt.scene.look import Cameras, Look
from svggt.settings import Storage, StreamSettings
from svggt.shots import Shots
from svggt.store.recording import About, Recording
from svggt.truth import PosedFolder, Truth
from svggt.web.gallery import EXAMPLES
from svggt.workers import LocalWorker


@dataclass(frozen=True)
class WayOptions:
    """One of the two runs.

    Attributes:
        mode: streaming, batch (all frames at once, causal) or offline (all see all).
        model: preset or path.
        memory: of streaming: the first frame and the last ones, or all.
        window: frames besides the first.
        storage: of the cached tokens.
        published_camera_memory: as in the published tables.
        points: run the point head too.
        cameras: that figures and views are of.
    """

    mode: Mode
    model: str = "embedded"
    memory: Literal["window", "full"] = "window"
    window: int = 8
    storage: Storage = "computed"
    published_camera_memory: bool = False
    points: bool = False
    cameras: Cameras = "refined"


@dataclass(frozen=True)
class Source:
    """What is compared.

    Attributes:
        clip: a video, or a folder with poses.
        frames: at most.
        rate: frames a second taken from a video; None: chosen by motion.
        every: all but streaming begins again with every so manieth frame.
    """

    clip: Path
    frames: int
    rate: float | None
    every: int


def compare_clip(
    source: Source, out: Path, options: tuple[WayOptions, WayOptions], command: str
) -> Outcome:
    """Runs both ways over a clip, each recorded in a folder of its own, and writes the report.

    Args:
        source: of the frames.
        out: folder for everything.
        options: of A and B.
        command: that this is.

    Raises:
        ValueError: the clip cannot be read, or has more frames than fit at once.
    """
    device, worker = choose_device(), LocalWorker()
    recordings = [Recording(out / name) for name in "ab"]
    try:
        loaded = {name: load_on_host(name, device) for name in {o.model for o in options}}
        for model in loaded.values():  # both first, so that both are in either's peak
            worker.add_model(model)
        models = [loaded[option.model] for option in options]
        frames = _frames(source, models[0].input_width)
        jobs = list(zip(models, options, recordings, strict=True))
        for model, option, _ in jobs:
            check_fits(_way(model, option), model, frames[0].image.shape[:2], len(frames))
        runs = [_run(worker, *job, frames, source.every) for job in jobs]
    finally:
        worker.shutdown()
    a, b = (
        Shots.of(recording, run.way.cameras)
        for recording, run in zip(recordings, runs, strict=True)
    )
    found = compare(a, b, _truth(source.clip))
    side_a, side_b = (
        Side(run.way, run.weights, run.latencies, accuracy)
        for run, accuracy in zip(runs, found.accuracies, strict=True)
    )
    outcome = Outcome(a.count, side_a, side_b, found.agreement)
    write_report(outcome, a, b, command, out)
    return outcome


@dataclass(frozen=True)
class _Run:
    way: Way
    weights: Weights
    latencies: tuple[Latency, ...]


def _run(
    worker: LocalWorker,
    model: LoadedModel,
    option: WayOptions,
    recording: Recording,
    frames: list[Frame],
    every: int,
) -> _Run:
    way, began = _way(model, option), time.time()
    look = Look(cameras=option.cameras)
    recording.begin(About(way.settings, model.note, None, len(frames), look, began))
    rounds = [frames] if option.mode == "streaming" else every_so_many(frames, every)
    *_, found = run_way(worker, way, rounds, recording)
    recording.end("finished", f"Finished: {len(frames)} frames.", time.time() - began)
    return _Run(way, Weights.of(model), found)


def _way(model: LoadedModel, option: WayOptions) -> Way:
    settings = StreamSettings(
        model=model.name,
        memory=option.memory,
        window=option.window,
        storage=option.storage,
        published_camera_memory=option.published_camera_memory,
        points=option.points,
        refine=option.cameras == "refined",
    )
    return Way(option.mode, settings, option.cameras)


def _frames(source: Source, width: int) -> list[Frame]:
    limits = InputLimits(max_frames=source.frames)
    if not source.clip.is_dir():
        return list(open_clip([source.clip], width, source.rate, limits).frames())
    fitter, pictures = Fitter(width), PosedFolder.open(source.clip, 1).pictures
    return [
        fitter.frame(number, float(number), open_picture(path, path.name, limits))
        for number, path in enumerate(pictures[: source.frames])
    ]


def _truth(clip: Path) -> Truth | None:
    """Of a folder, or of an example's clip."""
    if clip.is_dir():
        return PosedFolder.open(clip, 1).truth
    ours = (e.truth for e in EXAMPLES if e.truth is not None and e.clip == clip.resolve())
    return next(map(Truth.load, ours), None)
