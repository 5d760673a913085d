"""Frames of a recording as one choice of cameras has them: what every export is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.prediction import FramePrediction
from svggt.refine.correction import Correction
from svggt.scene.clouds import Cloud, banded
from svggt.store.recording import Recording
from svggt.view_options import Cameras

_SUREST_HALF_AND_FAR = (0, 1, 3)  # bands that a scene shows at first


@dataclass(frozen=True, eq=False)
class PosedFrame:
    """One frame with its camera.

    Attributes:
        prediction: what the model says of it.
        correction: by refinement; None where the camera head's camera is meant, or there is none.
    """

    prediction: FramePrediction
    correction: Correction | None

    @property
    def world_from_cam(self) -> NDArray[np.float64]:
        """(3, 4); the world is the first frame's camera."""
        if self.correction is None:
            return self.prediction.world_from_cam
        return self.correction.world_from_cam

    @property
    def intrinsics(self) -> NDArray[np.float64]:
        """(3, 3), pixels of the frame's picture; the first pixel's centre is at 0."""
        intrinsics = self.prediction.intrinsics.copy()
        if self.correction is not None:
            height, width = self.prediction.depth.shape
            intrinsics[0, 0] = self.correction.focal * width
            intrinsics[1, 1] = self.correction.focal * height / self.correction.aspect
        return intrinsics

    @property
    def distortion(self) -> tuple[float, float]:
        """Radial k1 and k2 as OpenCV and COLMAP mean them: r is the undistorted ray's."""
        return (0.0 if self.correction is None else self.correction.radial), 0.0

    @property
    def depth(self) -> NDArray[np.float32]:
        """(H, W) z-depth in the world's scale."""
        if self.correction is None:
            return self.prediction.depth
        return self.correction.correct(self.prediction.depth)

    def cloud(self, stride: int) -> Cloud:
        """Its points in the world, as a scene shows them at first: the surer half, and still."""
        bands = banded(self.prediction, stride, self.correction)
        shown = Cloud.joined([bands[which] for which in _SUREST_HALF_AND_FAR])
        return shown.moved(self.world_from_cam, np.ones(3))


@dataclass(frozen=True)
class PosedFrames:
    """All frames of a recording, read one at a time, as often as wanted.

    Attributes:
        recording: a run that may go on meanwhile.
        cameras: which.
        count: frames.
        corrections: by frame; none for the head's cameras.
        on_frame: told how many were read; may raise to end an export.
    """

    recording: Recording
    cameras: Cameras
    count: int
    corrections: dict[int, Correction]
    on_frame: Callable[[int], None]

    @classmethod
    def of(
        cls,
        recording: Recording,
        cameras: Cameras,
        on_frame: Callable[[int], None] = lambda number: None,
    ) -> PosedFrames:
        """What a recording holds now."""
        corrections = recording.cameras.read() if cameras == "refined" else {}
        return cls(recording, cameras, len(recording.frames), corrections, on_frame)

    def __iter__(self) -> Iterator[PosedFrame]:
        for number in range(self.count):
            self.on_frame(number)
            yield self.shot(number)

    def shot(self, number: int) -> PosedFrame:
        """One of them.

        Raises:
            KeyError: there is none of that number.
        """
        return PosedFrame(self.recording.frames.load(number), self.corrections.get(number))

    def first_of(self, count: int) -> PosedFrames:
        """So many of them at most, from the first one on."""
        return replace(self, count=min(count, self.count))

    def first(self) -> PosedFrame:
        """The first one; there is one."""
        return next(iter(self))


def poses(shots: PosedFrames) -> NDArray[Any]:
    """World_from_cam of all frames, (S, 3, 4)."""
    return np.stack([shot.world_from_cam for shot in shots])
