"""What a comparison costs the stream beside it, and the newest frame's latency of both.

`python -m benchmarks.offline [--frames 60]` streams the office example at a camera's pace, alone
and beside a comparison that begins offline again with every fourth frame, draws and compares; the
bound is 1.3 times the p95 of its own.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rich
import tyro

from svggt.compare.comparison import Comparison
from svggt.compare.request import ComparisonRequest, ReferenceRun
from svggt.compare.run_config import Mode, RunConfig
from svggt.engine.checkpoints import load_model
from svggt.engine.devices import choose_device
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.media.clips import open_clip
from svggt.media.examples import EXAMPLES
from svggt.media.frames import Frame, InputLimits
from svggt.scene.scene import Scene
from svggt.settings import StreamSettings
from svggt.store.recording import Recording

BOUND = 1.3
_WARM = 8
_EVERY = 4


def streamed(
    worker: LocalWorker, way: RunConfig, frames: list[Frame], gap_s: float, mode: Mode | None
) -> tuple[np.ndarray, Comparison | None]:
    """Milliseconds of every step, waiting included, without the first few; and the comparison.

    Args:
        worker: has the weights.
        way: of the stream.
        frames: of the clip.
        gap_s: between two frames, in which the other run computes.
        mode: of the other run; None: there is none.
    """
    stream_id, seconds = worker.open(way.settings), []
    comparison = None
    with tempfile.TemporaryDirectory() as folder:
        recording = Recording(Path(folder) / "a")
        recording.running = True
        scene = Scene(recording.frames)
        a = ReferenceRun(way, recording, scene, len(frames), None)
        for frame in frames:
            started = time.perf_counter()
            step = worker.step(stream_id, frame)
            seconds.append(time.perf_counter() - started)
            recording.add(frame, step.prediction, step.corrections)
            if mode is not None and comparison is None:
                asked = ComparisonRequest(RunConfig(mode, way.settings, way.cameras), every=_EVERY)
                comparison = Comparison(worker, asked, a, Recording(Path(folder) / "b"))
            time.sleep(gap_s)
        recording.running = False
        worker.close(stream_id)
        if comparison is not None:
            comparison.close()
        scene.close()
    return 1000 * np.array(seconds[_WARM:]), comparison


def main(
    model: str = "embedded", frames: int = 60, gap_ms: float = 100.0, mode: Mode = "offline"
) -> None:
    """Prints p50 and p95 alone and beside, and whether the bound holds.

    Args:
        model: preset or path.
        frames: of the clip.
        gap_ms: between two frames of the stream, in which the other run computes.
        mode: of the other run.
    """
    rich.get_console().quiet = True  # viser announces its servers
    loaded = load_model(model, choose_device())
    worker = LocalWorker(ModelRegistry([loaded]))
    way = RunConfig("streaming", StreamSettings(model=loaded.name, refine=True), "refined")
    limits = InputLimits(max_frames=frames)
    clip = list(open_clip([EXAMPLES[0].clip], loaded.input_width, 10.0, limits).frames())
    alone, _ = streamed(worker, way, clip, gap_ms / 1000, mode=None)
    beside, comparison = streamed(worker, way, clip, gap_ms / 1000, mode=mode)
    worker.shutdown()
    assert comparison is not None
    rounds = comparison.progress.latencies
    ratio = np.percentile(beside, 95) / np.percentile(alone, 95)
    rows = {
        "newest frame streamed, p50": f"{np.median(alone):.0f} ms",
        "p95 alone": f"{np.percentile(alone, 95):.0f} ms",
        "p95 beside a comparison": f"{np.percentile(beside, 95):.0f} ms",
        f"ratio (bound {BOUND})": f"{ratio:.2f}",
        f"{mode} beside it, frames": " ".join(str(each.frames) for each in rounds),
        f"newest frame {mode}, ms": " ".join(f"{1000 * each.seconds:.0f}" for each in rounds),
    }
    for name, value in rows.items():
        sys.stdout.write(f"{name:36} {value}\n")
    sys.exit(0 if ratio <= BOUND and rounds else 1)


if __name__ == "__main__":
    tyro.cli(main)
