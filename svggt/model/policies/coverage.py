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
        self._seen: dict[int, dict[int, Tensor]] = {}  # frame -> other -> its patches seen there
        self._stale: set[int] = set()  # frames that moved since they were compared
        self._worth: dict[int, float] = {}  # of the newest step, by frame
        self._before = self._frames

    def observe(self, seen: FrameGeometry) -> None:
        self._before = self._frames
        self._frames = {**self._frames, seen.number: seen.thinned(_PATCHES)}
        self._stale.add(seen.number)
        self._worth = {}

    def forget(self) -> None:
        self._frames, self._worth = self._before, {}
        self._stale |= set(self._frames) - set(self._seen)

    def correct(self, cameras: list[RefinedCamera]) -> None:
        known = {camera.number: camera for camera in cameras if camera.number in self._frames}
        self._stale |= set(known)
        moved = {number: self._frames[number].refined(known[number]) for number in known}
        self._frames = {**self._frames, **moved}

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
            self._frames = {n: self._frames[n] for n in numbers if n in self._frames}
            self._compare()
            self._worth = {number: self._worth_of(number, before) for number in self._frames}
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
        self._seen, self._stale, self._worth = {}, set(numbers), {}

    def _compare(self) -> None:
        """Looks at pairs of frames of which one moved or is new."""
        stale = [number for number in self._frames if number in self._stale]
        self._stale = set()
        frames = list(self._frames.values())
        ours = {n: self._seen.get(n, {}) for n in self._frames}
        if stale:
            moved = [self._frames[number] for number in stale]
            there, here = seen_by(moved, frames), seen_by(frames, moved)
            for i, number in enumerate(stale):
                ours[number] = dict(zip(self._frames, there[i], strict=True))
                for j, other in enumerate(self._frames):
                    ours[other][number] = here[j, i]
        self._seen = ours

    def _worth_of(self, number: int, before: int) -> float:
        frame, seen = self._frames[number], self._seen[number]
        among = [seen[other] for other in self._frames if other != number and other < before]
        views = torch.stack(among).sum(dim=0) if among else torch.zeros(len(frame.confidence))
        return float(((1 - 1 / frame.confidence) / (1 + views)).mean())


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
