"""Pieces of the page as HTML: made from numbers and our own sentences, all text escaped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svggt.compare import figures
from svggt.compare.aligned_frames import DIFFERENCE_TOP, INKS, Paint
from svggt.compare.request import ComparisonProgress
from svggt.prediction import FramePrediction, PointTrack
from svggt.session.progress import Progress
from svggt.web import pictures

_PLOT = (300, 56)  # pixels of the latency plot


def viewer(address: str, title: str) -> str:
    """The 3D view; `address` is a path of this site."""
    return f'<iframe class="viewer" src="{escape(address)}" title="{escape(title)}"></iframe>'


def header(model: str, device: str, note: str) -> str:
    """Title, what the page is, and which model runs where."""
    return (
        '<div class="top"><h1>svggt</h1>'
        "<p class='what'>Streaming 4D geometry: a 3D scene that grows with every frame.</p>"
        f"<p class='badge' title='{escape(note, quote=True)}'><b>{escape(model)}</b> on "
        f"{escape(device)}<span> · {escape(note)}</span></p></div>"
    )


def status(progress: Progress) -> str:
    """One sentence, and how far the run is."""
    if progress.state == "failed":
        return failure(progress.message)
    text = progress.message
    if not text:
        of = f" of {progress.total}" if progress.total else ""
        note = f" · {progress.note}" if progress.note else ""
        text = f"Frame {progress.frames_done}{of}{note}"
    bar = ""
    if progress.state == "running" and progress.total:
        bar = f'<progress value="{progress.frames_done}" max="{progress.total}"></progress>'
    return f'<div class="status" role="status">{bar}<span>{escape(text)}</span></div>'


def failure(sentence: str) -> str:
    """What went wrong and what to do; read out at once by a screen reader."""
    return f'<div class="status failed" role="alert"><span>{escape(sentence)}</span></div>'


def notice(sentence: str) -> str:
    """News that is neither the run's nor a failure."""
    return f'<p class="notice">{escape(sentence)}</p>'


def compared(progress: ComparisonProgress) -> str:
    """How far a comparison is, then what both runs cost and how far they agree."""
    if progress.state == "failed":
        return failure(progress.message)
    said, outcome = "", progress.outcome
    if progress.message:
        said = f'<p class="notice" role="status">{escape(progress.message)}</p>'
    if outcome is None:
        return said
    ways = "".join(
        f'<p><b style="color:{ink}">{name}</b> {escape(side.way.title)}</p>'
        for (name, side), ink in zip(outcome.sides.items(), INKS, strict=True)
    )
    tables = (
        _table("Time and memory", ("A", "B"), figures.costs(outcome)),
        _table("A and B, neither the truth", ("agree",), figures.agreements(outcome)),
        _table("Against the ground truth", ("A", "B"), figures.accuracies(outcome)),
    )
    return (
        f"{said}{ways}<p>{escape(figures.sentence(outcome))} B is brought to A’s world by one "
        f"Sim(3).</p><div class='tables'>{''.join(tables)}</div>"
    )


def _table(title: str, columns: tuple[str, ...], rows: list[figures.Row]) -> str:
    """Nothing where there is no row."""
    if not rows:
        return ""
    head = "".join(f"<th scope='col'>{column}</th>" for column in columns)
    cells = "".join(
        f"<tr><th scope='row'>{escape(row.name)}</th>"
        + "".join(f"<td>{escape(value)}</td>" for value in row.values)
        + "</tr>"
        for row in rows
    )
    return f"<table><tr><th scope='col'>{title}</th>{head}</tr>{cells}</table>"


def strip(shown: Mapping[str, NDArray[np.uint8] | None], of: str) -> str:
    """Small pictures in a row, with their names."""
    return '<div class="strip">' + "".join(_figure(*item, of) for item in shown.items()) + "</div>"


def legend(paint: Paint) -> str:
    """What the colours of the comparison's scene mean."""
    if paint == "overlay":
        a, b = (f'<b style="color:{ink}">{name}</b>' for name, ink in zip("AB", INKS, strict=True))
        return f'<p class="alone">{a} and {b} in one scene.</p>'
    if paint == "difference":
        return (
            '<p class="alone">B’s points, coloured by how far they are from where A has the same '
            f'pixel: <span class="ramp"></span> 0 to {DIFFERENCE_TOP:.0%} of the depth.</p>'
        )
    return "<p>A left, B right (below on a phone); cameras follow each other.</p>"


def report(address: str, name: str, download_address: str, size: int) -> str:
    """A report that is ready; addresses are paths of this site."""
    return (
        f'<p class="notice"><a href="{escape(address)}" target="_blank" rel="noopener">Open the '
        f'report</a> · <a href="{escape(download_address)}" download>{escape(name)}</a> '
        f"({size / 1e6:.1f} MB)</p>"
    )


