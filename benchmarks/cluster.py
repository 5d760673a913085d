"""Streams on Ray: what it costs a step, what several workers do together, how fast one is replaced.

`python -m benchmarks.cluster [--workers 1 2 4] [--kills 20] [--json FILE]`. On two cores nothing
scales; the figures are of what Ray adds, and of what is lost with a worker.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import tyro

from svggt.cluster.cluster import cluster
from svggt.engine.checkpoints import load_model
from svggt.engine.devices import choose_device
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.engine.recorded_stream import RecordedStream
from svggt.engine.worker import Worker
from svggt.experiments.long import there_and_back
from svggt.files import ASSETS
from svggt.media.clips import open_clip
from svggt.media.frames import Frame, InputLimits
from svggt.session.registry import Sessions
from svggt.settings import SessionLimits, StreamSettings
from svggt.store.recording import Recording
from svggt.store.store import Store

_SETTINGS = StreamSettings("embedded", window=8)
_WARM = 5  # frames


@dataclass
class Figures:
    """What was measured.

    Attributes:
        machine: cores and torch.
        beside_ms: of a step in this process, what is not the network's time; median.
        beside_ms_on_ray: the same by Ray, as many threads.
        added_ms: the difference.
        page_ms: processor time of the page's process a frame: a run with its scene and its files,
            refined cameras, no browser, its network elsewhere.
        kept_kb: of a frame on disk.
        sent_kb: of a frame to its worker, and back.
        frames_a_second: of as many streams as workers, by the number of these.
        recovered_s: from a kill to the next new frame, each time.
        replayed: frames computed once more, each time.
        same: whether what the network said after all of it is bit for bit what it says without.
    """

    machine: str
    beside_ms: float = 0.0
    beside_ms_on_ray: float = 0.0
    added_ms: float = 0.0
    page_ms: float = 0.0
    kept_kb: float = 0.0
    sent_kb: tuple[float, float] = (0.0, 0.0)
    frames_a_second: dict[int, float] = field(default_factory=dict)
    recovered_s: list[float] = field(default_factory=list)
    replayed: list[int] = field(default_factory=list)
    same: bool = False


def measure(
    workers: tuple[int, ...] = (1, 2, 4),
    frames: int = 60,
    kills: int = 20,
    apart: int = 20,
    json_file: Path | None = None,
) -> None:
    """Measures and prints.

    Args:
        workers: how many at once.
        frames: of each stream.
        kills: of a stream's worker,
        apart: so many frames from each other.
        json_file: where the figures go, too.
    """
    figures = Figures(f"{os.cpu_count()} cores, torch {torch.__version__}")
    clip = _frames(frames)
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // workers[0]))
    local = LocalWorker(ModelRegistry([load_model("embedded", choose_device("float32"))]))
    figures.beside_ms = _beside_ms(local, clip)
    local.shutdown()
    for count in workers:
        with cluster(str(count), "embedded", "float32", 8_000_000_000) as actors:
            from svggt.cluster.ray_worker import RayWorker

            page = RayWorker(actors)
            if count == workers[0]:
                figures.beside_ms_on_ray = _beside_ms(page, clip)
                figures.added_ms = figures.beside_ms_on_ray - figures.beside_ms
                figures.page_ms, figures.kept_kb = _page(page, frames)
                figures.sent_kb = _sent_kb(page, clip[0])
            figures.frames_a_second[count] = _throughput(page, clip, count)
            page.shutdown()
    if kills:
        _kill(figures, kills, apart)
    text = json.dumps(asdict(figures), indent=1)
    print(text)  # noqa: T201
    if json_file is not None:
        json_file.write_text(text + "\n")


def _frames(count: int) -> list[Frame]:
    """The office, forth and back."""
    limits = InputLimits(max_frames=120)
    clip = list(open_clip([ASSETS / "clips/office.mp4"], 224, None, limits).frames(lambda: False))
    shown = [clip[number] for number in there_and_back(len(clip), count)]
    return [Frame(n, float(n), each.image, each.grey) for n, each in enumerate(shown)]


def _beside_ms(worker: Worker, frames: list[Frame]) -> float:
    stream_id, spent = worker.open(_SETTINGS), list[float]()
    for frame in frames:
        begun = time.perf_counter()
        step = worker.step(stream_id, frame)
        spent.append(time.perf_counter() - begun - step.prediction.seconds)
    worker.close(stream_id)
    return 1000 * float(np.median(spent[_WARM:]))


def _page(worker: Worker, frames: int) -> tuple[float, float]:
    """Milliseconds of this process and kilobytes on disk, a frame of a visitor's run."""
    limits = InputLimits(max_frames=frames)
    clip = open_clip([ASSETS / "clips/office.mp4"], 224, None, limits)
    with tempfile.TemporaryDirectory() as folder:
        sessions = Sessions(worker, SessionLimits(), Store(Path(folder)))
        session = sessions.open("benchmark")
        begun = time.process_time()
        session.start(clip, replace(_SETTINGS, refine=True))
        while session.running:
            time.sleep(1)
        spent, done = time.process_time() - begun, session.progress.frames_done
        kept = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        sessions.shutdown()
    return 1000 * spent / done, kept / 1000 / done


