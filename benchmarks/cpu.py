"""How fast the embedded weights are on this CPU, against commit 5de95b0 and against a floor.

`python -m benchmarks.cpu [--frames 60] [--rounds 3] [--json]` streams the office clip at 224x154
with a window of 8, camera and depth heads, through both versions in turns, each in a process of
its own, and takes the mean of the frames from the twentieth on. Then the whole way of a frame with
refined cameras, without a browser: decoded, predicted, refined, written and drawn. The floor is
what the step's products and convolutions would take at the rate of its own widest product.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import tarfile
import tempfile
import time
from json import dumps, loads
from pathlib import Path
from statistics import mean, median

import rich
import tyro
from torch.utils.flop_counter import FlopCounterMode

from svggt.engine.checkpoints import LoadedModel, load_model
from svggt.engine.devices import PRODUCT_FLOPS, choose_device, product_seconds
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.engine.stream import Stream
from svggt.media.clips import Clip, open_clip
from svggt.media.examples import EXAMPLES
from svggt.media.frames import Frame, InputLimits
from svggt.model.policies import window
from svggt.session.registry import Sessions
from svggt.settings import SessionLimits, StreamSettings
from svggt.store.store import Store

BASELINE = "5de95b0"
"""The commit that speed is measured against."""

_ROOT = Path(__file__).resolve().parents[1]
_WARM = 20  # frames until the window is full and memory is settled
_STEPS = """
import json, time
from pathlib import Path
{imports}
model = load_model("embedded", choose_device())
clip = open_clip([Path({clip!r})], model.input_width, 30.0, InputLimits(max_frames={frames}))
frames, stream, seconds = list(clip.frames()), Stream(model, window(8)), []
for frame in frames:
    began = time.perf_counter()
    stream.step(frame)
    seconds.append(time.perf_counter() - began)
print(json.dumps(seconds))
"""
_MODULES = {  # where the parts were, and are
    "baseline": ("checkpoints", "devices", "clips", "frames", "stream"),
    "now": ("engine.checkpoints", "engine.devices", "media.clips", "media.frames", "engine.stream"),
}
_PARTS = ("load_model", "choose_device", "open_clip", "InputLimits", "Stream")


def main(frames: int = 60, rounds: int = 3, json: bool = False) -> None:
    """Prints frames a second of both versions, their ratio, and the floor.

    Args:
        frames: of the clip, more than twenty.
        rounds: of both versions, in turns.
        json: one line of JSON.
    """
    rich.get_console().quiet = True  # viser announces every server
    with tempfile.TemporaryDirectory() as folder:
        _check_out(Path(folder))
        trees = {"baseline": Path(folder), "now": _ROOT}
        seconds = {name: [] for name in trees}
        for _ in range(rounds):
            for name, tree in trees.items():
                seconds[name].append(_model_seconds(name, tree, frames))
    model = load_model("embedded", choose_device())
    clip = open_clip([EXAMPLES[0].clip], model.input_width, 30.0, InputLimits(max_frames=frames))
    floor = _floor(model, list(clip.frames())[: _WARM + 1])
    now, baseline = median(seconds["now"]), median(seconds["baseline"])
    found = {
        "numbers": str(model.device.dtype),
        "model_fps": 1 / now,
        "end_to_end_fps": _end_to_end(model, clip, frames),
        "baseline_model_fps": 1 / baseline,
        "ratio": baseline / now,
        "model_ms": 1000 * now,
        "floor_ms": 1000 * floor,
        "over_floor": now / floor,
    }
    if json:
        sys.stdout.write(dumps(found) + "\n")
        return
    for name, value in found.items():
        sys.stdout.write(f"{name:20} {value if isinstance(value, str) else f'{value:.2f}'}\n")


def _check_out(folder: Path) -> None:
    """The baseline's files."""
    command = ["git", "-C", str(_ROOT), "archive", BASELINE]  # the user's git
    packed = subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")


def _model_seconds(name: str, tree: Path, frames: int) -> float:
    """Mean of a frame's step, in a process of that version."""
    lines = [
        f"from svggt.{module} import {part}"
        for module, part in zip(_MODULES[name], _PARTS, strict=True)
    ]
    imports = "\n".join([*lines, "from svggt.model.policies import window"])
    code = _STEPS.format(imports=imports, clip=str(EXAMPLES[0].clip), frames=frames)
    done = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-c", code], cwd=tree, check=True, capture_output=True, text=True
    )
    return mean(loads(done.stdout.splitlines()[-1])[_WARM:])


def _floor(model: LoadedModel, frames: list[Frame]) -> float:
    """Seconds of a step's floating-point operations at the rate of one of its own products."""
    stream = Stream(model, window(8))
    for frame in frames[:-1]:
        stream.step(frame)
    with FlopCounterMode(display=False) as counter:
        stream.step(frames[-1])
    return counter.get_total_flops() * product_seconds(model.device.dtype) / PRODUCT_FLOPS


def _end_to_end(model: LoadedModel, clip: Clip, frames: int) -> float:
    """Frames a second of a session without a browser, cameras refined."""
    settings = StreamSettings(model="embedded", memory="window", window=8, refine=True)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        worker = LocalWorker(ModelRegistry([model]))
        stack.callback(worker.shutdown)
        sessions = Sessions(worker, SessionLimits(), Store(Path(folder)))
        stack.callback(sessions.shutdown)
        session = sessions.open("benchmark")
        session.start(clip, settings)
        began, warm = 0.0, 0
        while session.running and session.progress.frames_done < frames:
            if session.progress.frames_done >= _WARM and not warm:
                began, warm = time.perf_counter(), session.progress.frames_done
            time.sleep(0.005)
        seconds = time.perf_counter() - began
        return (session.progress.frames_done - warm) / seconds


if __name__ == "__main__":
    tyro.cli(main)
