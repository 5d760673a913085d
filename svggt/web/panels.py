"""Pieces of the page as HTML: numbers and our own sentences in the templates of `panels.html`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import segno
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from svggt.compare import figures
from svggt.compare.aligned_frames import DIFFERENCE_TOP, INKS, PATH_INKS, Paint
from svggt.compare.request import ComparisonProgress
from svggt.compare.result import ComparisonResult
from svggt.prediction import FramePrediction, MemoryMap, PointTrack
from svggt.session.progress import Progress
from svggt.web import pictures

_TEMPLATES = Environment(loader=PackageLoader("svggt.web", "."), autoescape=True)
_PLAN, _MARGIN = (360, 160), 6.0  # of the picture of the cameras' paths
_WHOLE = 0.995  # of a frame's tokens
_KEYS = {
    "space": "play or pause",
    "← →": "one frame back or on; page up and down: ten",
    "o": "overview",
    "c": "look through the camera",
    "f": "full screen",
    "W A S D": "walk, once the 3D view was clicked; arrows turn there",
    "?": "these keys; all work where nothing else has the focus",
}
_WORDS = {
    "cameras, refined": "found by following corners through the pictures, and adjusted together",
    "cameras, head": "what the network says of its own",
    "confirmed": "other pictures see the same point there; “View” says how many must",
    "surfels": "what each pixel saw, as a flat patch on its surface; “View” shows them",
    "confidence": "how sure the network is of a pixel’s depth: bright is sure",
    "memory": "tokens, pieces of earlier frames, that the network looks at with every new one",
    "tracked, weak, lost": "whether the picture bears its refined camera out, in part, or not",
    "provisional": "lengths may be off by 10 % and more until all cameras are adjusted at the end",
    "AbsRel": "mean error of depth as a share of the depth",
    "ATE": "how far cameras’ places are off (root mean square), after one Sim(3)",
    "Sim(3)": "a turn, a shift and one scale, which bring one world onto another",
    "chamfer": "mean distance from each point to the nearest one of the other run",
}
_PANELS: Any = _TEMPLATES.get_template("panels.html").module


def viewer(address: str, title: str, waits: bool = False) -> str:
    """The 3D view.

    Args:
        address: a path of this site.
        title: of what is seen.
        waits: it is loaded only where the page was opened by no scene's link; see `page.js`.
    """
    return str(_PANELS.viewer(address, title, "data-first" if waits else "src"))


def help_of_keys() -> str:
    """What the view's mouse and keys do (see `gestures.js`), and what the page's words mean."""
    return str(_PANELS.help(_KEYS, _WORDS))


def header(model: str, device: str, note: str) -> str:
    """Title, what the page is, and which model runs where."""
    return str(_PANELS.header(model, device, note))


def status(progress: Progress) -> str:
    """One sentence, and how far the run is."""
    if progress.state == "failed":
        return failure(progress.message)
    text = progress.message
    if not text:
        of = f" of {progress.total}" if progress.total else ""
        if not of and progress.share is not None:
            of = f", {100 * progress.share:.0f} % of the clip"
        note = f" · {progress.note}" if progress.note else ""
        text = f"Frame {progress.frames_done}{of}{note}"
    return str(_PANELS.status(text, progress.share if progress.state == "running" else None))


def failure(sentence: str) -> str:
    """What went wrong and what to do; read out at once by a screen reader."""
    return str(_PANELS.failure(sentence))


def notice(sentence: str) -> str:
    """News that is neither the run's nor a failure."""
    return str(_PANELS.notice(sentence))


def compared(progress: ComparisonProgress) -> str:
    """How far a comparison is, then what both runs cost and how far they agree."""
    if progress.state == "failed":
        return failure(progress.message)
    outcome = progress.outcome
    if outcome is None:
        return str(_PANELS.compared(progress.message, (), "", (), ()))
    sides = [
        (name, ink, side.way.title)
        for (name, side), ink in zip(outcome.sides.items(), INKS, strict=True)
    ]
    tables = (
        ("Time and memory", ("A", "B"), figures.costs(outcome)),
        ("A and B, neither the truth", ("agree",), figures.agreements(outcome)),
        ("Against the ground truth", ("A", "B"), figures.accuracies(outcome)),
    )
    said = figures.sentence(outcome)
    return str(_PANELS.compared(progress.message, sides, said, tables, _paths(outcome)))


