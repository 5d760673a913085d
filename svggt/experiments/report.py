"""What a comparison leaves: tables, plots as SVG and PDF, one page, and how to make it again."""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import io
import json
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from svggt.checkpoints import ASSETS, LoadedModel
from svggt.experiments.compare import Compared, Side

_PACKAGES = ("torch", "numpy", "gtsam", "opencv-python-headless", "viser", "gradio")
_INK = ("#d9661f", "#2f5d8a")  # of A and B

mpl.rcParams["svg.fonttype"] = "none"  # text stays text


def write_report(compared: Compared, view: NDArray[np.uint8], out: Path) -> None:
    """`figures.json`, `latency.csv`, plots, `views.png`, `manifest.json`, and `report.html`.

    Args:
        compared: both sides.
        view: of both, from one camera.
        out: the folder.
    """
    Image.fromarray(view).save(out / "views.png")
    plots = {
        "latency": _plot(compared, "seconds", "Newest frame, ms"),
        "total": _plot(compared, "total_s", "Model time so far, ms"),
    }
    for name, figure in plots.items():
        for kind in ("svg", "pdf"):
            figure.savefig(
                out / f"{name}.{kind}", metadata={"Date": None} if kind == "svg" else None
            )
    _write_latencies(compared, out / "latency.csv")
    _write_json(out / "figures.json", figures(compared))
    _write_json(out / "manifest.json", manifest(compared))
    (out / "report.html").write_text(_page(compared, view, out), "utf-8")


def figures(compared: Compared) -> dict[str, Any]:
    """All numbers of a comparison, as JSON has them."""
    return {
        "agreement": dataclasses.asdict(compared.agreement),
        "shares_weights": compared.shares_weights,
        "sides": {name: _numbers(side) for name, side in _sides(compared)},
    }


def manifest(compared: Compared) -> dict[str, Any]:
    """What was run by what, and the command that runs it again."""
    sides = dict(_sides(compared))
    return {
        "command": shlex.join(
            [Path(sys.executable).name, "-m", "svggt.experiments", *sys.argv[1:]]
        ),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "weights_sha256": {name: weights_hash(model) for name, model in compared.models.items()},
        "versions": {name: version(name) for name in _PACKAGES}
        | {"python": platform.python_version()},
        "device": {name: model.device.name for name, model in compared.models.items()},
        "settings": {name: dataclasses.asdict(side.way) for name, side in sides.items()},
        "frames_s": [shot.prediction.time_s for shot in compared.a.shots],
    }


def weights_hash(model: LoadedModel) -> str:
    """SHA-256 of a network's tensors as they are computed with, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def _sides(compared: Compared) -> list[tuple[str, Side]]:
    return [("a", compared.a), ("b", compared.b)]


def _numbers(side: Side) -> dict[str, Any]:
    newest = [latency.seconds for latency in side.latencies]
    return {
        "title": side.way.title,
        "newest_frame_ms": 1000 * newest[-1],
        "newest_frame_p95_ms": 1000 * float(np.percentile(newest, 95)),
        "total_s": side.latencies[-1].total_s,
        "memory_bytes": side.memory_bytes,
    }


def _plot(compared: Compared, what: str, label: str) -> Figure:
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    for (_, side), ink in zip(_sides(compared), _INK, strict=True):
        x = [latency.frames for latency in side.latencies]
        y = [1000 * getattr(latency, what) for latency in side.latencies]
        axes.plot(x, y, color=ink, marker="." if len(x) < 30 else None, label=side.way.title)
    axes.set(xlabel="Frames so far", ylabel=label, ylim=(0, None), xlim=(0, None))
    axes.legend(frameon=False, fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _write_latencies(compared: Compared, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["run", "frames", "newest_frame_s", "total_s"])
        for name, side in _sides(compared):
            writer.writerows([name, *dataclasses.astuple(each)] for each in side.latencies)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, default=str), "utf-8")


def _commit() -> str | None:
    """Of the code; None where it is no checkout."""
    command = ["git", "rev-parse", "HEAD"]
    done = subprocess.run(command, cwd=ASSETS.parent, capture_output=True, text=True, check=False)  # noqa: S603  # our own
    return done.stdout.strip() or None


def _page(compared: Compared, view: NDArray[np.uint8], out: Path) -> str:
    buffer = io.BytesIO()
    Image.fromarray(view).save(buffer, "PNG")
    picture = base64.b64encode(buffer.getvalue()).decode("ascii")
    plots = "".join(
        (out / f"{name}.svg").read_text("utf-8").split("?>", 1)[-1] for name in ("latency", "total")
    )
    found = figures(compared)
    weights = "Both runs share one set of weights." if compared.shares_weights else ""
    titles = [side.way.title for _, side in _sides(compared)]
    rows = "".join(
        f"<tr><th>{escape(name)}</th>"
        + "".join(f"<td>{_said(found['sides'][side][name])}</td>" for side in ("a", "b"))
        + "</tr>"
        for name in ("newest_frame_ms", "newest_frame_p95_ms", "total_s", "memory_bytes")
    )
    agreement = "".join(
        f"<tr><th>{escape(name)}</th><td>{_said(value)}</td></tr>"
        for name, value in found["agreement"].items()
    )
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>svggt comparison</title>
<style>body {{ font: 15px system-ui, sans-serif; max-width: 1100px; margin: 2em auto; }}
img, svg {{ max-width: 100%; height: auto; }} table {{ border-collapse: collapse; margin: 1em 0; }}
th, td {{ text-align: left; padding: 3px 18px 3px 0; font-weight: 400; }}</style>
<h1>A: {escape(titles[0])}<br>B: {escape(titles[1])}</h1><p>{weights}</p>
<p>A left, B right, from one camera, A brought to B by one Sim(3):</p>
<img src="data:image/png;base64,{picture}" alt="Both scenes from one camera">
<table><tr><th></th><th>A</th><th>B</th></tr>{rows}</table>
<p>Agreement of A with B, which is not the truth:</p><table>{agreement}</table>{plots}
<p>Files beside this page: latency.csv, figures.json, manifest.json, plots as SVG and PDF,
views.png, views.mp4.</p></html>"""


def _said(value: float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value}"
