"""What a refiner knows of its stream: plain arrays and numbers, so that it can be kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.refine.correction import Status
from svggt.refine.dynamic_points import DynamicPoints
from svggt.refine.fixed_pixels import FixedPixels
from svggt.refine.flow_check import FlowCheck
from svggt.refine.keyframes import Keyframe
from svggt.refine.landmarks import Landmarks
from svggt.refine.loops import Loop
from svggt.refine.recognition import KeyframeFeatures
from svggt.refine.relocalization import Remembered
from svggt.refine.scale_drift import ScaleDrift
from svggt.refine.tracking import Sightings, Tracks
from svggt.refine.views import View

Array = NDArray[Any]

_DEPTH_ERROR = 0.12  # of a model of which nothing is known yet


@dataclass
class Placed:
    """A frame on its keyframe.

    Attributes:
        keyframe: index of the keyframe.
        keyframe_from_cam: (3, 4).
        log_scale: see `Correction`; likewise field, moving, status and share.
        seen: landmarks in it, until its depth is settled.
        log_depth: (N,) natural logarithm of the model's depth at them.
        agreement: see `Correction`; likewise closes.
    """

    keyframe: int
    keyframe_from_cam: Array
    log_scale: float
    field: NDArray[np.float32] | None
    moving: NDArray[np.bool_] | None
    status: Status
    share: float
    seen: Tracks
    log_depth: Array
    agreement: float = 1.0
    closes: int | None = None


@dataclass
class RefinerState:
    """Everything that changes while frames come.

    Attributes:
        revision: the newest correction's; it grows.
        unsent: the first frame that moved without a correction; -1 if none did.
        size: (height, width) of the tracking picture.
        focals: the camera head's focal lengths so far, over the width, the newest 256.
        focal: the stream's, over the width.
        focal_sigma: relative, of that; 0 while it is the camera head's.
        radial: the stream's distortion.
        errors: spreads of the model's log depth about landmarks of known depth, the newest 32.
        landmarks: points of the world.
        keyframes: all; those that left the window keep no observations.
        frames: all.
        settled: frames whose depth is not corrected any more.
        places: the newest keyframes, where a leap may have come from.
        features: what keyframes are recognised by, also old ones.
        views: pictures of keyframes, also of old ones.
        loops: that were found.
        tied: index of the oldest keyframe that is tied to the newest by tracks.
        tracks: what is followed.
        suspects: points that seem to move by themselves.
        fixed: what stands still in the picture.
        flow: whether the picture moves as the cameras say.
        grey: the newest tracking picture.
        time_s: when it was taken.
        head: the camera head's newest world_from_cam.
        pose: the newest refined world_from_cam.
        motion: last_from_newest, for the next guess.
        depth: the newest frame's median, as the model has it.
        log_scale: the newest tracked frame's depth scale, natural logarithm.
        bend: its field.
        segment: number of the one that the newest frame belongs to.
        num_segments: how many have begun so far.
        drift: of the world's scale, which is taken out of what is shown.
        world: grows when a segment is merged; windows of an older one are void.
    """

    revision: int = 0
    unsent: int = -1
    size: tuple[int, int] = (0, 0)
    focals: list[float] = field(default_factory=list)
    focal: float = 0.0
    focal_sigma: float = 0.0
    radial: float = 0.0
    errors: list[float] = field(default_factory=list)
    landmarks: Landmarks = field(default_factory=Landmarks)
    keyframes: list[Keyframe] = field(default_factory=list)
    frames: list[Placed] = field(default_factory=list)
    settled: int = 0
    places: list[Remembered] = field(default_factory=list)
    features: list[KeyframeFeatures] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)
    tied: int = 0
    tracks: Tracks = field(default_factory=Tracks.none)
    suspects: DynamicPoints = field(default_factory=DynamicPoints.none)
    fixed: FixedPixels = field(default_factory=FixedPixels)
    flow: FlowCheck = field(default_factory=FlowCheck)
    grey: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    time_s: float = 0.0
    head: Array = field(default_factory=lambda: np.eye(3, 4))
    pose: Array = field(default_factory=lambda: np.eye(3, 4))
    motion: Array = field(default_factory=lambda: np.eye(3, 4))
    depth: float = 1.0
    log_scale: float = 0.0
    bend: NDArray[np.float32] | None = None
    segment: int = 0
    num_segments: int = 1
    drift: ScaleDrift = field(default_factory=ScaleDrift)
    world: int = 0

    @property
    def depth_error(self) -> float:
        """Spread of the model's log depth, as far as it is known."""
        return float(np.median(self.errors)) if self.errors else _DEPTH_ERROR

    @property
    def distance(self) -> float:
        """The newest frame's median depth in the world's scale."""
        return self.depth * float(np.exp(self.log_scale))

    @property
    def sightings(self) -> Sightings:
        """Landmarks that the newest frame sees."""
        return self.tracks.sightings(self.size)

    def note_moved(self, frame: int) -> None:
        """A frame's correction changed and is to be sent."""
        self.unsent = frame if self.unsent < 0 else min(frame, self.unsent)