def _paths(outcome: ComparisonResult) -> list[tuple[str, str, str]]:
    """Name, ink and SVG points of the cameras' paths, within `_PLAN`."""
    plan = figures.plan(outcome)
    if not plan:
        return []
    low, high = (
        of([of(path, axis=0) for path in plan.values()], axis=0) for of in (np.min, np.max)
    )
    size = np.array(_PLAN) - 2 * _MARGIN
    scale = float((size / np.maximum(high - low, 1e-9)).min())
    placed = {name: _MARGIN + scale * (path - low) for name, path in plan.items()}
    return [
        (name, PATH_INKS[name], " ".join(f"{x:.1f},{y:.1f}" for x, y in path))
        for name, path in placed.items()
    ]


def strip(shown: Mapping[str, NDArray[np.uint8] | None], of: str) -> str:
    """Small pictures in a row, with their names."""
    return str(_PANELS.strip(_addresses(shown), of))


def legend(paint: Paint) -> str:
    """What the colours of the comparison's scene mean."""
    return str(_PANELS.legend(paint, INKS, f"{DIFFERENCE_TOP:.0%}"))


def swipe() -> str:
    """The line between A and B where one view lies over the other; see `gestures.js`."""
    return str(_PANELS.swipe())


def report(address: str, name: str, download_address: str, size: int) -> str:
    """A report that is ready; addresses are paths of this site."""
    return str(_PANELS.report(address, name, download_address, _megabytes(size)))


def download(address: str, name: str, size: int, lacking: str) -> str:
    """A file that is ready, a path of this site, and what it lacks; see `exports.lacking`."""
    return str(_PANELS.download(address, name, _megabytes(size), lacking))


def camera(address: str, host: str, scheme: str, is_loopback: bool, code: str) -> str:
    """A camera's page within this one, and the way to a phone's.

    Args:
        address: a path of this site.
        host: that this page was opened by.
        scheme: http or https.
        is_loopback: no other machine reaches that host.
        code: an SVG of the camera page's address, of our own making.
    """
    return str(_PANELS.camera(address, host, scheme, is_loopback, code))


def embedding(link: str, address: str) -> str:
    """A read-only link as a QR code, and how another site shows the scene.

    Args:
        link: scheme://host/... of the page that it opens.
        address: likewise of the page that any site may frame.
    """
    snippet = (
        f'<iframe src="{address}" title="3D scene" width="640" height="480" '
        'style="border: 0" allowfullscreen></iframe>'
    )
    return str(_PANELS.embedding(qr_code(link), snippet))


def qr_code(address: str) -> str:
    """An SVG of an address."""
    return segno.make(address, error="m").svg_inline(scale=4, border=2, light="white")


def kept_until(seconds: float) -> str:
    """When a scene goes, seconds since 1970."""
    when = datetime.fromtimestamp(seconds, UTC)
    return str(_PANELS.kept_until(f"{when:%-d %B %Y, %H:%M}"))


def retention(rows: dict[str, str], *sentences: str) -> str:
    """What is kept how long, as a table, and what besides must be known."""
    return str(_PANELS.retention(rows, sentences))


def live(progress: Progress, kept: Mapping[str, NDArray[np.uint8] | None] | None = None) -> str:
    """Strip of the newest frame, four figures, latency plot, memory, and how well it is tracked.

    Args:
        progress: of a run.
        kept: pictures of frames that are remembered, by their names.
    """
    shown: dict[str, NDArray[np.uint8] | None] = dict.fromkeys(("RGB", "Depth", "Confidence"))
    if progress.latest is not None:
        shown |= pictures.of_frame(progress.latest)
    plot = _Plot.of(progress.step_seconds, progress.memory_changes)
    rows = _figures(progress, progress.latest)
    loops = sorted(progress.loops.items())
    memory = "" if progress.memory is None else _memory(progress.memory, progress, kept or {})
    newest = 0 if progress.latest is None else progress.latest.number + 1
    strip_of = _addresses(shown)
    provisional = _WORDS["provisional"] if progress.state == "running" else ""
    return str(
        _PANELS.live(newest, strip_of, rows, plot, memory, progress.tracking, loops, provisional)
    )


