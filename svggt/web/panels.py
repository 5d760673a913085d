"""Pieces of the page as HTML: made from numbers and our own sentences, all text escaped."""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime
from html import escape

import numpy as np
from cmap import Colormap
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from svggt.beside import BesideProgress
from svggt.prediction import FramePrediction, PointTrack
from svggt.progress import Progress

_DEPTH, _CONFIDENCE = Colormap("viridis"), Colormap("magma")  # perceptually uniform
PICTURE_WIDTH = 640
"""Pixels; Gradio tells where a click was only in a picture that it need not enlarge."""

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


def compared(progress: BesideProgress) -> str:
    """How far an offline run is, then what it cost and how far the stream agrees with it."""
    if progress.state == "failed":
        return failure(progress.message)
    found = progress.agreement
    if found is None:
        return f'<p class="notice" role="status">{escape(progress.message)}</p>'
    rows = {
        "newest frame, streamed": f"{1000 * progress.streamed_s:.0f} ms",
        f"newest frame, offline over {progress.frames}": f"{1000 * progress.offline_s:.0f} ms",
        "depth, AbsRel · within 1.25": f"{found.absrel:.3f} · {found.delta1:.1%}",
        "cameras, rotation": f"{found.rotation_deg:.2f}°",
        "cameras, ATE of the path": f"{found.ate:.1%}",
        "points, chamfer of the depth": f"{found.chamfer:.1%}",
    }
    cells = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in rows.items()
    )
    return (
        f'<div role="status"><p>Left streaming, right offline, from one camera. '
        f"{escape(progress.message)} Both run on one set of weights.</p>"
        f"<table>{cells}</table></div>"
    )


def kept_until(seconds: float) -> str:
    """When a scene goes, seconds since 1970."""
    when = datetime.fromtimestamp(seconds, UTC)
    return f"<p>Kept until {when:%-d %B %Y, %H:%M} UTC; Clear removes the scene at once.</p>"


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


def picture(shown: FramePrediction, what: str, track: PointTrack | None = None) -> Image.Image:
    """One frame's RGB, depth or confidence, `PICTURE_WIDTH` wide, with a followed point."""
    drawn = Image.fromarray(_pictures(shown)["RGB" if what == "RGB" else what.capitalize()])
    at = None if track is None else track.at(shown.number)
    if at is not None:
        ImageDraw.Draw(drawn).circle(at, 2, fill=(220, 30, 120), outline="white")
    height = round(drawn.height * PICTURE_WIDTH / drawn.width)
    return drawn.resize((PICTURE_WIDTH, height), Image.Resampling.BICUBIC)


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


def _pictures(shown: FramePrediction) -> dict[str, NDArray[np.uint8]]:
    inverse = 1 / shown.depth  # near things get most of the colours
    return {
        "RGB": shown.image,
        "Depth": _colours(inverse, _DEPTH),
        "Confidence": _colours(np.log(shown.depth_conf), _CONFIDENCE),
    }


def _strip(latest: FramePrediction | None) -> str:
    empty = dict.fromkeys(("RGB", "Depth", "Confidence"))
    pictures = empty if latest is None else _pictures(latest)
    return '<div class="strip">' + "".join(map(_figure, pictures, pictures.values())) + "</div>"


def _figure(title: str, pixels: NDArray[np.uint8] | None) -> str:
    if pixels is None:
        return f'<figure><div class="blank"></div><figcaption>{title}</figcaption></figure>'
    source = f"data:image/jpeg;base64,{_jpeg(pixels)}"
    alt = f"{title} of the newest frame"
    return f'<figure><img src="{source}" alt="{alt}"><figcaption>{title}</figcaption></figure>'


def _figures(progress: Progress) -> str:
    done, latest = progress.frames_done, progress.latest
    rate = done / progress.elapsed_s if progress.elapsed_s else 0.0
    rows = {
        "ms a frame": f"{1000 * progress.step_seconds[-1]:.0f}" if done else "–",
        "frames a second": f"{rate:.1f}" if done else "–",
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


def _colours(values: NDArray[np.floating], colormap: Colormap) -> NDArray[np.uint8]:
    """(H, W) to (H, W, 3) uint8; the range is the frame's own, without its extremes."""
    low, high = np.percentile(values, (2, 98))
    scaled = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    return (255 * np.asarray(colormap(scaled))[..., :3]).astype(np.uint8)


def _jpeg(pixels: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
