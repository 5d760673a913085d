"""Keep the anchor and the last W frames, in a ring with one slot to spare."""

from __future__ import annotations

import torch
from torch import Tensor

from svggt.model.memory import FrameTokens, LayerMemory
from svggt.model.storage import KeysAndValues, Storage


class WindowMemory(LayerMemory):
    """Frame 0 in slot 0, the last `window` frames in a ring, the new frame in the spare slot.

    The order of keys means nothing to attention (their positions are rotated in), so a frame is
    never moved. The spare slot makes a step undoable: nothing is overwritten before `commit`
    frees the oldest slot. While a step runs every slot is in use, so that the keys to attend to
    are the buffer itself.

    Args:
        window: frames besides the first.
        storage: how they are kept.
    """

    def __init__(self, window: int, storage: Storage = "computed") -> None:
        self._slots = 1 + window + 1
        self._frames = 0
        self._kept = KeysAndValues.of(storage)

    def stage(
        self, queries: Tensor, keys: Tensor, values: Tensor, frame: FrameTokens
    ) -> tuple[Tensor, Tensor]:
        tokens = keys.shape[2]
        start = self._slot(self._frames) * tokens
        self._kept.write(keys, values, start, capacity=self._slots * tokens)
        return self._kept.read(min(self._frames + 1, self._slots) * tokens)

    def commit(self) -> None:
        self._frames += 1

    def rollback(self) -> None:
        """Nothing to forget: the spare slot holds no committed frame."""

    def save(self) -> dict[str, Tensor]:
        return {"frames": torch.tensor(self._frames), **self._kept.save()}

    def load(self, saved: dict[str, Tensor]) -> None:
        self._frames = int(saved["frames"])
        self._kept.load(saved)

    @property
    def nbytes(self) -> int:
        return self._kept.nbytes

    def _slot(self, frame: int) -> int:
        """The anchor stays in slot 0; later frames go round slots 1 .. W + 1."""
        return 0 if frame == 0 else 1 + (frame - 1) % (self._slots - 1)
