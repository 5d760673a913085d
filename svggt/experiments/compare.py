"""Two ways of computing the same frames, side by side, without a browser: files for a paper."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from svggt.compare.report import write_report
from svggt.compare.result import ComparisonResult, RunResult, Weights, compare
from svggt.compare.run_config import Latency, RunConfig, every_so_many, execute
from svggt.data.layouts import open_sequence
from svggt.data.truth import Truth
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.devices import choose_device
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.engine.weight_cache import load_on_host
from svggt.media.clips import open_clip
from svggt.media.examples import EXAMPLES
from svggt.media.frames import Fitter, Frame, InputLimits
from svggt.media.pictures import open_picture
from svggt.store.posed_frames import PosedFrames
from svggt.store.recording import About, Recording
from svggt.view_options import ViewOptions


@dataclass(frozen=True)
class ClipSource:
    """What is compared.

    Attributes:
        clip: a video, or a folder with poses.
        frames: at most.
        rate: frames a second taken from a video; None: chosen by motion.
        every: all but streaming begins again with every n-th frame.
        whole: tall pictures are not cut to a square.
    """

    clip: Path
    frames: int
    rate: float | None
    every: int
    whole: bool = False


def compare_clip(
    source: ClipSource, out: Path, options: tuple[RunConfig, RunConfig], command: str
) -> ComparisonResult:
    """Runs both ways over a clip, each recorded in a folder of its own, and writes the report.

    Args:
        source: where the frames come from.
        out: folder for everything.
        options: how A and B are computed.
        command: that this is.

    Raises:
        ValueError: the clip cannot be read, or has more frames than fit at once.
    """
    device, models = choose_device(), ModelRegistry()
    worker = LocalWorker(models)
    recordings = [Recording(out / name) for name in "ab"]
    try:
        loaded = {name: load_on_host(name, device) for name in {o.settings.model for o in options}}
        for model in loaded.values():  # both first, so that both are in either's peak
            models.add(model)
        chosen = [loaded[option.settings.model] for option in options]
        frames = _frames(source, chosen[0].input_width)
        jobs = list(zip(chosen, options, recordings, strict=True))
        height, width = frames[0].image.shape[:2]
        for model, option, _ in jobs:
            at_once = _way(model, option).at_once
            models.check_capacity(model.name, (height, width), len(frames), at_once)
        runs = [_run(worker, *job, frames, source.every) for job in jobs]
    finally:
        worker.shutdown()
    a, b = (
        PosedFrames.of(recording, run.way.cameras)
        for recording, run in zip(recordings, runs, strict=True)
    )
    found = compare(a, b, _truth(source.clip))
    side_a, side_b = (
        RunResult(run.way, run.weights, run.latencies, accuracy)
        for run, accuracy in zip(runs, found.accuracies, strict=True)
    )
    outcome = ComparisonResult(a.count, side_a, side_b, found.agreement, found.paths)
    write_report(outcome, a, b, command, out)
    return outcome


@dataclass(frozen=True)
class _Run:
    way: RunConfig
    weights: Weights
    latencies: tuple[Latency, ...]


def _run(
    worker: LocalWorker,
    model: LoadedModel,
    option: RunConfig,
    recording: Recording,
    frames: list[Frame],
    every: int,
) -> _Run:
    way, began = _way(model, option), time.time()
    look = ViewOptions(cameras=option.cameras)
    recording.begin(About(way.settings, None, len(frames), look, began))
    rounds = [frames] if option.mode == "streaming" else every_so_many(frames, every)
    *_, found = execute(worker, way, rounds, recording)
    recording.end("finished", f"Finished: {len(frames)} frames.", time.time() - began)
    return _Run(way, Weights.of(model), found)


def _way(model: LoadedModel, option: RunConfig) -> RunConfig:
    """As it is run: with the weights' name, and refined only where that is looked at."""
    refine = option.cameras == "refined"
    return replace(option, settings=replace(option.settings, model=model.name, refine=refine))


def _frames(source: ClipSource, width: int) -> list[Frame]:
    limits = InputLimits(max_frames=source.frames)
    if not source.clip.is_dir():
        clip = open_clip([source.clip], width, source.rate, limits, source.whole)
        return list(clip.frames())
    fitter, pictures = Fitter(width, source.whole), open_sequence(source.clip).pictures
    return [
        fitter.frame(number, float(number), open_picture(path, path.name, limits))
        for number, path in enumerate(pictures[: source.frames])
    ]


def _truth(clip: Path) -> Truth | None:
    """Of a folder, or of an example's clip."""
    if clip.is_dir():
        return open_sequence(clip).truth
    ours = (e.truth for e in EXAMPLES if e.truth is not None and e.clip == clip.resolve())
    return next(map(Truth.load, ours), None)