def _memory(
    memory: MemoryMap, progress: Progress, kept: Mapping[str, NDArray[np.uint8] | None]
) -> Markup:
    """What is remembered: in words, on the timeline, and over pictures."""
    shares, count = memory.of_frames, max(progress.frames_done, int(memory.frames[-1]) + 1)
    whole = int((shares > _WHOLE).sum())
    parts = [f"{whole} of {count} frames whole"] if whole else []
    if whole < len(shares):
        parts.append(f"{len(shares) - whole} in part")
    parts += [f"{memory.num_tokens:,} tokens".replace(",", "\u202f"), _megabytes(memory.nbytes)]
    bars = [
        (f"{100 * number / count:.3f}", f"{100 / count:.3f}", f"{share:.2f}")
        for number, share in zip(memory.frames.tolist(), shares.tolist(), strict=True)
    ]
    return Markup(_PANELS.memory(" · ".join(parts), bars, _addresses(kept)))  # noqa: S704  # escaped there


def measured(clicks: int, distance: float | None, unit: tuple[float, str] | None) -> str:
    """How long is what was clicked, and what to do next.

    Args:
        clicks: 0 to 2.
        distance: in the scene's unit.
        unit: see `length_of`.
    """
    if distance is None:
        hint = "Click the other end." if clicks else "Click two points in the picture."
        return str(_PANELS.measured(hint, "", ""))
    return str(_PANELS.measured("", *length_of(distance, unit)))


def length_of(distance: float, unit: tuple[float, str] | None) -> tuple[str, str]:
    """A length as people write it, and its unit; "" where that is the scene's own.

    Args:
        distance: in the scene's unit.
        unit: the scene's in the visitor's, and that one's name; None: nobody knows.
    """
    length, name = unit or (1.0, "")
    return f"{distance * length:.3g}" if name else f"{distance:.3f}", name


def followed(track: PointTrack) -> str:
    """How far a point could be followed."""
    seen = int((track.visibility >= 0.5).sum())
    return str(_PANELS.followed(seen, len(track.pixels), track.first + 1))


def _addresses(shown: Mapping[str, NDArray[np.uint8] | None]) -> dict[str, str | None]:
    """Each picture as a data address; None where there is none."""
    return {
        title: None if pixels is None else pictures.as_address(Image.fromarray(pixels))
        for title, pixels in shown.items()
    }


def _figures(progress: Progress, latest: FramePrediction | None) -> dict[str, str]:
    done = progress.frames_done
    rate = done / progress.elapsed_s if progress.elapsed_s else 0.0
    return {
        "ms a frame": f"{1000 * progress.step_seconds[-1]:.0f}" if done else "–",
        "FPS": f"{rate:.1f}" if done else "–",
        "MB of memory": f"{latest.memory_bytes / 1e6:.0f}" if latest else "–",
        "frames done": f"{done}" + (f" / {progress.total}" if progress.total else ""),
    }


@dataclass(frozen=True)
class _Plot:
    """Milliseconds of every frame; the scale starts at 0.

    Attributes:
        line: points of an SVG polyline; empty where there are not two.
        top: milliseconds at the upper edge.
        changes: where the memory was changed, and how.
        width: pixels.
        height: pixels.
    """

    line: str
    top: str
    changes: list[tuple[str, str]]
    width: int = 300
    height: int = 56

    @classmethod
    def of(cls, step_seconds: tuple[float, ...], changes: tuple[tuple[int, str], ...]) -> _Plot:
        milliseconds = 1000 * np.array(step_seconds or (0.0,))
        top = max(float(np.percentile(milliseconds, 98)), 1.0) * 1.15
        x = np.linspace(0, cls.width, len(milliseconds))
        y = cls.height * (1 - np.minimum(milliseconds / top, 1))
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        last = max(1, len(milliseconds) - 1)
        marks = [
            (f"{cls.width * min(1.0, n / last):.1f}", f"frame {n + 1}: {how}") for n, how in changes
        ]
        return cls(points if len(step_seconds) > 1 else "", f"{top:.0f}", marks)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
