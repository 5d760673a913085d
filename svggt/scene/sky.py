"""Where a picture shows the sky, by colour and place: its depth means nothing."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from svggt.prediction import FramePrediction

_EVEN = 24  # grey levels between neighbours: less is no texture
_BLUER = 20  # levels of blue over red
_LIT = 100  # of 255: a blue that is darker is a wall's
_PALE = 200  # of 255 in every channel: clouds, or a wall
_TOP = 3  # rows; the sky reaches one of them
_LEAST = 0.02  # of the picture
_FARTHER = 1.6  # times the median depth of the rest, of what is pale: a ceiling is nearer
_FRINGE = 3  # pixels of what borders on it, which are half sky


def sky_of(prediction: FramePrediction) -> NDArray[np.bool_]:
    """(H, W) pixels of a frame's sky."""
    if prediction.sky is not None:
        return prediction.sky
    return sky(prediction.image, prediction.depth)


def sky(image: NDArray[np.uint8], depth: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels of the sky.

    Even, blue or pale regions that reach the top of the picture; what is mostly pale counts only
    where depth says that it is far, and a blue sky must not be nearer than the rest.

    Args:
        image: (H, W, 3) RGB.
        depth: (H, W) z-depth.

    Returns:
        (H, W); none where there is less of it than 2 %.
    """
    red, green, blue = np.moveaxis(image.astype(np.int16), -1, 0)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    even = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) < _EVEN
    is_blue = (blue >= red + _BLUER) & (green >= red) & (blue >= green) & (blue > _LIT)
    is_pale = (red > _PALE) & (green > _PALE) & (blue > _PALE)
    candidates = even & (is_blue | is_pale)
    _, regions = cv2.connectedComponents(candidates.astype(np.uint8), connectivity=4)
    found = candidates & np.isin(regions, regions[:_TOP][candidates[:_TOP]])
    if found.mean() < _LEAST or found.all():
        return np.zeros_like(found)
    farther = np.median(depth[found]) / np.median(depth[~found])
    if farther < (1.0 if is_blue[found].mean() > 0.5 else _FARTHER):
        return np.zeros_like(found)
    return cv2.dilate(found.astype(np.uint8), np.ones((3, 3)), iterations=_FRINGE) > 0
