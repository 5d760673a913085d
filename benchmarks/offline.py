"""What an offline pass costs the stream beside it, and the newest frame's latency of both.

`python -m benchmarks.offline [--frames 40]` streams the office example at a camera's pace, alone
and beside offline passes over the same frames; the bound is 1.3 times the p95 of its own.
"""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import tyro

from svggt.checkpoints import load_model
from svggt.clips import open_clip
from svggt.devices import choose_device
from svggt.frames import Frame, InputLimits
from svggt.settings import StreamSettings
from svggt.web.gallery import EXAMPLES
from svggt.workers import LocalWorker

BOUND = 1.3
_WARM = 3


def streamed(
    worker: LocalWorker, settings: StreamSettings, frames: list[Frame], gap_s: float
) -> np.ndarray:
    """Milliseconds of every step, without the first few."""
    stream_id, seconds = worker.open(settings), []
    for frame in frames:
        started = time.perf_counter()
        worker.step(stream_id, frame)
        seconds.append(time.perf_counter() - started)
        time.sleep(gap_s)
    worker.close(stream_id)
    return 1000 * np.array(seconds[_WARM:])


def beside_passes(
    worker: LocalWorker, settings: StreamSettings, frames: list[Frame], gap_s: float
) -> np.ndarray:
    """The same while offline passes go on without end."""
    ended = threading.Event()

    def on_turn() -> None:
        if ended.is_set():
            raise InterruptedError

    def passes() -> None:
        try:
            while True:
                worker.predict_clip(settings, frames, causal=False, on_turn=on_turn)
        except InterruptedError:
            return

    thread = threading.Thread(target=passes)
    thread.start()
    try:
        return streamed(worker, settings, frames, gap_s)
    finally:
        ended.set()
        thread.join()


def main(model: str = "embedded", frames: int = 40, gap_ms: float = 50.0) -> None:
    """Prints p50 and p95 alone and beside, and whether the bound holds.

    Args:
        model: preset or path.
        frames: of the clip.
        gap_ms: between two frames of the stream, in which offline computes.
    """
    loaded = load_model(model, choose_device())
    worker, settings = LocalWorker(), StreamSettings(model=loaded.name)
    worker.add_model(loaded)
    limits = InputLimits(max_frames=frames)
    clip = list(open_clip([EXAMPLES[0].clip], loaded.input_width, 10.0, limits).frames())
    started = time.perf_counter()
    worker.predict_clip(settings, clip, causal=False)
    offline_s = time.perf_counter() - started
    alone = streamed(worker, settings, clip, gap_ms / 1000)
    beside = beside_passes(worker, settings, clip, gap_ms / 1000)
    worker.shutdown()
    ratio = np.percentile(beside, 95) / np.percentile(alone, 95)
    rows = {
        f"offline, {len(clip)} frames at once": f"{1000 * offline_s:.0f} ms",
        "newest frame streamed, p50": f"{np.median(alone):.0f} ms",
        "p95 alone": f"{np.percentile(alone, 95):.0f} ms",
        "p95 beside offline passes": f"{np.percentile(beside, 95):.0f} ms",
        f"ratio (bound {BOUND})": f"{ratio:.2f}",
    }
    for name, value in rows.items():
        sys.stdout.write(f"{name:32} {value}\n")
    sys.exit(0 if ratio <= BOUND else 1)


if __name__ == "__main__":
    tyro.cli(main)
