"""`python -m svggt.train NAME --help`.

Argparse, and what a command needs is imported by it: a machine for training has little else.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from svggt.data.layouts import find_sequences
from svggt.files import EMBEDDED_WEIGHTS
from svggt.train.batch import Source
from svggt.train.distributed import Distributed
from svggt.train.options import BESIDE_TRUTH, WAYS
from svggt.train.preview import write_clip, write_sheet
from svggt.train.recorded import mixed, recorded
from svggt.train.runs import Slice, facts_of, read_network, train_slice, write_pieces
from svggt.train.settings import remember
from svggt.train.source import SHAPES, rendered, scaled


def train(asked: argparse.Namespace) -> None:
    """Resumes a training run, or begins one."""
    way, machine = WAYS[asked.name], Distributed()
    weights = asked.weights or asked.teacher or EMBEDDED_WEIGHTS
    taught = (way.taught or BESIDE_TRUTH) if asked.taught is None else asked.taught
    truth = way.truth if asked.truth is None else asked.truth
    if way.taught and not asked.teacher:
        raise ValueError("a student needs a teacher: --teacher WEIGHTS")
    if not truth and not (asked.teacher and taught):
        raise ValueError("nothing is to be learnt: raise --truth, or name a --teacher")
    options = replace(
        way,
        seed=facts_of(weights).seed if asked.seed is None else asked.seed,
        lr=asked.lr,
        camera=asked.camera,
        relative=asked.relative,
        total=asked.total,
        truth=truth,
        taught=taught if asked.teacher else 0.0,
        accumulate=asked.accumulate,
        autocast=asked.bf16,
        checkpointing=asked.checkpointing,
        compiled=tuple(asked.compile),
    )
    source = _data(asked, options.seed, machine.device)
    if machine.rank == 0:
        given = {"weights": weights, "teacher": asked.teacher, "data": asked.data}
        kept = {name: str(value) for name, value in given.items()}
        kept |= {"scale": asked.scale, "rendered": asked.rendered}
        remember(asked.out, kept | vars(options))
    trainer = train_slice(
        asked.out, Slice(weights, options, source, asked.teacher), asked.minutes, machine
    )
    if asked.split and machine.rank == 0:
        write_pieces(asked.out / "weights.safetensors")
        sys.stdout.write("cat weights.safetensors.* > weights.safetensors joins the pieces\n")
    if machine.rank == 0:
        sys.stdout.write(f"step {trainer.step}\n{asked.out}\n")


def _data(asked: argparse.Namespace, seed: int, device: torch.device) -> Source:
    """Rendered clips, and recorded sequences beside them, by weight."""
    shapes = scaled(SHAPES, asked.scale)
    sources = [(asked.rendered, rendered(shapes, seed, device))]
    for folder, weight in asked.data or ():
        sequences = list(find_sequences(Path(folder)))
        sources.append((_weight(weight), recorded(sequences, shapes, seed, device)))
    if not sum(weight for weight, _ in sources) > 0:
        raise ValueError("no clips: raise --rendered or a weight of --data above 0")
    return mixed(sources, seed) if asked.data else sources[0][1]


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not weight >= 0:
        raise ValueError(f"“{text}” is no weight: --data FOLDER NUMBER, 0 or more")
    return weight


def sheet(asked: argparse.Namespace) -> None:
    """A picture of rendered clips."""
    write_sheet(asked.out, asked.seed, torch.device("cpu"))


def clip(asked: argparse.Namespace) -> None:
    """A rendered clip as a folder."""
    write_clip(asked.out, asked.frames, asked.seed, torch.device("cpu"))


def report(asked: argparse.Namespace) -> None:
    """Curves of logs."""
    from svggt.train.report import write_report

    write_report(asked.folders, asked.out)
    sys.stdout.write(f"{asked.out}\n")


def study(asked: argparse.Namespace) -> None:
    """What makes pose learnt soonest."""
    from svggt.train import study as studying
    from svggt.train.logs import read_log
    from svggt.train.report import plot_curves

    unknown = set(asked.arms or ()) - set(studying.ARMS)
    if unknown:
        names = ", ".join(studying.ARMS)
        raise ValueError(f"there is no arm “{unknown.pop()}”: choose of {names}")
    if asked.weights:
        unknown = {arm for arm in asked.arms or () if arm in studying.OF_BEGINNINGS}
        if unknown or not asked.arms:
            names = ", ".join(set(studying.ARMS) - studying.OF_BEGINNINGS)
            raise ValueError(f"weights have begun already: name --arms of {names}")
    kept = {"weights": str(asked.weights), "steps": asked.steps, "every": asked.every}
    remember(asked.out, kept)
    logs = {}
    for name in asked.arms or studying.ARMS:
        arm, logs[name] = studying.ARMS[name], []
        for seed in range(asked.seeds):
            path = studying.log_of(asked.out, name, seed)
            if not path.is_file():
                begun = (
                    studying.going_on(asked.weights, arm, seed)
                    if asked.weights
                    else studying.by_heart(arm, seed)
                )
                studying.run_arm(begun, asked.steps, asked.every, seed, path)
            logs[name].append(read_log(path))
    columns, picture = ["rotation error", "translation error"], asked.out / "study.png"
    plot_curves({name: several[0] for name, several in logs.items()}, columns, picture)
    sys.stdout.write(f"{studying.summary(logs)}\n{picture}\n")


def probe(asked: argparse.Namespace) -> None:
    """What tokens know."""
    from svggt.train.probe import what_tokens_know

    for layer, known in what_tokens_know(read_network(asked.weights, torch.device("cpu"))).items():
        sys.stdout.write(
            f"layer {layer}: place {known.place:.2f}, displacement {known.displacement:.2f}\n"
        )


def experiment(asked: argparse.Namespace) -> None:
    """Students that are taught differently."""
    if asked.name == "ablation":
        from svggt.train.ablation import run_ablation as carry_out
    else:
        from svggt.train.teacher_corruption import run_failure as carry_out
    from svggt.train.report import plot_results

    remember(asked.out, {"weights": str(asked.weights), "steps": asked.steps})
    network = read_network(asked.weights, Distributed().device)
    outcome = carry_out(network, asked.steps, asked.seeds, asked.out)
    plot_results(outcome.results, outcome.begun, asked.out / "results.png")
    sys.stdout.write(f"{outcome.text}\n{asked.out / 'results.png'}\n")


def compare(asked: argparse.Namespace) -> None:
    """What weights are worth, and whether B takes A's place."""
    from svggt.train import compare as comparing

    clips = list(comparing.held_out_clips(asked.folders, asked.width))
    tables = []
    for weights in filter(None, (asked.a, asked.b)):
        tables.append(comparing.table_of(weights, clips))
        sys.stdout.write(f"{weights}\n{comparing.markdown(tables[-1])}\n")
    if not asked.b:
        return
    verdict = comparing.judge(*tables)
    name, ratio = verdict.worst
    sys.stdout.write(f"errors of B by A's: {verdict.ratio:.3f}; worst: {name} {ratio:.2f}\n")
    sys.stdout.write(f"{'REPLACE' if verdict.replaces else 'KEEP'}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m svggt.train")
    commands = parser.add_subparsers(dest="name", required=True)
    _add_ways(commands)
    asked = commands.add_parser("sheet", help="a picture of rendered clips, to be looked at")
    asked.add_argument("out", type=Path, help="the PNG to write")
    asked.add_argument("--seed", type=int, default=0)
    asked.set_defaults(run=sheet)
    asked = commands.add_parser("clip", help="a rendered clip as a folder: images, depth, poses, K")
    asked.add_argument("out", type=Path, help="the folder to write")
    asked.add_argument("--frames", type=int, default=32)
    asked.add_argument("--seed", type=int, default=0)
    asked.set_defaults(run=clip)
    asked = commands.add_parser("report", help="curves of one or more slices, as a PNG")
    asked.add_argument("folders", type=Path, nargs="+", help="of slices")
    asked.add_argument("--out", type=Path, default=Path("report.png"))
    asked.set_defaults(run=report)
    asked = commands.add_parser("compare", help="what weights are worth; which are better")
    asked.add_argument("a", help="a preset or a file: what is there")
    asked.add_argument("b", nargs="?", help="what might take its place: REPLACE or KEEP")
    asked.add_argument("--folders", type=Path, nargs="*", default=[], help="with poses, 7-Scenes")
    asked.add_argument("--width", type=int, default=224, help="pixels of the pictures")
    asked.set_defaults(run=compare)
    _add_experiments(commands)
    return parser


