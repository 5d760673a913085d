"""Two ways of computing the same frames, side by side, without a browser: files for a paper."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from svggt.agreement import Agreement, agree, similarity_of, world_points
from svggt.checkpoints import LoadedModel, load_model
from svggt.clips import open_clip
from svggt.comparison import Latency, Mode, Way, latencies, run_way
from svggt.devices import choose_device
from svggt.experiments.render import pulled_back, render, write_film
from svggt.exports.clouds import cloud_of
from svggt.exports.frames import Shots
from svggt.frames import Frame, InputLimits
from svggt.offline import most_frames
from svggt.scene.clouds import Cloud
from svggt.scene.look import Cameras, Look
from svggt.settings import StreamSettings
from svggt.store.recording import About, Recording
from svggt.workers import LocalWorker

_MOST_POINTS = 400_000
_FILM_RATE = 10
_SIZE = (360, 540)  # of each view
_BACK = 0.6  # of the median depth: how far behind its camera a view stands


@dataclass(frozen=True)
class WayOptions:
    """One of the two runs.

    Attributes:
        mode: streaming, batch (all frames at once, causal) or offline (all see all).
        model: preset or path.
        memory: of streaming: the first frame and the last ones, or all.
        window: frames besides the first.
        published_camera_memory: as in the published tables.
        points: run the point head too.
        cameras: that figures and views are of.
    """

    mode: Mode
    model: str = "embedded"
    memory: Literal["window", "full"] = "window"
    window: int = 8
    published_camera_memory: bool = False
    points: bool = False
    cameras: Cameras = "refined"


@dataclass(frozen=True)
class Side:
    """One run, done.

    Attributes:
        way: how.
        shots: its frames.
        latencies: of the newest frame, by its number.
        memory_bytes: of the cached token memory at the end.
    """

    way: Way
    shots: Shots
    latencies: list[Latency]
    memory_bytes: int


@dataclass(frozen=True)
class Compared:
    """Both sides, how far they agree, and the weights by name."""

    a: Side
    b: Side
    agreement: Agreement
    models: dict[str, LoadedModel]

    @property
    def shares_weights(self) -> bool:
        """Whether both sides are of one set of weights."""
        return len(self.models) == 1


def compare_clip(
    clip: Path,
    out: Path,
    options: tuple[WayOptions, WayOptions],
    frames: int,
    rate: float | None,
    every: int,
) -> Compared:
    """Runs both ways over a clip, each recorded in a folder of its own.

    Args:
        clip: a video.
        out: folder for both.
        options: of A and B.
        frames: at most.
        rate: frames a second taken from it; None: chosen by motion.
        every: offline begins again with every so manieth frame.

    Raises:
        ValueError: the clip cannot be read, or has more frames than fit at once.
    """
    device = choose_device()
    models = {name: load_model(name, device) for name in {each.model for each in options}}
    worker = LocalWorker()
    for model in models.values():
        worker.add_model(model)
    try:
        sides = []
        for name, option in zip("ab", options, strict=True):
            model = models[option.model]
            taken = _frames(clip, model, frames, rate)
            _check_fits(option, model, taken)
            sides.append(_side(worker, model, option, taken, Recording(out / name), every))
    finally:
        worker.shutdown()
    a, b = sides
    named = {model.name: model for model in models.values()}
    return Compared(a, b, agree(a.shots, b.shots), named)


def views(compared: Compared) -> tuple[NDArray[np.uint8], list[NDArray[np.uint8]]]:
    """Both runs from the same cameras: (H, 2 W, 3) of the middle frame, and a film along B's path.

    A's points are brought to B's world by the Sim(3) of the same pixels' points.
    """
    a, b = compared.a.shots, compared.b.shots
    pairs = [(world_points(one), world_points(other)) for one, other in zip(a, b, strict=True)]
    to_b = similarity_of(*(np.concatenate([pair[i] for pair in pairs]) for i in (0, 1)))
    cloud = cloud_of(a, _MOST_POINTS)
    clouds = (Cloud(to_b.points(cloud.points), cloud.colors), cloud_of(b, _MOST_POINTS))
    pictures = []
    for shot in b:
        distance = _BACK * float(np.median(shot.depth))
        pose = pulled_back(shot.world_from_cam, distance)
        focal = shot.intrinsics[0, 0] / shot.depth.shape[1]
        both = [render(each, pose, focal, _SIZE) for each in clouds]
        pictures.append(np.concatenate(both, axis=1))
    return pictures[len(pictures) // 2], pictures


def write_views(compared: Compared, out: Path) -> NDArray[np.uint8]:
    """`views.mp4`; returns the middle picture."""
    middle, pictures = views(compared)
    write_film(pictures, out / "views.mp4", _FILM_RATE)
    return middle


def _side(
    worker: LocalWorker,
    model: LoadedModel,
    option: WayOptions,
    frames: list[Frame],
    recording: Recording,
    every: int,
) -> Side:
    settings = StreamSettings(
        model=model.name,
        memory=option.memory,
        window=option.window,
        published_camera_memory=option.published_camera_memory,
        points=option.points,
        refine=True,
    )
    way = Way(option.mode, settings, option.cameras)
    look, began = Look(cameras=option.cameras), time.time()
    recording.begin(About(settings, model.note, None, len(frames), look, began))
    predictions = run_way(worker, way, frames, recording)
    recording.end("finished", f"Finished: {len(frames)} frames.", time.time() - began)
    found = latencies(worker, way, frames, predictions, every)
    shots = Shots.of(recording, option.cameras)
    return Side(way, shots, found, predictions[-1].memory_bytes)


def _frames(clip: Path, model: LoadedModel, frames: int, rate: float | None) -> list[Frame]:
    limits = InputLimits(max_frames=frames)
    return list(open_clip([clip], model.input_width, rate, limits).frames())


def _check_fits(option: WayOptions, model: LoadedModel, frames: list[Frame]) -> None:
    """Says before anything starts if too many frames would be on the device at once."""
    free = model.device.free_bytes
    if option.mode == "streaming" or free is None:
        return
    height, width = frames[0].image.shape[:2]
    most = most_frames(model, (height, width), free)
    if len(frames) > most:
        raise ValueError(
            f"{len(frames)} frames do not fit on {model.device.name} at once; {most} do: "
            f"--frames {most}"
        )
