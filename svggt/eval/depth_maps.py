"""Depth maps against the truth, as MonST3R's and CUT3R's scripts compare them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from svggt.data.truth import Array
from svggt.eval.protocol import DepthScale


@dataclass(frozen=True)
class DepthErrors:
    """Means over pixels whose depth is known.

    Attributes:
        absrel: |s p - t| / t.
        rmse: root of the mean square of s p - t, metres.
        delta1: share within a factor of 1.25.
        pixels: that were compared.
    """

    absrel: float
    rmse: float
    delta1: float
    pixels: int

    @classmethod
    def of(
        cls, predicted: Array, true: Array, scale: DepthScale, farthest: float | None = None
    ) -> DepthErrors:
        """Of pixels (M,) that are compared with one scale.

        Args:
            predicted: positive.
            true: metres, positive.
            scale: how predictions are brought to metres.
            farthest: metres, to which predictions are clipped then.
        """
        moved = scale_between(predicted, true, scale) * predicted
        moved = np.clip(moved, 1e-5, farthest)
        ratio = np.maximum(moved / true, true / moved)
        return cls(
            absrel=float(np.mean(np.abs(moved - true) / true, dtype=np.float64)),
            rmse=float(np.sqrt(np.mean((moved - true) ** 2, dtype=np.float64))),
            delta1=float(np.mean(ratio < 1.25)),
            pixels=len(true),
        )

    @classmethod
    def mean(cls, parts: Iterable[DepthErrors]) -> DepthErrors:
        """Of several, each as often as it has pixels; NaN of none."""
        listed = [part for part in parts if part.pixels]
        if not listed:
            return cls(float("nan"), float("nan"), float("nan"), 0)
        weights = [part.pixels for part in listed]
        absrel, rmse, delta1 = (
            float(np.average([getattr(part, name) for part in listed], weights=weights))
            for name in ("absrel", "rmse", "delta1")
        )
        return cls(absrel, rmse, delta1, sum(weights))


def scale_between(predicted: Array, true: Array, scale: DepthScale) -> float:
    """What predictions (M,) are multiplied by.

    "median": the ratio of medians. "least": the scale of the least absolute error, which is the
    median of the ratios, each weighing as its prediction. "none": 1.
    """
    if scale == "none":
        return 1.0
    if scale == "median":
        return float(np.median(true) / np.median(predicted))
    ratios = true / predicted
    order = np.argsort(ratios)
    half = np.cumsum(predicted[order], dtype=np.float64)
    return float(ratios[order][np.searchsorted(half, half[-1] / 2)])


def known_pixels(
    predicted: Array, true: Array, farthest: float | None = None
) -> tuple[Array, Array]:
    """Predicted and true depth (M,) float32 where the truth is known.

    Args:
        predicted: (H, W) of a picture that the model saw whole, or the centre of its height.
        true: (h, w) metres of the picture, 0 where unknown.
        farthest: metres, from which nothing is known.
    """
    seen = seen_part(true, predicted.shape)
    height, width = seen.shape
    ours = cv2.resize(predicted, (width, height), interpolation=cv2.INTER_CUBIC)
    known = (seen > 0) & (seen < (farthest or np.inf))
    return np.maximum(ours[known], np.float32(1e-5)), seen[known].astype(np.float32)


def seen_part(values: Array, shape: tuple[int, ...]) -> Array:
    """The rows of a picture's values (h, w, ...) that a model of pictures (H, W) saw.

    It sees a picture whole, or of one taller than wide the centre square (`media.frames.Fitter`).
    """
    height, width = values.shape[:2]
    if shape[0] < shape[1] or height <= width:
        return values
    top = (height - width) // 2
    return values[top : top + width]
