"""Both runs from one camera: pictures side by side, and a film along the camera's path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.compare.aligned_frames import AlignedFrames
from svggt.scene.clouds import Cloud
from svggt.scene.film import write_mp4
from svggt.scene.raster import pulled_back, render

Array = NDArray[Any]
Picture = NDArray[np.uint8]

SIZE = (360, 540)
"""Of each view, (H, W)."""

_WHITE = np.full((*SIZE, 3), 255, np.uint8)
_LEAST = 3  # pixels across a point
_MOST_POINTS = 400_000
_MOST_PICTURES = 150  # of a film
_RATE = 10  # of a film, a second
_BACK = 0.6  # of the median depth: how far behind its camera a view stands


class Views:
    """Clouds of both runs, in A's world.

    Args:
        shown: both runs.
    """

    def __init__(self, shown: AlignedFrames) -> None:
        self._shown = shown
        clouds = [shown.clouds(number, _MOST_POINTS) for number in range(len(shown))]
        self._clouds = [Cloud.joined(list(side)) for side in zip(*clouds, strict=True)]

    def picture(self, world_from_cam: Array, focal: float) -> Picture:
        """A left, B right, (H, 2 W, 3).

        Args:
            world_from_cam: (3, 4), of A's world.
            focal: over the width of one view.
        """
        both = [render(c, world_from_cam, focal, _WHITE, _LEAST) for c in self._clouds]
        return np.concatenate(both, axis=1)

    def behind(self, number: int) -> Picture:
        """From behind A's camera of a frame."""
        shot, _ = self._shown.pair(number)
        distance = _BACK * float(np.median(shot.depth))
        pose = pulled_back(shot.world_from_cam, distance)
        return self.picture(pose, shot.intrinsics[0, 0] / shot.depth.shape[1])

    def write_film(self, path: Path, on_frame: Callable[[int], None]) -> None:
        """An MP4 along A's path."""

        def pictures() -> Iterator[Picture]:
            count = len(self._shown)
            for number in range(0, count, -(-count // _MOST_PICTURES)):
                on_frame(number)
                yield self.behind(number)

        write_mp4(pictures(), path, _RATE)
