"""`python -m svggt.train NAME --help`. What a command needs is imported by it, see `arguments`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from svggt.data.layouts import find_sequences
from svggt.files import EMBEDDED_WEIGHTS
from svggt.train.arguments import add_command, add_fields, given_of
from svggt.train.batch import Source
from svggt.train.distributed import Distributed, end_process
from svggt.train.options import BESIDE_TRUTH, WAYS, TrainOptions
from svggt.train.preview import write_clip, write_sheet
from svggt.train.recorded import mixed, recorded
from svggt.train.runs import TrainRun, facts_of, read_network, remember, train_run, write_pieces
from svggt.train.source import SHAPES, rendered, scaled

_EXPERIMENT_SEEDS = {"ablation": 3, "failure": 1}


def train(
    name: str,
    given: dict[str, Any],
    out: Path,
    *,
    weights: Path | None = None,
    teacher: Path | None = None,
    minutes: float = 9.0,
    data: tuple[str, ...] = (),
    rendered: float = 1.0,
    scale: int = 1,
    split: bool = False,
) -> None:
    """Train weights in a folder, which is resumed if it is there.

    Args:
        name: one of `WAYS`.
        given: fields of `TrainOptions` that were asked for.
        out: folder for weights, log and what an exact resume needs.
        weights: to begin from; the teacher's if left out, else the embedded ones.
        teacher: weights that teach; a student needs them.
        minutes: how long, at most.
        data: FOLDER=WEIGHT: recorded sequences below a folder, and how often they are drawn: TUM
            RGB-D, ScanNet, 7-Scenes, CUT3R, plain.
        rendered: weight of rendered clips beside them.
        scale: times as many clips in a step.
        split: cut the weights into pieces of 15 MiB too, to be carried away.
    """
    with Distributed() as machine:
        weights = weights or teacher or EMBEDDED_WEIGHTS
        options = _options(name, given, weights, teacher)
        source = _source(data, rendered, scale, options.seed, machine.device)
        if machine.rank == 0:
            paths = {"weights": str(weights), "teacher": str(teacher), "data": data}
            remember(out, {**paths, "scale": scale, "rendered": rendered} | vars(options))
        trainer = train_run(out, TrainRun(weights, options, source, teacher), minutes, machine)
        if machine.rank == 0:
            if split:
                write_pieces(out / "weights.safetensors")
                sys.stdout.write(
                    "cat weights.safetensors.* > weights.safetensors joins the pieces\n"
                )
            sys.stdout.write(f"step {trainer.step}\n{out}\n")


def _options(name: str, given: dict[str, Any], weights: Path, teacher: Path | None) -> TrainOptions:
    """A way of training, changed by what was asked for."""
    way = WAYS[name]
    if teacher is None:
        if way.distill_weight:
            raise ValueError("a student needs a teacher: --teacher WEIGHTS")
        given = given | {"distill_weight": 0.0}
    elif not way.distill_weight:
        given = {"distill_weight": BESIDE_TRUTH} | given
    options = replace(way, **({"seed": facts_of(weights).seed} | given))
    if not options.supervised_weight and not options.distill_weight:
        raise ValueError("nothing is to be learnt: raise --supervised-weight, or name a --teacher")
    return options


def _source(
    data: Sequence[str], rendered_weight: float, scale: int, seed: int, device: torch.device
) -> Source:
    """Rendered clips, and recorded sequences beside them, by weight."""
    shapes = scaled(SHAPES, scale)
    sources = [(rendered_weight, rendered(shapes, seed, device))]
    for folder, weight in map(_folder_and_weight, data):
        sequences = list(find_sequences(folder))
        sources.append((weight, recorded(sequences, shapes, seed, device)))
    if not sum(weight for weight, _ in sources) > 0:
        raise ValueError("no clips: raise --rendered or a weight of --data above 0")
    return mixed(sources, seed) if data else sources[0][1]


def _folder_and_weight(text: str) -> tuple[Path, float]:
    folder, _, weight = text.rpartition("=")
    try:
        number = float(weight)
    except ValueError:
        number = -1.0
    if not folder or not number >= 0:
        raise ValueError(f"“{text}” is no weighted folder: --data FOLDER=WEIGHT, 0 or more")
    return Path(folder), number


def sheet(out: Path, *, seed: int = 0) -> None:
    """Draw rendered clips as a picture, to be looked at.

    Args:
        out: the PNG to write.
        seed: from which the clips are drawn.
    """
    write_sheet(out, seed, torch.device("cpu"))


def clip(out: Path, *, frames: int = 32, seed: int = 0) -> None:
    """Render a clip as a folder: images, depth, poses, K.

    Args:
        out: the folder to write.
        frames: number of frames.
        seed: from which the clip is drawn.
    """
    write_clip(out, frames, seed, torch.device("cpu"))


def report(folders: list[Path], *, out: Path = Path("report.png")) -> None:
    """Draw the curves of one or more runs.

    Args:
        folders: of the runs.
        out: the PNG to write.
    """
    from svggt.train.report import write_report

    write_report(folders, out)
    sys.stdout.write(f"{out}\n")


def study(
    out: Path,
    *,
    variants: tuple[str, ...] = (),
    weights: Path | None = None,
    steps: int = 200,
    every: int = 5,
    seeds: int = 2,
) -> None:
    """Measure what makes pose learnt soonest.

    Args:
        out: folder, resumed if it is there.
        variants: some of them; all if left out.
        weights: start from these; fresh weights if left out.
        steps: that each variant takes.
        every: steps between two measurements.
        seeds: how many of weights and clips.
    """
    from svggt.train.report import plot_curves
    from svggt.train.study import ERRORS, check_variants, run_study, summary

    check_variants(variants, weights)
    remember(out, {"weights": str(weights), "steps": steps, "every": every})
    logs = run_study(out, variants, weights, steps, every, seeds)
    picture = out / "study.png"
    plot_curves({name: several[0] for name, several in logs.items()}, list(ERRORS), picture)
    sys.stdout.write(f"{summary(logs)}\n{picture}\n")


def probe(*, weights: Path = EMBEDDED_WEIGHTS) -> None:
    """Tell what can be read from tokens linearly (R squared).

    Args:
        weights: whose tokens.
    """
    from svggt.train.probe import what_tokens_know

    for layer, known in what_tokens_know(read_network(weights, torch.device("cpu"))).items():
        place, displacement = known.place, known.displacement
        sys.stdout.write(f"layer {layer}: place {place:.2f}, displacement {displacement:.2f}\n")


def experiment(
    name: str,
    out: Path,
    *,
    weights: Path = EMBEDDED_WEIGHTS,
    steps: int = 60,
    seeds: int | None = None,
) -> None:
    """Train students with and without a teacher (ablation), or of teachers that fail (failure).

    Args:
        name: of `_EXPERIMENT_SEEDS`.
        out: folder, resumed if it is there.
        weights: that all begin from.
        steps: that each student takes.
        seeds: how many students each variant has; the ablation 3, the failure 1 if left out.
    """
    if name == "ablation":
        from svggt.train.ablation import run_ablation as carry_out
    else:
        from svggt.train.teacher_corruption import run_failure as carry_out
    from svggt.train.report import plot_results

    remember(out, {"weights": str(weights), "steps": steps})
    network = read_network(weights, Distributed().device)
    seeds = _EXPERIMENT_SEEDS[name] if seeds is None else seeds
    outcome = carry_out(network, steps, seeds, out)
    plot_results(outcome.results, outcome.begun, out / "results.png")
    sys.stdout.write(f"{outcome.text}\n{out / 'results.png'}\n")


def compare(
    a: str, b: str | None = None, *, folders: tuple[Path, ...] = (), width: int = 224
) -> None:
    """Tell what weights are worth, and whether B takes A's place.

    Args:
        a: a preset or a file: what is there.
        b: what might take its place: REPLACE or KEEP.
        folders: further clips with poses, such as 7-Scenes.
        width: the pictures', pixels.
    """
    from svggt.train.compare import held_out_clips, judge, markdown, table_of

    clips = list(held_out_clips(list(folders), width))
    tables = []
    for weights in filter(None, (a, b)):
        tables.append(table_of(weights, clips))
        sys.stdout.write(f"{weights}\n{markdown(tables[-1])}\n")
    if b:
        verdict = judge(*tables)
        name, ratio = verdict.worst
        sys.stdout.write(f"errors of B by A's: {verdict.ratio:.3f}; worst: {name} {ratio:.2f}\n")
        sys.stdout.write(f"{'REPLACE' if verdict.replaces else 'KEEP'}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m svggt.train")
    commands = parser.add_subparsers(dest="name", required=True)
    for name, way in WAYS.items():
        add_fields(add_command(commands, name, train), TrainOptions, way)
    for name in _EXPERIMENT_SEEDS:
        add_command(commands, name, experiment)
    for run in (sheet, clip, report, compare, study, probe):
        add_command(commands, run.__name__, run)
    return parser


def main(words: Sequence[str] | None = None) -> None:
    """The command line, or the words given; bad input ends it with a sentence."""
    parsed = vars(_parser().parse_args(words))
    run, name = parsed.pop("run"), parsed.pop("name")
    try:
        if run is train:
            given = given_of(parsed, TrainOptions)
            train(name, given, **{k: v for k, v in parsed.items() if k not in given})
        elif run is experiment:
            experiment(name, **parsed)
        else:
            run(**parsed)
    except ValueError as error:  # its message says what to do
        sys.exit(f"svggt: {error}")


if __name__ == "__main__":
    main()
    end_process()
