"""`python -m svggt.experiments NAME --help`: see each function for what it reports."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, get_args

import torch
import tyro

from svggt.cli import run
from svggt.compare.report import numbers
from svggt.compare.run_config import RunConfig
from svggt.engine.checkpoints import load_model
from svggt.engine.devices import choose_device
from svggt.eval.posed_clip import PosedClip
from svggt.eval.smoke import office_frames
from svggt.eval.suite import suite
from svggt.experiments import latency as latency_experiment
from svggt.experiments import long as long_experiment
from svggt.experiments import parity as parity_experiment
from svggt.experiments import throughput as throughput_experiment
from svggt.experiments import validity as validity_experiment
from svggt.experiments.compare import ClipSource, compare_clip
from svggt.experiments.long_plots import plot_runs
from svggt.experiments.store_int8 import store_int8 as write_int8
from svggt.exports.replay import write_viser
from svggt.media.examples import EXAMPLES
from svggt.media.frames import Frame
from svggt.model.policies import bounded
from svggt.settings import Budget, MemoryPolicy, Precision, Storage, StreamSettings
from svggt.store.posed_frames import PosedFrames
from svggt.store.recording import Recording

EMBEDDED = StreamSettings("embedded")

_POINTS = 200_000  # of a replay: it plays on any machine while the page loads


def record_replay(clip: Path, target: Path, model: str, rate: float, frames: int) -> int:
    """Streams a clip and writes viser's recording of it.

    Args:
        clip: a video.
        target: the `.viser` file to write.
        model: preset or path.
        rate: frames a second taken from the clip.
        frames: at most.

    Returns:
        Bytes written.
    """
    with tempfile.TemporaryDirectory(prefix="svggt-replay-") as folder:
        out = Path(folder)
        run((clip,), out, (), StreamSettings(model, refine=True), rate=rate, frames=frames)
        recording = Recording(out)
        about = recording.about
        assert about is not None
        shots = PosedFrames.of(recording, about.look.cameras)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_viser(shots, target, _POINTS)
    return target.stat().st_size


def parity(fixture: Annotated[Path, tyro.conf.Positional], streaming: bool = False) -> int:
    """Print the relative error of every output, and fail above the bounds of `parity`.

    Args:
        fixture: a file as `tests/data/landscape.safetensors`.
        streaming: compare the stream with its own causal batch pass instead.
    """
    loaded = parity_experiment.Fixture.load(fixture)
    with torch.no_grad():
        if streaming:
            errors = parity_experiment.streaming_errors(loaded.network(), loaded.images)
        else:
            errors = parity_experiment.parity_errors(loaded)
    passed = True
    for name, error in errors.items():
        bound = parity_experiment.bound_of(name)
        passed &= error <= bound  # NaN fails
        sys.stdout.write(f"{name:32} {error:.2e}  {'ok' if error <= bound else 'ABOVE'} {bound}\n")
    sys.stdout.write(f"{'PASS' if passed else 'FAIL'}: {len(errors)} outputs\n")
    return 0 if passed else 1


def replay(
    clip: Annotated[Path, tyro.conf.Positional],
    out: Annotated[Path, tyro.conf.Positional],
    model: str = "embedded",
    rate: float = 5.0,
    frames: int = 40,
) -> int:
    """Record what a run of a clip looks like, as a `.viser` file for the page.

    Args:
        clip: a video, as `assets/clips/office.mp4`.
        out: the file to write, as `assets/replays/office.viser`.
        model: a preset or a path to weights.
        rate: frames a second taken from the clip, and played.
        frames: at most.
    """
    written = record_replay(clip, out, model, rate, frames)
    sys.stdout.write(f"{out}: {written / 1e6:.2f} MB\n")
    return 0


def tours(model: str = "embedded", frames: int = 40) -> int:
    """Record a replay of every example of the page, where the page looks for them.

    Args:
        model: a preset or a path to weights.
        frames: most frames of each.
    """
    for example in EXAMPLES:
        out = example.replay
        replay(example.clip, out, model, example.frames_per_second, frames)
    return 0


def store_int8(
    source: Annotated[Path, tyro.conf.Positional], out: Annotated[Path, tyro.conf.Positional]
) -> int:
    """Store weights as int8, as the embedded ones are, and print what that costs.

    Args:
        source: .safetensors, .pt or .pth.
        out: the .safetensors to write, as `assets/embedded.safetensors`.
    """
    for name, value in dataclasses.asdict(write_int8(source, out)).items():
        sys.stdout.write(f"{name:14} {value:.4g}\n")
    return 0


def compare(
    clip: Annotated[Path, tyro.conf.Positional],
    out: Path,
    a: RunConfig = RunConfig("streaming", EMBEDDED, "refined"),
    b: RunConfig = RunConfig("offline", EMBEDDED, "refined"),
    frames: int = 40,
    rate: float | None = None,
    every: int = 8,
    whole: bool = False,
) -> int:
    """Compare two ways of computing the same frames, and write a report of it.

    Args:
        clip: a video, as `assets/clips/office.mp4`, or a folder with images/, depth/ and
            poses.txt, or a 7-Scenes sequence: then both are compared with the truth too.
        out: folder for both runs, tables, plots, views and `report.html`.
        a: one run.
        b: the other; the first is compared with it.
        frames: at most.
        rate: frames a second taken from the clip; chosen by motion if left out.
        every: all but streaming begins again with every n-th frame, for its latency.
        whole: keep tall pictures whole, in narrower frames, instead of cutting them to a square.
    """
    command = shlex.join(["python", "-m", "svggt.experiments", *sys.argv[1:]])
    outcome = compare_clip(ClipSource(clip, frames, rate, every, whole), out, (a, b), command)
    sys.stdout.write(json.dumps(numbers(outcome), indent=2) + f"\n{out / 'report.html'}\n")
    return 0


def long(
    out: Annotated[Path, tyro.conf.Positional],
    model: str = "embedded",
    clips: tuple[str, ...] = ("office", "kitchen", "rooms"),
    policies: tuple[MemoryPolicy, ...] = get_args(MemoryPolicy),
    budgets: tuple[str, ...] = ("9 frames",),
    storages: tuple[Storage, ...] = ("computed",),
    frames: int = 300,
) -> int:
    """Run long streams under memories, and write tables, a CSV of every frame, and plots.

    Args:
        out: folder; it is resumed when cut off.
        model: a preset or a path to causal weights.
        clips: of the suite (`svggt.eval cameras --suite`), with a truth; walked back and forth.
        policies: what is kept; the full memory comes first, since others are compared with it.
        budgets: of every policy but full, as "9 frames", "20k tokens" or "500 MB".
        storages: how it is kept.
        frames: of each stream.
    """
    known = {clip.name: clip for clip in suite()}
    asked = list(long_experiment.all_runs(clips, policies, budgets, storages))

    def loaded() -> Iterator[tuple[str, PosedClip]]:
        for name in clips:
            clip = known[name].load() if name in known else None
            if clip is None or clip.truth is None:
                raise ValueError(f"no clip with a truth named {name}: one of {', '.join(known)}")
            yield name, long_experiment.forth_and_back(clip, frames)

    network = load_model(model, choose_device("float32"))
    rows = long_experiment.run_all(network, loaded(), asked, out)
    report = long_experiment.table(rows) + "\n"
    (out / "table.md").write_text(report, "utf-8")
    plot_runs(rows, out)
    sys.stdout.write(report)
    return 0


def latency(
    out: Annotated[Path, tyro.conf.Positional],
    model: str = "embedded",
    counts: tuple[int, ...] = (1, 2, 5, 10, 20, 40, 60, 80, 100),
    memory: MemoryPolicy = "window",
    budget: str = "9 frames",
) -> int:
    """What the newest of N frames costs, streamed and offline (StreamVGGT, figure 2).

    Args:
        out: folder for a CSV and a plot.
        model: a preset or a path to causal weights.
        counts: N, of the office clip, forth and back.
        memory: of the bounded stream.
        budget: of the same.
    """
    network = load_model(model, choose_device())
    frames = _long_enough(office_frames(network.input_width), max(counts, default=0))
    policy = bounded(memory, Budget.parse(budget))
    rows, growth = latency_experiment.newest_frames(network, frames, counts, policy)
    latency_experiment.write(rows, out)
    sys.stdout.write((out / "latency.csv").read_text("utf-8"))
    for name, value in dataclasses.asdict(growth).items():
        sys.stdout.write(f"a frame more, {name}: {value:.4g}\n")
    return 0


def _long_enough(frames: list[Frame], count: int) -> list[Frame]:
    """So many frames, forth and back over a clip."""
    steps = long_experiment.there_and_back(len(frames), count)
    return [dataclasses.replace(frames[step], number=n) for n, step in enumerate(steps)]


def validity(
    out: Annotated[Path, tyro.conf.Positional],
    model: str = "embedded",
    frames: int = 50,
    policies: tuple[MemoryPolicy, ...] = get_args(MemoryPolicy),
    precisions: tuple[Precision, ...] = ("float32", "bfloat16"),
    storages: tuple[Storage, ...] = ("bfloat16", "int8", "int4"),
) -> int:
    """The newest frame, streamed, against one causal pass over all frames.

    Args:
        out: folder for a CSV and a plot.
        model: a preset or a path to causal weights.
        frames: of the office clip; the last one is compared.
        policies: each with an unlimited budget.
        precisions: of the network; all are compared with the pass in the first one.
        storages: of the full memory.
    """
    models = [load_model(model, choose_device(precision)) for precision in precisions]
    clip = office_frames(models[0].input_width)[:frames]
    rows = validity_experiment.cache_errors(models, clip, policies, storages)
    validity_experiment.write(rows, out)
    sys.stdout.write(validity_experiment.table(rows))
    return 0


def throughput(
    out: Annotated[Path, tyro.conf.Positional],
    model: str = "embedded",
    clip: Path = EXAMPLES[0].clip,
    frames: int = 60,
    points: bool = False,
    widths: tuple[int, ...] = (112, 168, 224, 336, 518),
) -> int:
    """Where a frame's time goes, against a video's 30 a second; sizes and speeds of presets.

    Args:
        out: folder for CSVs and a plot.
        model: a preset or a path to weights.
        clip: a video.
        frames: of it.
        points: run the point head too.
        widths: of pictures; multiples of 14.
    """
    network = load_model(model, choose_device())
    sys.stdout.write(f"{model} on {network.device.name}, {network.device.dtype}\n")
    found = throughput_experiment.parts(network, clip, frames, points)
    sys.stdout.write(throughput_experiment.parts_table(found) + "\n")
    rows = throughput_experiment.speeds(network, clip, list(widths), frames=10)
    sys.stdout.write(throughput_experiment.speeds_table(rows))
    throughput_experiment.write(found, rows, out)
    sys.stdout.write("Edge devices (Jetson and the like): not measured.\n")
    return 0


COMMANDS = {
    "latency": latency,
    "throughput": throughput,
    "validity": validity,
    "compare": compare,
    "long": long,
    "parity": parity,
    "replay": replay,
    "tours": tours,
    "store-int8": store_int8,
}

if __name__ == "__main__":
    try:
        sys.exit(tyro.extras.subcommand_cli_from_dict(COMMANDS))
    except ValueError as error:  # bad input; its message says what to do
        sys.exit(f"svggt: {error}")
