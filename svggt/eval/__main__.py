"""`python -m svggt.eval NAME --help`: see each function for what it reports."""

from __future__ import annotations

import dataclasses
import sys
from json import dumps
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro

from svggt.data.layouts import nyu, open_sequence
from svggt.data.truth import Truth
from svggt.engine.checkpoints import LoadedModel, load_model
from svggt.engine.devices import choose_device
from svggt.eval.all_tables import FAILURES, all_tables
from svggt.eval.cameras import head_figures, predict, refined_figures
from svggt.eval.clip_figures import medians
from svggt.eval.options import TableOptions, WayOptions
from svggt.eval.posed_clip import PosedClip
from svggt.eval.protocol import Task
from svggt.eval.refined_run import refine_run
from svggt.eval.smoke import BOUNDS, office_frames, office_truth, smoke_figures
from svggt.eval.suite import suite as suite_clips
from svggt.eval.suite_report import markdown, run_suite
from svggt.media.frames import Frame
from svggt.model.policies import window

_Options = TypeVar("_Options")
Flat = Annotated[_Options, tyro.conf.arg(name="")]


def smoke(model: str = "embedded") -> int:
    """Check weights on the shipped office clip against its ground truth: PASS or FAIL.

    Args:
        model: a preset or a path to weights.
    """
    loaded = load_model(model, choose_device("float32"))
    figures = smoke_figures(loaded, office_frames(loaded.input_width), office_truth())
    bounds = BOUNDS.get(model, BOUNDS["streamvggt-1b"])
    passed = True
    sys.stdout.write(f"{model} on {loaded.device.name}; bounds: {bounds.source}\n")
    for name, bound in dataclasses.asdict(bounds.figures).items():
        value = getattr(figures, name)
        passed &= value <= bound
        sys.stdout.write(f"{name:10} {value:.3f}  {'ok' if value <= bound else 'ABOVE'} {bound}\n")
    sys.stdout.write("PASS\n" if passed else "FAIL\n")
    return 0 if passed else 1


def cameras(
    folder: Annotated[Path | None, tyro.conf.Positional] = None,
    model: str = "embedded",
    cameras: Literal["head", "refined"] = "refined",
    every: int = 1,
    seeds: int | None = None,
    json: bool = False,
    suite: bool = False,
    quick: bool = False,
    clips: tuple[str, ...] = (),
    out: Path = Path("suite.jsonl"),
) -> int:
    """Rotation, path and depth of a stream against the truth, of a folder or of a whole suite.

    Args:
        folder: a sequence in a layout of TUM RGB-D, ScanNet, 7-Scenes or CUT3R, or a plain
            folder with images/, depth/ and poses.txt.
        model: a preset or a path to weights.
        cameras: the camera head's, or refined by tracking.
        every: take every n-th frame.
        seeds: runs with different seeds, of the suite also with jittered depth; the median of
            each figure is reported. Five for a folder, one for the suite.
        json: print machine-readable figures.
        suite: refine many clips, real, degraded and rendered; takes hours, and goes on from
            `--out` when cut off.
        quick: of the suite a few clips, thinned, in four minutes.
        clips: of the suite only these; their names are in the table.
        out: where the suite's rows are kept, a JSON object a line.
    """
    loaded = load_model(model, choose_device("float32"))
    if suite or quick:
        chosen = [c for c in suite_clips(quick) if not clips or c.name in clips]
        rows = list(run_suite(loaded, chosen, seeds or 1, out))
        sys.stdout.write(dumps(rows) + "\n" if json else markdown(rows) + "\n")
        return 0
    if folder is None:
        raise ValueError("which clip? Name a folder, or say --suite")
    frames, truth = _read(folder, every, loaded)
    if cameras == "head":
        figures = [head_figures(loaded, frames, truth)]
    else:
        figures = [refined_figures(loaded, frames, truth, n) for n in range(seeds or 5)]
    report = medians(figures)
    if json:
        sys.stdout.write(dumps(report) + "\n")
        return 0
    for size, quotient in report.pop("windows").items():
        sys.stdout.write(f"{size:>4}  {quotient['rotation']:.3f} / {quotient['ate']:.3f}\n")
    sys.stdout.write(_lines(report))
    return 0


