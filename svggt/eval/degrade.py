"""What cameras, codecs and people do to a clip; cameras and depth of the truth go along."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svggt.eval.posed_clip import PosedClip
from svggt.files import ASSETS

Array = NDArray[Any]
Picture = NDArray[np.uint8]
Degradation = Callable[[PosedClip], PosedClip]

_SEED = 7
_BLUR = 0.035  # of the width, a frame's motion at most
_FLICKER = 0.25  # of the log of brightness, standard deviation
_DROPPED = 0.3
_PORTRAIT = 3 / 4  # width over height
_COVERED = 0.3  # of the picture, by what moves in front of it
_HOOD, _GRIPPER = 0.22, 0.3  # of the height, of the width
_LETTERBOX = 0.1  # of the height, above and below


def jpeg(clip: PosedClip) -> PosedClip:
    """Saved at quality 15."""

    def saved(picture: Picture, _: int) -> Picture:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=15)
        return np.asarray(Image.open(file))

    return _each(clip, saved)


def half_size(clip: PosedClip) -> PosedClip:
    """Scaled to half of the width and height."""

    def halved(picture: Picture, _: int) -> Picture:
        size = (picture.shape[1] // 2, picture.shape[0] // 2)
        return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)

    return _each(clip, halved)


def blur(clip: PosedClip) -> PosedClip:
    """Smeared along the picture's own motion, by 3.5 % of the width at most."""
    small = [cv2.resize(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), (160, 120)) for p in clip.pictures]
    floats = [picture.astype(np.float32) for picture in small]
    scale = clip.pictures[0].shape[1] / 160

    def smeared(picture: Picture, number: int) -> Picture:
        before, after = floats[max(0, number - 1)], floats[max(1, number) % len(floats)]
        moved, _ = cv2.phaseCorrelate(before, after)
        way = scale * np.array(moved)
        length = float(np.linalg.norm(way))
        most = _BLUR * picture.shape[1]
        return _smeared(picture, way * min(1.0, most / length)) if length > 1 else picture

    return _each(clip, smeared)


def flicker(clip: PosedClip) -> PosedClip:
    """Brighter and darker from frame to frame."""
    gains = np.exp(_FLICKER * np.random.default_rng(_SEED).normal(size=len(clip.pictures)))

    def lit(picture: Picture, number: int) -> Picture:
        return np.clip(gains[number] * picture.astype(np.float32), 0, 255).astype(np.uint8)

    return _each(clip, lit)


def dropped(clip: PosedClip) -> PosedClip:
    """Without 30 % of its frames."""
    kept = np.random.default_rng(_SEED).random(len(clip.pictures)) >= _DROPPED
    kept[0] = True
    return clip.chosen(np.flatnonzero(kept).tolist())


def backwards(clip: PosedClip) -> PosedClip:
    """From its end to its beginning."""
    return clip.chosen(list(range(len(clip.pictures)))[::-1])


def portrait(clip: PosedClip) -> PosedClip:
    """Its middle, 3 wide and 4 high."""
    height, width = clip.pictures[0].shape[:2]
    wide = min(width, round(_PORTRAIT * height))
    left = (width - wide) // 2
    return clip.cut(left / width, 0.0, (left + wide) / width, 1.0)


def occluder(clip: PosedClip) -> PosedClip:
    """A thing of real texture comes and goes before 30 % of the picture."""

    def shape(number: int, size: tuple[int, int]) -> Array:
        height, width = size
        # It sways in from one side and across the middle; area: pi a b of the picture.
        a, b = 0.27 * width, _COVERED / (np.pi * 0.27) * height
        x = width * (0.5 + 0.28 * np.sin(0.11 * number))
        y = height * (0.55 + 0.12 * np.sin(0.07 * number + 1))
        return _ellipse(size, (x, y), (a, b), 0.2 * np.sin(0.05 * number))

    return _covered(clip, shape, moves=True)


def hood(clip: PosedClip) -> PosedClip:
    """A car's hood along the lower edge."""

    def shape(_: int, size: tuple[int, int]) -> Array:
        height, width = size
        return _ellipse(size, (width / 2, height * 1.05), (0.62 * width, _HOOD * height), 0.0)

    return _covered(clip, shape, moves=False)