def _sent_kb(worker: Worker, frame: Frame) -> tuple[float, float]:
    """A frame and what comes of it, as they are sent."""
    stream_id = worker.open(_SETTINGS)
    step = worker.step(stream_id, frame)
    worker.close(stream_id)
    frame_kb, step_kb = (len(pickle.dumps(each, protocol=5)) / 1000 for each in (frame, step))
    return frame_kb, step_kb


def _throughput(worker: Worker, frames: list[Frame], streams: int) -> float:
    def run(_: int) -> None:
        stream_id = worker.open(_SETTINGS)
        for frame in frames:
            worker.step(stream_id, frame)
        worker.close(stream_id)

    begun = time.perf_counter()
    with ThreadPoolExecutor(streams) as pool:
        list(pool.map(run, range(streams)))
    return streams * len(frames) / (time.perf_counter() - begun)


def _kill(figures: Figures, kills: int, apart: int) -> None:
    """One stream on two workers, whose process is killed again and again."""
    frames = _frames(apart * (kills + 1))
    with (
        tempfile.TemporaryDirectory() as folder,
        cluster("2", "embedded", "float32", 8_000_000_000) as actors,
    ):
        from svggt.cluster.ray_worker import RayWorker

        page, recording = RayWorker(actors), Recording(Path(folder, "killed"))
        stream = RecordedStream(page, _SETTINGS, recording)
        killed_s, again, newest = 0.0, 0, -1
        for step in stream.steps(iter(frames)):
            number = step.prediction.number
            if number <= newest:
                again += 1
                continue
            newest = number
            if killed_s:
                figures.recovered_s.append(round(time.perf_counter() - killed_s, 2))
                figures.replayed.append(again)
                killed_s, again = 0.0, 0
            if number % apart == apart - 1 and number + 1 < len(frames):
                (stream_id,) = page.stream_ids
                name = page.locate(stream_id).worker
                os.kill(page.workers.ask(name, "process"), signal.SIGKILL)
                killed_s = time.perf_counter()
        stream.close()
        figures.same = all(
            np.array_equal(one.depth, other.depth)
            for one, other in _pairs(page, recording, Path(folder, "whole"), frames)
        )


def _pairs(page: Worker, killed: Recording, folder: Path, frames: list[Frame]) -> Iterator:
    """What a stream said that was killed, and one that was not, frame by frame."""
    whole = Recording(folder)
    stream = RecordedStream(page, _SETTINGS, whole)
    for step in stream.steps(iter(frames)):
        number = step.prediction.number
        yield killed.frames.load(number), whole.frames.load(number)
    stream.close()


if __name__ == "__main__":
    tyro.cli(measure)
