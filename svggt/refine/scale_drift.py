"""How far the tracked world's scale has drifted, by what the model's depth says of it.

Tracking hands scale from keyframe to keyframe, so that it wanders; the model's depth has a scale
of its own in every frame, which is noisy and does not wander. The log of their ratio is a random
walk seen through noise: a Kalman filter over keyframes and a smoother (Rauch, Tung and Striebel
1965). Tracking itself goes on in its own world, where neighbours agree; what is shown is that
world with the drift taken out of each step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LAG = 32
"""Keyframes behind the newest that are smoothed while a stream runs."""

_WANDERS = 0.02  # of log scale, between keyframes
_BEGINS = 0.2  # of the first frame's
_ALIKE = 3.0  # times its spread: the model's error, since keyframes near in time err alike
_NOISE = (0.2, 0.05)  # spread of the model's log scale at first, and the least
_APART = 8  # keyframes whose errors are not alike any more
_LEARNS = 0.05  # of that spread, with every keyframe
_OUTLIER = 2.0  # spreads from which the model counts less (Huber)
_TOLD = 0.01  # of log scale: less is not worth moving what was shown


def _none() -> Array:
    return np.zeros(0)


@dataclass
class ScaleDrift:
    """A filter over K keyframes.

    Attributes:
        observed: (K,) log of the world's scale over the model's, as it was filtered.
        means: (K,) the filter's.
        variances: (K,) likewise.
        spreads: (K,) of the model's log scale about it.
        drift: (K,) log scale that is taken out of what is shown, 0 for the first keyframe.
        centres: (K, 3) where keyframes are shown.
        level: the smoother's mean of the first keyframe, which decides the scale.
    """

    observed: Array = field(default_factory=_none)
    means: Array = field(default_factory=_none)
    variances: Array = field(default_factory=_none)
    spreads: Array = field(default_factory=_none)
    drift: Array = field(default_factory=_none)
    centres: Array = field(default_factory=lambda: np.zeros((0, 3)))
    level: float = 0.0

    def update(self, log_scales: Array, lag: int = LAG) -> int:
        """Takes in what keyframes say now.

        Args:
            log_scales: (K,) of all keyframes.
            lag: keyframes that are smoothed.

        Returns:
            Index of the first keyframe whose drift is another one now; K where none is.
        """
        count, known = len(log_scales), len(self.observed)
        changed = np.flatnonzero(self.observed != log_scales[:known])
        first = int(changed[0]) if len(changed) else known
        self._filter(log_scales, first)
        smoothed = self._smoothed(max(0, min(first, count - 1 - lag)))
        drift = np.concatenate([self.drift, np.full(count - known, np.inf)])
        moved = np.flatnonzero(np.abs(smoothed - drift[count - len(smoothed) :]) > _TOLD)
        if not len(moved):
            return count
        begin = count - len(smoothed) + int(moved[0])
        self.drift = np.concatenate([drift[:begin], smoothed[int(moved[0]) :]])
        return begin

    def place(self, centres: Array, first: int) -> None:
        """Shows keyframes where they are without the drift.

        Args:
            centres: (K, 3) in tracking's world.
            first: index of the first that moves; the very first keyframe stays.
        """
        if not len(self.centres):
            self.centres = centres[:1]
        first = max(1, min(first, len(self.centres)))
        steps = np.diff(centres[first - 1 :], axis=0)
        scale = np.exp(-(self.drift[first - 1 : -1] + self.drift[first:]) / 2)
        shown = self.centres[first - 1] + np.cumsum(scale[:, None] * steps, axis=0)
        self.centres = np.concatenate([self.centres[:first], shown])

    def _filter(self, log_scales: Array, first: int) -> None:
        """Runs the filter again from a keyframe on."""
        means, variances = self.means[:first].tolist(), self.variances[:first].tolist()
        spreads = self.spreads[:first].tolist()
        for value in log_scales[first:].tolist():
            mean, variance = (
                (means[-1], variances[-1] + _WANDERS**2) if means else (value, _BEGINS**2)
            )
            spread = spreads[-1] if spreads else _NOISE[0]
            off = value - mean
            trust = min(1.0, _OUTLIER * spread / max(abs(off), 1e-9))
            gain = variance / (variance + (_ALIKE * spread) ** 2 / trust)
            means.append(mean + gain * off)
            variances.append((1 - gain) * variance)
            number = len(spreads)
            then = log_scales[number - _APART] if number >= _APART else value
            # The mean of a Gaussian's |x| is .8 of its deviation; a difference has two errors.
            seen = abs(value - then) / math.sqrt(4 / math.pi) if number >= _APART else spread
            spread = (1 - _LEARNS) * spread + _LEARNS * min(seen, 3 * spread)
            spreads.append(max(_NOISE[1], spread))
        self.observed = log_scales.copy()
        self.means, self.variances = np.array(means), np.array(variances)
        self.spreads = np.array(spreads)

    def _smoothed(self, first: int) -> Array:
        """(K - first,) the smoother's means, by the first keyframe's own."""
        means, variances = self.means[first:], self.variances[first:]
        ahead = variances + _WANDERS**2
        smoothed = means.copy()
        for n in range(len(means) - 2, -1, -1):
            smoothed[n] += variances[n] / ahead[n] * (smoothed[n + 1] - means[n])
        if first == 0:
            self.level = float(smoothed[0])
        return smoothed - self.level