def kept_until(seconds: float) -> str:
    """When a scene goes, seconds since 1970."""
    when = datetime.fromtimestamp(seconds, UTC)
    return f"<p>Kept until {when:%-d %B %Y, %H:%M} UTC.</p>"


def retention(rows: dict[str, str], warning: str) -> str:
    """What is kept how long, as a table, and what besides must be known."""
    cells = "".join(
        f"<tr><th scope='row'>{escape(what)}</th><td>{escape(time)}</td></tr>"
        for what, time in rows.items()
    )
    return f"<table>{cells}</table><p>{escape(warning)}</p>"


def download(address: str, name: str, size: int) -> str:
    """A file that is ready; `address` is a path of this site."""
    return (
        f'<p class="notice"><a href="{escape(address)}" download>{escape(name)}</a> '
        f"({size / 1e6:.1f} MB)</p>"
    )


def live(progress: Progress) -> str:
    """Strip of the newest frame, four figures, latency plot."""
    parts = (_strip(progress.latest), _figures(progress), _plot(progress), _tracking(progress))
    return f'<div class="live">{"".join(parts)}</div>'


def measured(clicks: int, distance: float | None, ruler: tuple[float, str] | None) -> str:
    """How long is what was clicked, and what to do next.

    Args:
        clicks: 0 to 2.
        distance: in the scene's unit.
        ruler: length of that unit, and the name of the visitor's.
    """
    if distance is None:
        hint = "Click the other end." if clicks else "Click two points in the picture."
        return f'<p role="status">{hint}</p>'
    if ruler is None:
        text = f"{distance:.3f} <small>of the scene’s own unit. Enter a length you know.</small>"
    else:
        text = f"{distance * ruler[0]:.3g} {escape(ruler[1])}"
    return f'<p role="status">Distance: <b>{text}</b></p>'


def followed(track: PointTrack) -> str:
    """How far a point could be followed."""
    seen = int((track.visibility >= 0.5).sum())
    return (
        f'<p role="status">Seen in {seen} of {len(track.pixels)} frames from number '
        f"{track.first + 1} on. Move the timeline to see where.</p>"
    )


def _strip(latest: FramePrediction | None) -> str:
    shown: dict[str, NDArray[np.uint8] | None] = dict.fromkeys(("RGB", "Depth", "Confidence"))
    if latest is not None:
        shown |= pictures.of_frame(latest)
    return strip(shown, "of the newest frame")


def _figure(title: str, pixels: NDArray[np.uint8] | None, of: str) -> str:
    if pixels is None:
        return f'<figure><div class="blank"></div><figcaption>{title}</figcaption></figure>'
    source = pictures.as_address(Image.fromarray(pixels))
    return (
        f'<figure><img src="{source}" alt="{title} {of}"><figcaption>{title}</figcaption></figure>'
    )


def _figures(progress: Progress) -> str:
    done, latest = progress.frames_done, progress.latest
    rate = done / progress.elapsed_s if progress.elapsed_s else 0.0
    rows = {
        "ms a frame": f"{1000 * progress.step_seconds[-1]:.0f}" if done else "–",
        "FPS": f"{rate:.1f}" if done else "–",
        "MB of memory": f"{latest.memory_bytes / 1e6:.0f}" if latest else "–",
        "frames done": f"{done}" + (f" / {progress.total}" if progress.total else ""),
    }
    cells = "".join(f"<div><dd>{value}</dd><dt>{name}</dt></div>" for name, value in rows.items())
    return f'<dl class="figures">{cells}</dl>'


def _tracking(progress: Progress) -> str:
    """How well the newest camera is tied to what was seen before, and what helps."""
    tracking = progress.tracking
    if tracking is None:
        return '<p class="tracking">Tracking: –</p>'
    share = f" · {tracking.inlier_share:.0%} of the tracked points agree"
    hint = " · move back to what was seen" if tracking.status in ("weak", "lost") else ""
    return (
        f'<p class="tracking {tracking.status}">Tracking: <b>{tracking.status}</b>'
        f"{share if tracking.status != 'lost' else ''}{hint}</p>"
    )


def _plot(progress: Progress) -> str:
    """Milliseconds of every frame; the scale starts at 0."""
    width, height = _PLOT
    milliseconds = 1000 * np.array(progress.step_seconds or (0.0,))
    top = max(float(np.percentile(milliseconds, 98)), 1.0) * 1.15
    x = np.linspace(0, width, len(milliseconds))
    y = height * (1 - np.minimum(milliseconds / top, 1))
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    drawn = f'<polyline points="{line}"/>' if progress.frames_done > 1 else ""
    return (
        f'<figure class="plot"><svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" '
        f'role="img" aria-label="Milliseconds of every frame">{drawn}</svg>'
        f"<figcaption>ms of every frame, 0 to {top:.0f}</figcaption></figure>"
    )
