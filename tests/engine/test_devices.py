"""Numbers that a device computes in: chosen by measuring, and near enough to float32."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from svggt.engine import snapshot
from svggt.engine.checkpoints import LoadedModel, load_model
from svggt.engine.device_queue import DeviceQueue
from svggt.engine.devices import all_threads, choose_device, enough_threads, fewest, in_passing
from svggt.engine.stream import Stream
from svggt.errors import SnapshotRefused
from svggt.model.layers import attend_all
from svggt.model.policies import window
from svggt.settings import StreamSettings
from tests.conftest import make_frames


@pytest.mark.parametrize("queries", [7, 181])
def test_attention_in_bfloat16_is_attention(queries: int) -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, n, 64) for n in (queries, 400, 400))
    reduced = attend_all(q.bfloat16(), k.bfloat16(), v.bfloat16()).float()
    assert (reduced - F.scaled_dot_product_attention(q, k, v)).abs().max() < 0.02


def test_depth_in_bfloat16_is_the_depth(embedded: LoadedModel) -> None:
    reduced = load_model("embedded", choose_device("bfloat16"))
    streams = [Stream(model, window(2)) for model in (embedded, reduced)]
    for frame in make_frames(4, width=224):
        usual, near = (stream.step(frame).depth for stream in streams)
        assert np.mean(np.abs(near / usual - 1)) < 0.01
        # Not in steps: what is added to a map of logarithms in 8 bits would be seen as terraces.
        assert len(np.unique(near)) > 0.5 * near.size


def test_a_stream_goes_on_in_its_own_numbers_only(tmp_path: Path, tiny: LoadedModel) -> None:
    settings, path = StreamSettings(model="tiny", memory="window", window=2), tmp_path / "stream"
    stream = Stream(tiny, window(2))
    stream.step(make_frames(1)[0])
    snapshot.write(path, stream, None, settings)
    device = dataclasses.replace(tiny.device, dtype=torch.bfloat16)
    other = Stream(dataclasses.replace(tiny, device=device), window(2))
    with pytest.raises(SnapshotRefused):
        snapshot.read(path, other, settings)


def test_what_is_computed_in_passing_leaves_no_thread() -> None:
    before = threading.active_count()
    assert in_passing(lambda: threading.current_thread()) is not threading.current_thread()
    assert threading.active_count() == before
    with pytest.raises(ZeroDivisionError):
        in_passing(lambda: 1 / 0)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({1: 1.0, 2: 0.9}, 1),  # a core is worth a tenth
        ({1: 1.0, 2: 1.2}, 1),  # threads that wait for each other
        ({1: 1.7, 2: 1.0}, 2),
        ({1: 4.0, 2: 2.0, 4: 1.1, 8: 1.0}, 4),
    ],
)
def test_no_more_threads_than_help(seconds: dict[int, float], expected: int) -> None:
    assert fewest(seconds) == expected


def test_a_model_s_steps_take_no_more_threads_than_it_needs(tiny: LoadedModel) -> None:
    """Whatever was computed on the device's thread before; passes in the gaps take all."""

    @dataclasses.dataclass(frozen=True, eq=False)
    class Needy(LoadedModel):
        needs: int = 1

        @property
        def num_threads(self) -> int:
            return self.needs

    queue, fields = DeviceQueue(), {f.name: getattr(tiny, f.name) for f in dataclasses.fields(tiny)}
    for needs in (1, 3, 2, 1):
        model = Needy(**fields, needs=needs)
        assert queue.submit(model, torch.get_num_threads).result().result == needs
        there = in_passing(lambda m=model: queue.in_gaps(m, lambda turn: torch.get_num_threads()))
        assert there.result == all_threads()
    queue.shutdown()
    torch.set_num_threads(all_threads())


def test_float32_takes_all_threads_and_bfloat16_no_more(tiny: LoadedModel) -> None:
    """The last bits of float32 depend on their number; it must not be left to measuring."""
    reduced = dataclasses.replace(tiny.device, dtype=torch.bfloat16)
    assert enough_threads(tiny.device, 64) == tiny.num_threads == all_threads()
    assert 1 <= enough_threads(reduced, 64) <= all_threads()
