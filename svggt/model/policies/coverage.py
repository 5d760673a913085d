"""svggt's own: keep frames that see what no other kept frame sees, and are sure of it.

What is at hand here and used by no published policy: every patch's depth, how sure the network
is of it, and the camera.
"""

from __future__ import annotations

import torch
from torch import Tensor

from svggt.model.frame_geometry import FrameGeometry, RefinedCamera, seen_by
from svggt.model.memory import Observer
from svggt.model.policies.keyframes import HIGH, RECENT, older_first
from svggt.model.storage import named_under
from svggt.model.token_memory import Limits, TokenMemory

_PATCHES = 200  # looked at in each frame


class Coverage(Observer):
    """What each frame adds to the surfaces that the kept frames see."""

    def __init__(self) -> None:
        self._frames: dict[int, FrameGeometry] = {}
        self._worth: dict[int, float] = {}  # of the newest step, by frame

    def observe(self, seen: FrameGeometry) -> None:
        self._frames[seen.number] = seen.thinned(_PATCHES)
        self._worth = {}

    def correct(self, cameras: list[RefinedCamera]) -> None:
        for camera in cameras:
            if camera.number in self._frames:
                self._frames[camera.number] = self._frames[camera.number].refined(camera)

    def of_kept(self, numbers: list[int], before: int) -> Tensor:
        """(F,) in [0, 1]: confidence of a frame's patches, each shared with others that see it.

        Args:
            numbers: of the frames kept, ascending; others are forgotten.
            before: others from here on do not count: the newest will leave as they came, and
                where they are dense every frame that joins them would be worth nothing.

        Returns:
            Of frames whose geometry nobody told less than 0: the oldest has the least.
        """
        if not self._worth:  # once a step, for all layers
            self._frames = {n: each for n, each in self._frames.items() if n in numbers}
            frames = [self._frames[number] for number in sorted(self._frames)]
            if frames:
                self._worth = dict(zip(sorted(self._frames), _worth(frames, before), strict=True))
        unknown = [number / (numbers[-1] + 1) - 2 for number in numbers]
        return torch.tensor(
            [self._worth.get(n, low) for n, low in zip(numbers, unknown, strict=True)]
        )

    def save(self) -> dict[str, Tensor]:
        return {
            f"{number}.{name}": tensor
            for number, frame in self._frames.items()
            for name, tensor in frame.save().items()
        }

    def load(self, saved: dict[str, Tensor]) -> None:
        numbers = sorted({int(name.split(".")[0]) for name in saved})
        self._frames = {n: FrameGeometry.load(named_under(f"{n}.", saved)) for n in numbers}
        self._worth = {}


def _worth(frames: list[FrameGeometry], before: int) -> list[float]:
    counted = torch.tensor([frame.number < before for frame in frames])
    others = counted[None] & ~torch.eye(len(frames), dtype=torch.bool)  # (F, F)
    views = (seen_by(frames) & others[..., None]).sum(dim=1)  # (F, N)
    sure = 1 - 1 / torch.stack([frame.confidence for frame in frames])
    return (sure / (1 + views)).mean(dim=1).tolist()


class CoverageMemory(TokenMemory):
    """Whole frames, the same in all layers: the one that adds the least goes.

    Args:
        limits: budget and storage.
        coverage: what frames add.
    """

    whole_frames = True

    def __init__(self, limits: Limits, coverage: Coverage) -> None:
        super().__init__(limits)
        self._coverage = coverage

    def scores(self) -> Tensor:
        frames, of_slot = torch.unique(self.numbers(), return_inverse=True)
        first_recent = self.frame.number - RECENT + 1
        worth = self._coverage.of_kept(frames.tolist(), first_recent).to(frames.device)
        worth = worth + older_first(frames)
        return torch.where(frames >= first_recent, HIGH + frames, worth)[of_slot]
