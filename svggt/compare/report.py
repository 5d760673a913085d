"""What a comparison leaves: tables, plots as SVG and PDF, one page, and how to make it again."""

from __future__ import annotations

import base64
import csv
import dataclasses
import json
import platform
import shlex
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import matplotlib as mpl
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from svggt.compare import figures
from svggt.compare.aligned_frames import INKS, PATH_INKS, AlignedFrames
from svggt.compare.result import ComparisonResult, brings_together
from svggt.compare.run_config import RunConfig
from svggt.compare.views import Views
from svggt.files import ASSETS
from svggt.media.clips import Clip
from svggt.store.posed_frames import PosedFrames

_PACKAGES = ("torch", "numpy", "gtsam", "opencv-python-headless", "viser", "gradio")
_ROOT = ASSETS.parent
_PLOTS = {
    "latency": ("seconds", 1000, "Newest frame, ms"),
    "total": ("total_s", 1, "Model time so far, s"),
}

_PATHS = "paths"

mpl.rcParams["svg.fonttype"] = "none"  # text stays text


def write_report(
    outcome: ComparisonResult, a: PosedFrames, b: PosedFrames, command: str | None, out: Path
) -> None:
    """`report.html` and, beside it, all that it is made of.

    Args:
        outcome: what the comparison found.
        a: frames of one side.
        b: the other run.
        command: that makes it again; None where a camera's pictures are gone.
        out: a folder.
    """
    views = Views(AlignedFrames(a, b, brings_together(a, b)))
    Image.fromarray(views.behind(a.count // 2)).save(out / "views.png")
    views.write_film(out / "views.mp4", a.on_frame)
    plots = {name: _plot(outcome, *what) for name, what in _PLOTS.items()}
    for name, plot in (plots | {_PATHS: _plot_paths(outcome)}).items():
        plot.savefig(out / f"{name}.svg", metadata={"Date": None})
        plot.savefig(out / f"{name}.pdf")
    _write_latencies(outcome, out / "latency.csv")
    _write_json(out / "figures.json", numbers(outcome))
    _write_json(out / "manifest.json", manifest(outcome, a, command))
    (out / "report.html").write_text(_page(outcome, command, out), "utf-8")


def numbers(outcome: ComparisonResult) -> dict[str, Any]:
    """All numbers of a comparison, as JSON has them."""
    return {
        "frames": outcome.frames,
        "shares_weights": outcome.shares_weights,
        "agreement": dataclasses.asdict(outcome.agreement),
        "sides": {
            name: {
                "title": side.way.title,
                "newest_frame_s": side.latencies[-1].seconds,
                "total_s": side.latencies[-1].total_s,
                "memory_bytes": side.latencies[-1].memory_bytes,
                "peak_bytes": side.peak_bytes,
                "accuracy": None if side.accuracy is None else dataclasses.asdict(side.accuracy),
            }
            for name, side in outcome.sides.items()
        },
    }


def manifest(outcome: ComparisonResult, a: PosedFrames, command: str | None) -> dict[str, Any]:
    """What was run by what, and the command that runs it again."""
    return {
        "command": command,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "versions": _versions(),
        "weights": {name: dataclasses.asdict(s.weights) for name, s in outcome.sides.items()},
        "settings": {name: dataclasses.asdict(s.way) for name, s in outcome.sides.items()},
        "frames_s": [shot.prediction.time_s for shot in a],
    }


def command_of(outcome: ComparisonResult, clip: Clip) -> str:
    """The command that compares a clip's frames so again; a visitor's clip is just CLIP."""
    name = example_clip(clip.example) if clip.example else "CLIP"
    words = ["python", "-m", "svggt.experiments", "compare", name, "--out", "comparison"]
    words += ["--frames", str(outcome.frames)]
    if clip.frames_per_second is not None:
        words += ["--rate", f"{clip.frames_per_second:g}"]
    if clip.whole:
        words.append("--whole")
    if outcome.b.way.mode != "streaming":
        words += ["--every", str(outcome.b.latencies[0].frames)]
    for name, side in outcome.sides.items():
        words += _options(name.lower(), side.way)
    return shlex.join(words)


def example_clip(name: str) -> str:
    """Where an example's video lies: below the checkout, or in the installed package."""
    path = ASSETS / "clips" / f"{name}.mp4"
    return str(path.relative_to(_ROOT) if ASSETS.name == "assets" else path)


def _options(name: str, way: RunConfig) -> list[str]:
    settings = way.settings
    options = {
        "mode": way.mode,
        "model": settings.model,
        "memory": settings.memory,
        "window": str(settings.window),
        "storage": settings.storage,
        "cameras": way.cameras,
    }
    words = [word for key, value in options.items() for word in (f"--{name}.{key}", value)]
    flags = {
        "published-camera-memory": settings.published_camera_memory,
        "points": settings.points,
    }
    return words + [f"--{name}.{flag}" for flag, on in flags.items() if on]


def _plot(outcome: ComparisonResult, what: str, unit: float, label: str) -> Figure:
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    for side, ink in zip(outcome.sides.values(), INKS, strict=True):
        x = [latency.frames for latency in side.latencies]
        y = [unit * getattr(latency, what) for latency in side.latencies]
        axes.plot(x, y, color=ink, marker="." if len(x) < 30 else None, label=side.way.title)
    axes.set(xlabel="Frames so far", ylabel=label, ylim=(0, None), xlim=(0, None))
    axes.legend(frameon=False, fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _plot_paths(outcome: ComparisonResult) -> Figure:
    """The cameras of A, B and the truth in A's world."""
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    for name, path in figures.plan(outcome).items():
        style = ":" if name == "truth" else "-"
        axes.plot(*path.T, color=PATH_INKS[name], label=name, linestyle=style)
    axes.set(xlabel="Paths of the cameras, each brought to A’s", aspect="equal")
    if outcome.paths:
        axes.legend(frameon=False, fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _write_latencies(outcome: ComparisonResult, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["run", "frames", "newest_frame_s", "total_s", "memory_bytes", "peak_bytes"]
        )
        for name, side in outcome.sides.items():
            writer.writerows([name, *dataclasses.astuple(each)] for each in side.latencies)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, default=str), "utf-8")


def _versions() -> dict[str, str]:
    """Of Python and of packages that results depend on, where they are installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _commit() -> str | None:
    """Of the code; None where it is no checkout."""
    if not (_ROOT / ".git").exists():
        return None
    command = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(  # noqa: S603  # our own
            command, cwd=_ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:  # no git
        return None
    return done.stdout.strip() or None


def _page(outcome: ComparisonResult, command: str | None, out: Path) -> str:
    environment = Environment(loader=PackageLoader("svggt.compare", "."), autoescape=True)
    drawn = [
        (out / f"{name}.svg").read_text("utf-8").split("?>", 1)[-1] for name in (*_PLOTS, _PATHS)
    ]
    return environment.get_template("report.html").render(
        a=outcome.a.way.title,
        b=outcome.b.way.title,
        inks=INKS,
        sentence=figures.sentence(outcome),
        view=base64.b64encode((out / "views.png").read_bytes()).decode("ascii"),
        costs=figures.costs(outcome),
        plots=[Markup(plot) for plot in drawn],  # noqa: S704  # matplotlib's, of our own words
        agreements=figures.agreements(outcome),
        accuracies=figures.accuracies(outcome),
        notes=(outcome.a.weights.note, outcome.b.weights.note),
        command=command,
    )