def _add_experiments(commands) -> None:
    asked = commands.add_parser("study", help="what makes pose learnt soonest")
    asked.add_argument("out", type=Path, help="folder, resumed if it is there")
    asked.add_argument("--arms", nargs="*", help="some of them; all if left out")
    asked.add_argument("--weights", type=Path, help="start from these; fresh weights if left out")
    asked.add_argument("--steps", type=int, default=200)
    asked.add_argument("--every", type=int, default=5, help="steps between two measurements")
    asked.add_argument("--seeds", type=int, default=2, help="of weights and clips")
    asked.set_defaults(run=study)
    asked = commands.add_parser("probe", help="what can be read from tokens linearly, R squared")
    asked.add_argument("--weights", type=Path, default=EMBEDDED_WEIGHTS)
    asked.set_defaults(run=probe)
    about = {
        "ablation": "students with and without a teacher",
        "failure": "what students inherit of teachers that fail",
    }
    for name, words in about.items():
        asked = commands.add_parser(name, help=words)
        asked.add_argument("out", type=Path, help="folder, resumed if it is there")
        asked.add_argument(
            "--weights", type=Path, default=EMBEDDED_WEIGHTS, help="that all begin from"
        )
        asked.add_argument("--steps", type=int, default=60, help="of each student")
        asked.add_argument("--seeds", type=int, default=3 if name == "ablation" else 1)
        asked.set_defaults(run=experiment)


