"""A frame's pixels as flat Gaussians on the surface that they saw, for a GPU to blend.

As surface splatting has it (Zwicker et al., "Surface Splatting", SIGGRAPH 2001, section 3): each is
as wide as its pixel is on the surface, along it, so that a wall is closed from wherever it is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.scene.clouds import NUM_BANDS, band_of, is_shown
from svggt.scene.posed_frame import PosedFrame
from svggt.view_options import ViewOptions

Array = NDArray[Any]

_WIDE = 0.5  # standard deviation, of the way to the next pixel's; less shows gaps


@dataclass(frozen=True, eq=False)
class Surfels:
    """N of them.

    Attributes:
        centres: (N, 3).
        covariances: (N, 3, 3), of rank 2.
        colors: (N, 3) uint8.
    """

    centres: Array
    covariances: Array
    colors: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.centres)

    @classmethod
    def of(
        cls, shot: PosedFrame, stride: int, views: Sequence[PosedFrame], look: ViewOptions
    ) -> Surfels:
        """Those of a frame that are shown, in its camera's coordinates.

        Args:
            shot: the frame.
            stride: take every n-th row and column of its pixels.
            views: frames of the same world that may confirm its points.
            look: which of them are shown.
        """
        points, every = shot.points, (slice(None, None, stride),) * 2
        keep, band = band_of(shot, points, stride, views)
        keep[keep] = np.array([is_shown(each, look) for each in range(NUM_BANDS + 1)])[band]
        # Ways to the next pixels across and down; with edges left out they lie on one surface.
        across, down = (
            _WIDE * stride * np.gradient(points, axis=axis)[every][keep] for axis in (1, 0)
        )
        covariances = across[:, :, None] * across[:, None] + down[:, :, None] * down[:, None]
        return cls(points[every][keep], covariances, shot.prediction.image[every][keep])

    def moved(self, pose: Array, stretch: Array) -> Surfels:
        """Multiplied by (3,) and brought from a camera's coordinates by its (3, 4) pose."""
        turn = pose[:, :3] * stretch
        covariances = turn @ self.covariances @ turn.T
        return Surfels(self.centres @ turn.T + pose[:, 3], covariances, self.colors)
