"""What the model says of one frame, on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from svggt import geometry


@dataclass(frozen=True, eq=False)
class FramePrediction:
    """Camera, depth and (where asked for) point map of one frame.

    Attributes:
        number: the frame's number in its stream, from 0.
        time_s: its time in the source, seconds from the first frame.
        image: (H, W, 3) uint8 RGB, as the network saw it.
        cam_from_world: (3, 4) float64; the world is the first frame's camera, its scale
            arbitrary, not metres.
        intrinsics: (3, 3) float64, pixels of `image`.
        depth: (H, W) float32 z-depth in the world's scale, positive.
        depth_conf: (H, W) float32, at least 1; no probability.
        world_points: (H, W, 3) float32 of the point head, in the world frame; None if not run.
        world_points_conf: (H, W) float32, at least 1; None likewise.
        seconds: time that the model took, transfers included.
        memory_bytes: allocated by the stream's cached token memory after this frame.
        peak_bytes: the device's memory at its highest meanwhile, all included; None where
            nobody measured.
        sky: (H, W) bool, of a picture that was painted over; else None: the picture shows it.
    """

    number: int
    time_s: float
    image: NDArray[np.uint8]
    cam_from_world: NDArray[np.float64]
    intrinsics: NDArray[np.float64]
    depth: NDArray[np.float32]
    depth_conf: NDArray[np.float32]
    world_points: NDArray[np.float32] | None
    world_points_conf: NDArray[np.float32] | None
    seconds: float
    memory_bytes: int
    peak_bytes: int | None = None
    sky: NDArray[np.bool_] | None = None

    @property
    def world_from_cam(self) -> NDArray[np.float64]:
        """(3, 4) float64: what a viewer places."""
        return geometry.invert(self.cam_from_world)

    @cached_property
    def camera_points(self) -> NDArray[np.float32]:
        """(H, W, 3) points from depth and intrinsics, in this camera's own frame."""
        return geometry.unproject(self.depth, self.intrinsics).astype(np.float32)

    @cached_property
    def head_points(self) -> NDArray[np.float32] | None:
        """(H, W, 3) points of the point head in this camera's own frame; None if not run."""
        if self.world_points is None:
            return None
        points = self.world_points @ self.cam_from_world[:, :3].T + self.cam_from_world[:, 3]
        return points.astype(np.float32)


@dataclass(frozen=True, eq=False)
class PointTrack:
    """One pixel followed through frames by the track head.

    Attributes:
        first: number of the frame that it was chosen in.
        pixels: (S, 2) x and y in that frame and the ones after it.
        visibility: (S,) 0 to 1.
    """

    first: int
    pixels: NDArray[np.float32]
    visibility: NDArray[np.float32]

    def at(self, number: int) -> tuple[float, float] | None:
        """Where it is in a frame; None where it was not followed or is hidden."""
        step = number - self.first
        if not 0 <= step < len(self.pixels) or self.visibility[step] < 0.5:
            return None
        x, y = self.pixels[step].tolist()
        return x, y


@dataclass(frozen=True, eq=False)
class MemoryMap:
    """What the cached token memory of a stream's global layers keeps of each frame.

    Attributes:
        frames: (F,) numbers of those of which anything is kept, ascending.
        shares: (F, P) float32, of the layers and heads those that keep a token, 0 to 1; camera
            and register tokens first, then patches row by row.
        grid: (rows, columns) of patches.
        num_layers: global layers.
        nbytes: allocated by them; the camera head's memory is beside it.
    """

    frames: NDArray[np.int64]
    shares: NDArray[np.float32]
    grid: tuple[int, int]
    num_layers: int
    nbytes: int

    @property
    def num_tokens(self) -> int:
        """Tokens kept by all layers, each counted once for all its heads."""
        return round(self.num_layers * float(self.shares.sum()))

    @property
    def of_frames(self) -> NDArray[np.float32]:
        """(F,) share of each frame's tokens that is kept."""
        return self.shares.mean(axis=1)

    def patches(self, index: int) -> NDArray[np.float32]:
        """(rows, columns) shares of one frame's patches."""
        rows, columns = self.grid
        return self.shares[index, -rows * columns :].reshape(rows, columns)
