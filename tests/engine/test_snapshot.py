"""A stream goes on from a file as if it had never left memory, or the file is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.errors import SnapshotRefused
from svggt.settings import StreamSettings
from tests.conftest import make_frames

WINDOW = StreamSettings("tiny", window=2)
SETTINGS = (
    WINDOW,
    StreamSettings("tiny", memory="full"),
    StreamSettings("tiny", memory="full", storage="int8"),
    StreamSettings("tiny", window=2, storage="bfloat16", points=True),
    StreamSettings("tiny", window=2, storage="int8", published_camera_memory=True),
    StreamSettings("tiny", window=2, refine=True),
)


@pytest.mark.parametrize("settings", SETTINGS, ids=range(len(SETTINGS)))
@pytest.mark.parametrize("taken", [0, 1, 5])
def test_what_follows_is_bit_for_bit_the_same(
    worker: LocalWorker, tmp_path: Path, settings: StreamSettings, taken: int
) -> None:
    frames, path = make_frames(9), tmp_path / "stream.safetensors"
    whole = worker.open(settings, beside=True)  # which waits for its windows
    for frame in frames[:taken]:
        worker.step(whole, frame)
    worker.snapshot(whole, path)
    resumed = worker.open(settings, beside=True, snapshot=path)
    for frame in frames[taken:]:
        ours, theirs = worker.step(resumed, frame), worker.step(whole, frame)
        assert np.array_equal(ours.prediction.depth, theirs.prediction.depth)
        assert np.array_equal(ours.prediction.cam_from_world, theirs.prediction.cam_from_world)
        told = {one.frame: one for one in ours.corrections}
        assert frame.number != taken or len(told) in (0, taken + 1)  # all, since others may be told
        for other in theirs.corrections:
            one = told[other.frame]
            assert np.allclose(one.world_from_cam, other.world_from_cam, rtol=0, atol=1e-9)


def test_a_step_after_a_snapshot_does_not_change_it(worker: LocalWorker, tmp_path: Path) -> None:
    frames, path = make_frames(3), tmp_path / "stream.safetensors"
    stream_id = worker.open(WINDOW)
    worker.step(stream_id, frames[0])
    worker.snapshot(stream_id, path)
    before = path.read_bytes()
    worker.step(stream_id, frames[1])
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_no_other_stream_goes_on_from_it(worker: LocalWorker, tiny, tmp_path: Path) -> None:
    path = tmp_path / "stream.safetensors"
    stream_id = worker.open(WINDOW)
    worker.step(stream_id, make_frames(1)[0])
    worker.snapshot(stream_id, path)
    with pytest.raises(SnapshotRefused, match="other weights, settings or version"):
        worker.open(dataclasses.replace(WINDOW, window=3), snapshot=path)
    other = dataclasses.replace(tiny)
    object.__setattr__(other, "sha256", "of other weights")
    worker.models.add(other)
    with pytest.raises(SnapshotRefused, match="other weights"):
        worker.open(WINDOW, snapshot=path)


@pytest.mark.parametrize("damage", [lambda b: b[:-20], lambda b: b"", lambda b: b"\xff" * len(b)])
def test_a_damaged_file_is_refused(worker: LocalWorker, tmp_path: Path, damage) -> None:
    path = tmp_path / "stream.safetensors"
    stream_id = worker.open(StreamSettings("tiny", refine=True))
    worker.step(stream_id, make_frames(1)[0])
    worker.snapshot(stream_id, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SnapshotRefused):
        worker.open(StreamSettings("tiny", refine=True), snapshot=path)
    assert worker.num_streams == 1


@pytest.mark.parametrize("settings", SETTINGS, ids=range(len(SETTINGS)))
def test_streams_that_do_not_fit_together_wait_on_disk(tiny, settings: StreamSettings) -> None:
    """Three take turns in the room of one, and say what they say with room for all."""
    frames = make_frames(6)
    ample = LocalWorker(ModelRegistry([tiny]))
    alone = ample.open(settings, beside=True)
    expected = [ample.step(alone, frame).prediction for frame in frames]
    budget = int(2.1 * expected[-1].memory_bytes)  # one beside another has half
    tight = LocalWorker(ModelRegistry([tiny]), cache_bytes=budget)
    streams = [tight.open(settings, beside=True) for _ in range(3)]
    for number, frame in enumerate(frames):
        for stream_id in streams:
            ours = tight.step(stream_id, frame).prediction
            assert np.array_equal(ours.depth, expected[number].depth)
            assert np.array_equal(ours.cam_from_world, expected[number].cam_from_world)
    waiting = list(Path(tight._parking._folder.name).iterdir())
    assert waiting
    for stream_id in streams:
        tight.close(stream_id)
    assert not list(Path(tight._parking._folder.name).iterdir())
    ample.shutdown()
    tight.shutdown()
