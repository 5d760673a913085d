"""Streams go first, a long pass fills the gaps, and neither is lost by the other's end."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from svggt.engine.capacity import most_frames
from svggt.engine.device_lock import DeviceLock
from svggt.engine.local_worker import LocalWorker
from svggt.engine.offline import predict_clip
from svggt.settings import StreamSettings
from tests.conftest import make_frames
from tests.engine.passes import passing

SETTINGS = StreamSettings(model="tiny", window=2)


def test_one_at_a_time_and_the_foreground_first() -> None:
    lock, order, inside = DeviceLock(), [], threading.Semaphore(1)

    def alone(name: str) -> None:
        assert inside.acquire(blocking=False)
        order.append(name)
        time.sleep(0.01)
        inside.release()

    def foreground() -> None:
        with lock.foreground():
            alone("foreground")

    with lock.background() as yield_device:
        alone("background")
        threads = [threading.Thread(target=foreground) for _ in range(3)]
        for thread in threads:
            thread.start()
        while lock._waiting < 3:
            time.sleep(0.001)
        yield_device()
        alone("background")
    for thread in threads:
        thread.join()
    assert order == ["background", "foreground", "foreground", "foreground", "background"]


def test_an_error_gives_the_turn_back() -> None:
    lock = DeviceLock()
    for way in (lock.foreground, lock.background):
        with pytest.raises(ZeroDivisionError), way():
            raise ZeroDivisionError
    with lock.foreground():
        pass


def test_a_stream_goes_on_beside_a_pass_that_is_cancelled(worker: LocalWorker) -> None:
    frames, stream_id = make_frames(8), worker.open(SETTINGS)
    with passing(worker, SETTINGS, frames) as pieces:
        beside = [worker.step(stream_id, frame).prediction for frame in frames[:5]]
        while len(pieces) < 20:  # in the gaps
            time.sleep(0.001)
    beside += [worker.step(stream_id, frame).prediction for frame in frames[5:]]
    alone_id = worker.open(SETTINGS)
    for frame, prediction in zip(frames, beside, strict=True):
        alone = worker.step(alone_id, frame).prediction
        assert np.allclose(alone.depth, prediction.depth, rtol=1e-5), frame.number


@pytest.mark.parametrize("causal", [False, True])
def test_a_worker_predicts_what_one_pass_does(worker: LocalWorker, tiny, causal: bool) -> None:
    frames = make_frames(7)
    for one, other in zip(
        worker.predict_clip(SETTINGS, frames, causal).predictions,
        predict_clip(tiny, frames, causal),
        strict=True,
    ):
        assert np.allclose(one.depth, other.depth, rtol=1e-4)
        assert np.allclose(one.cam_from_world, other.cam_from_world, atol=1e-5)


def test_more_memory_holds_more_frames(tiny) -> None:
    few, many = (most_frames(tiny, (56, 84), free) for free in (10_000_000, 100_000_000))
    assert 1 <= few < many and most_frames(tiny, (560, 840), 10_000_000) < few


def test_a_wait_for_a_turn_can_be_ended() -> None:
    lock = DeviceLock()

    def lost() -> None:
        raise InterruptedError

    with lock.foreground():
        with pytest.raises(InterruptedError), lock.background(lost):
            raise AssertionError("it had no turn")
        with pytest.raises(InterruptedError):
            lock.wait_for_gap(lost)
    with lock.background():
        lock.wait_for_gap()  # a pass that gives way is no stream
    with lock.foreground():
        pass