def gripper(clip: PosedClip) -> PosedClip:
    """A robot's hand that is fixed to the camera."""

    def shape(_: int, size: tuple[int, int]) -> Array:
        height, width = size
        mask = np.zeros(size, bool)
        thick, long_ = int(_GRIPPER * width / 3), int(0.45 * height)
        for middle in (0.36, 0.64):
            left = int(middle * width) - thick // 2
            mask[height - long_ :, left : left + thick] = True
        mask[height - int(0.18 * height) :, int(0.28 * width) : int(0.72 * width)] = True
        return mask

    return _covered(clip, shape, moves=False)


def letterbox(clip: PosedClip) -> PosedClip:
    """Black bars above and below, and a sharp logo in a corner."""

    def framed(picture: Picture, _: int) -> Picture:
        height, width = picture.shape[:2]
        picture, bar = picture.copy(), round(_LETTERBOX * height)
        picture[:bar] = picture[height - bar :] = 0
        at = (round(0.72 * width), height - bar - round(0.04 * height))
        cv2.putText(picture, "svggt TV", at, cv2.FONT_HERSHEY_DUPLEX, width / 700, (255,) * 3, 2)
        return picture

    def bars(_: int, size: tuple[int, int]) -> Array:
        mask = np.zeros(size, bool)
        bar = round(_LETTERBOX * size[0])
        mask[:bar] = mask[size[0] - bar :] = True
        return mask

    return _hidden(_each(clip, framed), bars)


DEGRADATIONS: dict[str, Degradation] = {
    each.__name__: each
    for each in (jpeg, half_size, blur, flicker, dropped, backwards, portrait, occluder)
}
"""What every real clip is tried with."""


def _each(clip: PosedClip, change: Callable[[Picture, int], Picture]) -> PosedClip:
    return replace(clip, pictures=[change(p, n) for n, p in enumerate(clip.pictures)])


def _covered(
    clip: PosedClip, shape: Callable[[int, tuple[int, int]], Array], moves: bool
) -> PosedClip:
    """Something before the scene: texture inside a shape; it carries its texture as it moves."""
    size = clip.pictures[0].shape[:2]
    texture = _texture(max(size))

    def drawn(picture: Picture, number: int) -> Picture:
        mask = shape(number, picture.shape[:2])
        rows, columns = np.nonzero(mask)
        if not len(rows):
            return picture
        top, left = (int(rows.mean()), int(columns.mean())) if moves else (0, 0)
        picture = picture.copy()
        picture[mask] = texture[(rows - top) % len(texture), (columns - left) % len(texture)]
        return picture

    return _hidden(_each(clip, drawn), shape)


def _hidden(clip: PosedClip, shape: Callable[[int, tuple[int, int]], Array]) -> PosedClip:
    """Depth is unknown inside a shape."""
    truth = clip.truth
    if truth is None:
        return clip
    whole = truth.depth

    def depth(number: int) -> Array | None:
        known = whole(number)
        if known is None:
            return None
        return np.where(shape(number, (known.shape[0], known.shape[1])), 0, known)

    return replace(clip, truth=replace(truth, depth=depth))


def _ellipse(
    size: tuple[int, int], middle: tuple[float, float], half: tuple[float, float], turn: float
) -> Array:
    """(H, W) bool; pixels and radians."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    x, y = x - middle[0], y - middle[1]
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    return (along / half[0]) ** 2 + (across / half[1]) ** 2 < 1


@cache
def _texture(side: int) -> Picture:
    """(side, side, 3) of photographed materials beside each other."""
    with Image.open(ASSETS / "textures" / "ambientcg_tiles.jpg") as picture:
        tiles = np.asarray(picture.convert("RGB"))[1280 : 1280 + 512, 1280 : 1280 + 512]
    return cv2.resize(tiles, (side, side), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def _smeared(picture: Picture, way: Array) -> Picture:
    """Averaged along a way (2,) in pixels."""
    steps = max(2, int(np.ceil(np.linalg.norm(way))))
    total = np.zeros(picture.shape, np.float32)
    for share in np.linspace(-0.5, 0.5, steps):
        shift = np.array([[1, 0, share * way[0]], [0, 1, share * way[1]]], np.float32)
        size = (picture.shape[1], picture.shape[0])
        total += cv2.warpAffine(picture, shift, size, borderMode=cv2.BORDER_REPLICATE)
    return (total / steps).astype(np.uint8)
