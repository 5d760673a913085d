"""Keep tokens that the network worked on when they were new, and that differ later (OVGGT)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from svggt.model.frame_geometry import FrameGeometry, RefinedCamera, seen_by
from svggt.model.memory import Observer
from svggt.model.token_memory import Limits, TokenMemory

_COVERED = 0.2  # of a new view, by the last anchor's points
_FRAMES_APART = 100
_CONFIDENT = 0.05  # of an anchor's patches
_ANCHORS = 3


class Anchors(Observer):
    """Later anchors: the most confident patches of frames that look where none did."""

    def __init__(self) -> None:
        self._last: FrameGeometry | None = None
        self._chosen: list[tuple[int, Tensor]] = []  # frame, places of its patches
        self._before = self._last, self._chosen

    def forget(self) -> None:
        self._last, self._chosen = self._before

    def observe(self, seen: FrameGeometry) -> None:
        self._before = self._last, self._chosen
        if self._last is None:
            self._last = seen
        elif seen.number - self._last.number >= _FRAMES_APART:
            covered = seen_by([seen], [self._last])[0, 0]
            if covered.float().mean() < _COVERED:
                most = max(1, round(_CONFIDENT * len(seen.confidence)))
                places = torch.topk(seen.confidence, most).indices
                self._chosen = [*self._chosen, (seen.number, places)][-_ANCHORS:]
                self._last = seen

    def correct(self, cameras: list[RefinedCamera]) -> None:
        for camera in cameras:
            if self._last is not None and camera.number == self._last.number:
                self._last = self._last.refined(camera)

    def ids(self, tokens_per_frame: int, num_special: int) -> Tensor:
        """Of the tokens that stay."""
        return torch.cat(
            [
                torch.empty(0, dtype=torch.int64),
                *(number * tokens_per_frame + num_special + p for number, p in self._chosen),
            ]
        )

    def save(self) -> dict[str, Tensor]:
        saved = {f"anchor{number}": places for number, places in self._chosen}
        return saved if self._last is None else saved | self._last.save()

    def load(self, saved: dict[str, Tensor]) -> None:
        anchors = {n: t for n, t in saved.items() if n.startswith("anchor")}
        self._chosen = sorted(
            ((int(name.removeprefix("anchor")), places.cpu()) for name, places in anchors.items()),
            key=lambda chosen: chosen[0],
        )
        self._last = FrameGeometry.load(saved) if "depth" in saved else None


class ResidualMemory(TokenMemory):
    """A frame's tokens score by how much the MLP before changed them, older ones by their keys.

    Deviation: a frame is judged when the next one comes, not when it comes itself, so that the
    newest frame is whole.

    Args:
        limits: budget and storage.
        anchors: tokens that stay beside frame 0's.
    """

    facts = ("first",)

    def __init__(self, limits: Limits, anchors: Anchors) -> None:
        super().__init__(limits)
        self._anchors = anchors

    def arrive(self, slots: Tensor) -> None:
        frame = self.frame
        assert frame.residual is not None, "the aggregator tells residuals where they are asked for"
        norms = frame.residual[:1].float()  # (1, P); of batches alike, the first
        rows, columns = frame.grid
        patches = norms[:, frame.num_special :].reshape(1, 1, rows, columns)
        mixed = (0.5 * patches + 0.5 * _smooth(patches)).flatten(1)
        self.keep_fact("first", slots, torch.cat([norms[:, : frame.num_special], mixed], dim=1))

    def scores(self) -> Tensor:
        """(1, slots) in [0, 1]; anchors above."""
        unlike = 1 - self.likeness()
        first = self.fact("first") if "first" in self._facts else torch.full_like(unlike, torch.nan)
        # Of what another policy kept nobody knows how much the network worked on it.
        just = (self.numbers() == self.frame.number - 1) & first.isfinite()
        scores = torch.where(just, _spread(first, just), _spread(unlike, ~just))
        ids = self.fact("id")
        anchors = self._anchors.ids(self.tokens_per_frame, self.frame.num_special)
        return torch.where(torch.isin(ids, anchors.to(ids)), 2.0, scores)


def _spread(values: Tensor, among: Tensor) -> Tensor:
    """From 0, the least among some, to 1, the greatest."""
    least = torch.where(among, values, torch.inf).amin(dim=1, keepdim=True)
    greatest = torch.where(among, values, -torch.inf).amax(dim=1, keepdim=True)
    return (values - least) / (greatest - least).clamp_min(1e-12)


def _smooth(patches: Tensor) -> Tensor:
    """A 3x3 Gaussian over (B, 1, rows, columns), repeated at the border."""
    kernel = patches.new_tensor([1.0, 2.0, 1.0]) / 4
    weights = (kernel[:, None] * kernel[None])[None, None]
    return F.conv2d(F.pad(patches, (1, 1, 1, 1), mode="replicate"), weights)
