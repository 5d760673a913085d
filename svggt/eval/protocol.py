"""What a number means: which frames count, and how they are compared with the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Task = Literal["recon", "depth", "video-depth", "pose"]

DepthScale = Literal["median", "least", "none"]
"""One factor: the ratio of medians, the least absolute error's, or none (metres)."""

PAPER_WIDTH = 518
"""Of pictures in the published tables; a crop is given in its pixels."""


@dataclass(frozen=True)
class Protocol:
    """How a sequence is evaluated; it is printed with every number.

    Attributes:
        first: number of the first frame.
        every: take every n-th frame from there.
        halved: but of a sequence of fewer than 2 n every half of it.
        frames: at most so many of them; None: all.
        scale: of depth: of each frame in `depth`, of each sequence in `video-depth`.
        farthest: metres; what is farther in the truth is left out, predictions are clipped to it.
        crop: side of the centre square that points are taken from, in pixels of a picture 518
            wide; None: the whole picture.
        icp: metres; farther points are no pairs of the point-to-point ICP; 0: no ICP.
    """

    first: int = 0
    every: int = 1
    halved: bool = False
    frames: int | None = None
    scale: DepthScale = "median"
    farthest: float | None = None
    crop: int | None = None
    icp: float = 0.0

    def numbers(self, count: int) -> list[int]:
        """Of the frames that count, of a sequence of so many."""
        every = max(1, min(self.every, count // 2)) if self.halved else self.every
        return list(range(self.first, count, every))[: self.frames]

    def changed(self, **given: object) -> Protocol:
        """The same but for what was given; None is not."""
        return replace(self, **{name: value for name, value in given.items() if value is not None})

    def title(self, task: Task) -> str:
        """For people."""
        parts = [f"every {self.every}" + (f" from {self.first}" if self.first else "")]
        if self.halved:
            parts[0] += ", at least two"
        if self.frames is not None:
            parts.append(f"at most {self.frames} frames")
        if task == "pose":
            return ", ".join([*parts, "one Sim(3) a sequence"])
        if task == "recon":
            crop = "no crop" if self.crop is None else f"centre {self.crop} of {PAPER_WIDTH} pixels"
            icp = f"ICP within {self.icp:g} m" if self.icp else "no ICP"
            return ", ".join([*parts, crop, icp])
        by = "frame" if task == "depth" else "sequence"
        scales = {"median": "ratio of medians", "least": "least absolute error", "none": "none"}
        far = f"up to {self.farthest:g} m" if self.farthest else "any distance"
        return ", ".join([*parts, f"scale a {by}: {scales[self.scale]}", far])