def _add_ways(commands) -> None:
    about = {
        "teacher": "all frames see each other",
        "student": "a frame sees earlier ones, and learns what the teacher says",
        "mixed": "one set of weights for both ways of attending",
    }
    for name, words in about.items():
        way = commands.add_parser(name, help=words)
        way.add_argument("out", type=Path, help="folder of the slice, resumed if it is there")
        way.add_argument("--weights", type=Path, help="to begin from; the teacher's if left out")
        way.add_argument("--teacher", type=Path, help="weights that teach; a student needs them")
        way.add_argument("--taught", type=float, help="weight of what it says")
        way.add_argument("--truth", type=float, help="weight of the truth; student: 0, else 1")
        way.add_argument("--minutes", type=float, default=9.0, help="of this slice")
        way.add_argument("--lr", type=float, default=3e-4, help="at its highest")
        way.add_argument("--total", type=int, help="steps until it has fallen to a fiftieth")
        way.add_argument("--camera", type=float, default=5.0, help="weight of cameras")
        way.add_argument("--relative", type=float, default=1.0, help="weight of their motion")
        way.add_argument("--seed", type=int, help="of the clips; the weights' own if left out")
        way.add_argument(
            "--data",
            nargs=2,
            action="append",
            metavar=("FOLDER", "WEIGHT"),
            help="recorded sequences below a folder: TUM RGB-D, ScanNet, 7-Scenes, CUT3R, plain",
        )
        way.add_argument("--rendered", type=float, default=1.0, help="weight of rendered clips")
        way.add_argument("--scale", type=int, default=1, help="times as many clips in a step")
        way.add_argument("--accumulate", type=int, default=1, help="batches of a step")
        way.add_argument("--bf16", action="store_true", help="compute in bfloat16, but cameras")
        way.add_argument("--checkpointing", action="store_true", help="less memory, more time")
        way.add_argument(
            "--compile", nargs="*", default=[], choices=["blocks", "rendering"], help="is compiled"
        )
        way.add_argument("--split", action="store_true", help="weights in pieces of 15 MiB too")
        way.set_defaults(run=train)


def main(words: Sequence[str] | None = None) -> None:
    """The command line, or the words given; bad input ends it with a sentence."""
    try:
        parsed = _parser().parse_args(words)
        parsed.run(parsed)
    except ValueError as error:  # its message says what to do
        sys.exit(f"svggt: {error}")


if __name__ == "__main__":
    main()
