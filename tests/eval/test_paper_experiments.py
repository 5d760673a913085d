"""The paper's experiments: latency against frames, validity of the cache, parts of a frame."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import get_args

import pytest
import torch

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.devices import choose_device
from svggt.experiments import latency, throughput, validity
from svggt.experiments.__main__ import throughput as throughput_command
from svggt.experiments.long import there_and_back
from svggt.media.examples import EXAMPLES
from svggt.model.policies import window
from svggt.settings import MemoryPolicy
from tests.conftest import make_frames


def test_latency_is_told_for_every_count(tiny: LoadedModel, tmp_path: Path) -> None:
    rows, growth = latency.newest_frames(tiny, make_frames(12), [1, 4, 12], window(2))
    assert [row.frames for row in rows] == [1, 4, 12]
    assert rows[-1].full_mb > 2 * rows[0].full_mb
    assert rows[-1].bounded_mb == rows[1].bounded_mb
    assert rows[-1].speedup == pytest.approx(rows[-1].offline_ms / rows[-1].full_ms)
    assert rows[-1].offline_ms > rows[0].offline_ms  # a pass over all of them
    config, tokens = tiny.network.config, 5 + 4 * 6
    layers = 2 * config.depth * tokens * config.embed_dim
    camera = 2 * config.camera_iterations * config.camera_trunk_depth * 2 * config.embed_dim
    assert growth.mb_expected == pytest.approx(4 * (layers + camera) / 1e6)
    latency.write(rows, tmp_path / "out")
    with (tmp_path / "out/latency.csv").open() as file:
        assert [int(row["frames"]) for row in csv.DictReader(file)] == [1, 4, 12]
    assert (tmp_path / "out/latency.png").stat().st_size > 10_000


@pytest.mark.parametrize("counts", [[], [0, 3], [5]])
def test_counts_that_the_clip_has_not_are_refused(tiny: LoadedModel, counts) -> None:
    with pytest.raises(ValueError, match="the clip has 4 frames"):
        latency.newest_frames(tiny, make_frames(4), counts, window(2))


def test_memory_grows_as_the_arithmetic_says(tiny: LoadedModel) -> None:
    """Room is taken for several frames at once: the slope is about that of what is needed."""
    _, growth = latency.newest_frames(tiny, make_frames(60), [60], window(2))
    assert growth.mb == pytest.approx(growth.mb_expected, rel=0.4)


def test_every_policy_without_a_limit_says_what_the_batch_says(
    tiny: LoadedModel, tmp_path: Path
) -> None:
    half = dataclasses.replace(
        tiny,
        network=type(tiny.network)(tiny.network.config).eval().requires_grad_(False),
        device=choose_device("bfloat16"),
    )
    half.network.load_state_dict(tiny.network.state_dict())
    half.network.aggregator.to(torch.bfloat16)
    policies = get_args(MemoryPolicy)
    rows = validity.cache_errors([tiny, half], make_frames(6), policies, ["int8", "int4"])
    assert len(rows) == 2 * (len(policies) + 2)
    for row in rows:
        exact = row.numbers == "float32" and row.storage == "computed"
        assert (row.depth < 1e-5 and row.camera < 1e-5) == exact, row
        assert row.depth < 0.2
    assert validity.table(rows).count("\n") == len(rows) + 2
    validity.write(rows, tmp_path)
    with (tmp_path / "validity.csv").open() as file:
        assert [float(row["depth"]) for row in csv.DictReader(file)] == [row.depth for row in rows]
    assert (tmp_path / "validity.png").stat().st_size > 10_000


def test_parts_of_a_frame_add_up(tiny: LoadedModel) -> None:
    tiny = dataclasses.replace(tiny, name="embedded")
    found = {p.name: p.ms for p in throughput.parts(tiny, EXAMPLES[0].clip, 20, True)}
    step = found["a step"]
    inside = [
        "encoder", "attention over frames", "camera head", "depth head", "point head",
        "transfer, memory, the rest of a step",
    ]  # fmt: skip
    assert sum(found[name] for name in inside) == pytest.approx(step)
    assert all(found[name] > 0 for name in inside[:-1])
    assert found["all, one after another"] == pytest.approx(step + found["decoding and resizing"])
    with pytest.raises(ValueError, match="11 or more"):
        throughput.parts(tiny, EXAMPLES[0].clip, 10, False)
    rows = throughput.speeds(tiny, EXAMPLES[0].clip, [56, 84], 2)
    measured = [(row.preset, row.width) for row in rows if row.ms is not None]
    assert measured == [("embedded", 56), ("embedded", 84)]
    assert {round(row.parameters) for row in rows if row.preset == "streamvggt-1b"} == {1257}
    assert throughput.speeds_table(rows).count("not measured") == 3


def test_the_command_names_what_it_did_not_measure(capsys, tmp_path: Path) -> None:
    assert throughput_command(tmp_path, frames=12, widths=(56,)) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "parts.csv", "speeds.csv", "throughput.png",
    }  # fmt: skip
    assert "streamvggt-1b" in (tmp_path / "speeds.csv").read_text()
    out = capsys.readouterr().out
    assert "of 1/30 s" in out and "Jetson and the like): not measured" in out


def test_a_walk_turns_at_the_ends() -> None:
    assert there_and_back(3, 7) == [0, 1, 2, 1, 0, 1, 2]
    assert there_and_back(1, 3) == [0, 0, 0]
