"""The cached token memory: what a stream keeps of the frames it has seen.

A policy decides what one global layer keeps. The way of a step: each layer *stages* the new
frame's keys and values and is told what to attend to; when every head has succeeded the memory
*commits*, else it *rolls back* and is as it was. Keys are normed and rotated before they come
here and are final.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from svggt.model.config import ModelConfig
from svggt.model.layers import Attend, attend_all
from svggt.model.storage import named_under


@dataclass(frozen=True)
class FrameTokens:
    """Facts about the tokens that a frame brings, for policies that choose among them.

    Attributes:
        number: the frame's number in the stream.
        grid: (rows, columns) of its patches.
        num_special: camera and register tokens before the patches.
    """

    number: int
    grid: tuple[int, int]
    num_special: int


class LayerMemory(ABC):
    """What one attention layer keeps. Its policy may keep different tokens per head."""

    @abstractmethod
    def stage(
        self, queries: Tensor, keys: Tensor, values: Tensor, frame: FrameTokens
    ) -> tuple[Tensor, Tensor]:
        """Takes the new tokens into scratch; called once a step, or once per pass that shares it.

        Args:
            queries: (B, heads, P, head_dim) of the new frame, for policies that score by them.
            keys: the same shape, final.
            values: the same shape.
            frame: facts about these tokens.

        Returns:
            Keys and values to attend to, each (B, heads, kept + new, head_dim), in any order.
        """

    @abstractmethod
    def commit(self) -> None:
        """Makes what was staged part of the memory, and evicts. Must not fail."""

    @abstractmethod
    def rollback(self) -> None:
        """Forgets what was staged."""

    @abstractmethod
    def save(self) -> dict[str, Tensor]:
        """All that was committed, by name; tensors that later steps change."""

    @abstractmethod
    def load(self, saved: dict[str, Tensor]) -> None:
        """Becomes what `save` returned, of a memory that was made alike."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes allocated, not only used."""


@dataclass(frozen=True)
class CachePolicy:
    """How a stream remembers: a name for people, and how a layer's memory is made.

    Attributes:
        name: as the page and the command line show it.
        global_layer: makes the memory of one global block.
        camera_layer: makes the memory of one camera trunk block in one pass.
        shared_camera_passes: all passes of the camera head share one memory per block, as in
            the published streaming loop; its poses then differ from its own batch pass
            (docs/conventions.md).
    """

    name: str
    global_layer: Callable[[], LayerMemory]
    camera_layer: Callable[[], LayerMemory]
    shared_camera_passes: bool = False


class Memory:
    """The memory of one stream: a `LayerMemory` per global block, and per camera pass and block.

    Args:
        config: sizes of the network.
        policy: what is kept.
    """

    def __init__(self, config: ModelConfig, policy: CachePolicy):
        self.num_frames = 0
        self._num_special = config.num_special_tokens
        self._layers = [policy.global_layer() for _ in range(config.depth)]
        passes = 1 if policy.shared_camera_passes else config.camera_iterations
        self._camera = [
            [policy.camera_layer() for _ in range(config.camera_trunk_depth)] for _ in range(passes)
        ]

    @property
    def nbytes(self) -> int:
        """Bytes allocated for keys and values."""
        return sum(layer.nbytes for layer in self._all())

    def global_attend(self, grid: tuple[int, int]) -> Callable[[int], Attend]:
        """How the new frame's tokens attend in each global block."""
        frame = FrameTokens(self.num_frames, grid, self._num_special)
        return lambda layer: _through(self._layers[layer], frame)

    def camera_attend(self) -> Callable[[int, int], Attend]:
        """How the new frame's camera token attends in each pass and block of the camera head."""
        frame = FrameTokens(self.num_frames, grid=(0, 0), num_special=1)
        last = len(self._camera) - 1
        return lambda number, block: _through(self._camera[min(number, last)][block], frame)

    def commit(self) -> None:
        """Makes the staged frame part of the memory."""
        for layer in self._all():
            layer.commit()
        self.num_frames += 1

    def rollback(self) -> None:
        """Returns to the state before the step."""
        for layer in self._all():
            layer.rollback()

    def save(self) -> dict[str, Tensor]:
        """All that is kept, by name; tensors that later steps change."""
        saved = {"num_frames": torch.tensor(self.num_frames)}
        for number, layer in enumerate(self._all()):
            saved |= {f"{number}.{name}": tensor for name, tensor in layer.save().items()}
        return saved

    def load(self, saved: dict[str, Tensor]) -> None:
        """Becomes what `save` returned, of a memory of the same sizes and policy.

        Raises:
            KeyError: it was of others.
        """
        self.num_frames = int(saved["num_frames"])
        for number, layer in enumerate(self._all()):
            layer.load(named_under(f"{number}.", saved))

    def _all(self) -> list[LayerMemory]:
        return [*self._layers, *(layer for blocks in self._camera for layer in blocks)]


def _through(memory: LayerMemory, frame: FrameTokens) -> Attend:
    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys, values = memory.stage(q, k, v, frame)
        return attend_all(q, keys, values)

    return attend