def geometry(
    folder: Annotated[Path, tyro.conf.Positional],
    model: str = "embedded",
    cameras: Literal["head", "refined"] = "refined",
    every: int = 1,
    json: bool = False,
) -> int:
    """The exported points of a stream against the truth of a folder, after one Sim(3).

    Args:
        folder: a sequence with depth and intrinsics; see `cameras`.
        model: a preset or a path to weights.
        cameras: by which the points are exported.
        every: take every n-th frame.
        json: print machine-readable figures.
    """
    from svggt.eval.cloud_figures import export_figures  # exports bring viser

    loaded = load_model(model, choose_device("float32"))
    frames, truth = _read(folder, every, loaded)
    predictions = predict(loaded, frames, window(8))
    corrections = refine_run(frames, predictions).final if cameras == "refined" else []
    report = dataclasses.asdict(export_figures(frames, predictions, corrections, truth))
    sys.stdout.write(dumps(report) + "\n" if json else _lines(report))
    return 0


def recon(asked: Flat[TableOptions]) -> int:
    """Points against the true ones, as in the table of 7-Scenes and NRGBD."""
    return _evaluate("recon", asked)


def depth(asked: Flat[TableOptions]) -> int:
    """Depth of single frames, each with a scale of its own: Sintel, Bonn, KITTI, NYU."""
    return _evaluate("depth", asked)


def video_depth(asked: Flat[TableOptions]) -> int:
    """Depth of videos, one scale a sequence: Sintel, Bonn, KITTI."""
    return _evaluate("video-depth", asked)


def pose(asked: Flat[TableOptions]) -> int:
    """Cameras after one Sim(3) a sequence: ScanNet, Sintel, TUM."""
    return _evaluate("pose", asked)


def every_table(
    root: Annotated[Path, tyro.conf.Positional],
    out: Path = Path("evaluation"),
    way: Flat[WayOptions] = WayOptions(),
) -> int:
    """Every published table whose data set is there; what is missing is named before the first.

    Args:
        root: a folder with a folder a data set: 7scenes, nrgbd, sintel, bonn, kitti, nyu, scannet,
            tum.
        out: folder for rows and tables; what it has is not computed again.
        way: how frames are computed.
    """
    tables, missing = all_tables(root, out, way, sys.stderr.write)
    sys.stdout.write(tables.read_text("utf-8"))
    return 1 if missing else 0


def prepare_nyu(
    folder: Annotated[Path, tyro.conf.Positional], out: Annotated[Path, tyro.conf.Positional]
) -> int:
    """Make files of NYU's test pictures, which `depth` reads.

    Args:
        folder: has nyu_depth_v2_labeled.mat and splits.mat, or official/*.h5.
        out: a new folder for nyu_images/ and nyu_depths/, as `<data sets>/nyu`.
    """
    sys.stdout.write(f"{out}: {nyu.prepare_nyu(folder, out)} pictures\n")
    return 0


def _evaluate(task: Task, asked: TableOptions) -> int:
    sys.stdout.write(asked.table(task).markdown())
    return 0


def _read(folder: Path, every: int, model: LoadedModel) -> tuple[list[Frame], Truth]:
    """A sequence as a model takes it, every n-th frame."""
    clip = PosedClip.of(open_sequence(folder).thinned(every))
    assert clip.truth is not None  # a sequence has one
    return clip.frames(model.input_width), clip.truth


def _lines(report: dict[str, float]) -> str:
    return "".join(f"{name:14} {value:.3f}\n" for name, value in report.items())


_COMMANDS = {
    "smoke": smoke,
    "cameras": cameras,
    "geometry": geometry,
    "recon": recon,
    "depth": depth,
    "video-depth": video_depth,
    "pose": pose,
    "all": every_table,
    "prepare-nyu": prepare_nyu,
}

if __name__ == "__main__":
    try:
        sys.exit(tyro.extras.subcommand_cli_from_dict(_COMMANDS))
    except FAILURES as error:  # bad input; its message says what to do
        sys.exit(f"svggt: {error}")
