"""Frames as pictures: colour, depth and confidence, of one run or of two beside each other."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from cmap import Colormap
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from svggt.compare.aligned_frames import coloured
from svggt.prediction import FramePrediction, PointTrack
from svggt.scene.posed_frame import PosedFrame

Picture = NDArray[np.uint8]

PICTURE_WIDTH = 640
"""Pixels; Gradio tells where a click was only in a picture that it need not enlarge."""

_DEPTH, _CONFIDENCE = Colormap("viridis"), Colormap("magma")  # perceptually uniform
_LISTED_WIDTH = 160
_FORGOTTEN = 0.15  # of its light
_MARK = (220, 30, 120)


def of_frame(shown: FramePrediction) -> dict[str, Picture]:
    """RGB, depth and confidence; colours range over the frame's own values."""
    near, sure = _near(shown.depth), np.log(shown.depth_conf)
    return {
        "RGB": shown.image,
        "Depth": _colours(near, near, _DEPTH),
        "Confidence": _colours(sure, sure, _CONFIDENCE),
    }


def small(image: Picture) -> bytes:
    """A JPEG for a list of scenes."""
    shrunk, into = Image.fromarray(image), io.BytesIO()
    shrunk.thumbnail((_LISTED_WIDTH, _LISTED_WIDTH))
    shrunk.save(into, "JPEG", quality=80)
    return into.getvalue()


def of_both(one: PosedFrame, other: PosedFrame) -> dict[str, Picture]:
    """The same of two runs in one world, with one range for both, and where depth differs."""
    depths, confidences = (
        [_near(shot.depth) for shot in (one, other)],
        [np.log(shot.prediction.depth_conf) for shot in (one, other)],
    )
    return {
        "RGB": one.prediction.image,
        "Depth A": _colours(depths[0], depths[0], _DEPTH),
        "Depth B": _colours(depths[1], depths[0], _DEPTH),
        "Difference": coloured(np.abs(other.depth - one.depth) / one.depth),
        "Confidence A": _colours(confidences[0], confidences[0], _CONFIDENCE),
        "Confidence B": _colours(confidences[1], confidences[0], _CONFIDENCE),
    }


def picture(shown: FramePrediction, what: str, track: PointTrack | None = None) -> Image.Image:
    """One frame's RGB, depth or confidence, `PICTURE_WIDTH` wide, with a followed point."""
    drawn = Image.fromarray(of_frame(shown)["RGB" if what == "RGB" else what.capitalize()])
    at = None if track is None else track.at(shown.number)
    if at is not None:
        ImageDraw.Draw(drawn).circle(at, 2, fill=_MARK, outline="white")
    return enlarged(drawn)


def remembered(image: Picture, shares: NDArray[np.float32]) -> Picture:
    """A frame darkened where its patches are forgotten.

    Args:
        image: (h, w, 3), of any size.
        shares: (rows, columns) of the layers and heads that keep a patch, 0 to 1.
    """
    height, width = image.shape[:2]
    rows = np.arange(height) * shares.shape[0] // height
    columns = np.arange(width) * shares.shape[1] // width
    light = _FORGOTTEN + (1 - _FORGOTTEN) * shares[rows[:, None], columns]
    return (image * light[..., None]).astype(np.uint8)


def enlarged(drawn: Image.Image) -> Image.Image:
    """`PICTURE_WIDTH` wide."""
    height = round(drawn.height * PICTURE_WIDTH / drawn.width)
    return drawn.resize((PICTURE_WIDTH, height), Image.Resampling.BICUBIC)


def as_address(drawn: Image.Image, kind: str = "JPEG") -> str:
    """A picture as a data: address."""
    buffer = io.BytesIO()
    drawn.save(buffer, kind, quality=80)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{encoded}"


def _near(depth: NDArray[Any]) -> NDArray[Any]:
    """Inverse depth: near things get most of the colours."""
    return 1 / depth


def _colours(values: NDArray[Any], like: NDArray[Any], colormap: Colormap) -> Picture:
    """(H, W) to (H, W, 3); the range is that of `like`, without its extremes."""
    low, high = np.percentile(like, (2, 98))
    scaled = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    return (255 * np.asarray(colormap(scaled))[..., :3]).astype(np.uint8)
