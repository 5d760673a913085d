"""The cached token memory: what a stream keeps of the frames it has seen.

A policy decides what one global layer keeps. The way of a step: each layer *stages* the new
frame's keys (final: normed and rotated) and values and is told what to attend to; when every head
has succeeded the memory *commits*, else it *rolls back* and is as it was.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from svggt.model.config import ModelConfig
from svggt.model.frame_geometry import FrameGeometry, RefinedCamera
from svggt.model.layers import Attend, attend_all
from svggt.model.storage import named_under


@dataclass(frozen=True)
class FrameTokens:
    """Facts about the tokens that a frame brings, for policies that choose among them.

    Attributes:
        number: the frame's number in the stream.
        grid: (rows, columns) of its patches.
        num_special: camera and register tokens before the patches.
        residual: (B, P) how much the previous block's MLP changed each token; None where no
            policy asks for it.
    """

    number: int
    grid: tuple[int, int]
    num_special: int
    residual: Tensor | None = None


@dataclass(frozen=True)
class KeptTokens:
    """What one layer keeps, each head's in order of time.

    Attributes:
        facts: (R, n) each, by name; R = 1 (all heads alike) or B * heads.
        keys: (B, heads, n, head_dim).
        values: the same shape.
        frame: the newest.
        tokens_per_frame: P.
    """

    facts: dict[str, Tensor]
    keys: Tensor
    values: Tensor
    frame: FrameTokens
    tokens_per_frame: int

    @property
    def ids(self) -> Tensor:
        """(R, n) int32: frame * tokens_per_frame + place in it."""
        return self.facts["id"]


class Observer(ABC):
    """What the layers of a stream share: facts about frames that no layer sees."""

    @abstractmethod
    def observe(self, seen: FrameGeometry) -> None:
        """Takes in the newest frame's geometry, before its layers prepare."""

    @abstractmethod
    def forget(self) -> None:
        """Undoes the last `observe`."""

    @abstractmethod
    def correct(self, cameras: list[RefinedCamera]) -> None:
        """Takes in refined cameras, also of frames that it does not know."""

    @abstractmethod
    def save(self) -> dict[str, Tensor]:
        """All that it knows, by name."""

    @abstractmethod
    def load(self, saved: dict[str, Tensor]) -> None:
        """Knows what `save` returned."""


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
    def fetch(self) -> None:
        """Begins to bring what is kept to the device, for the next `stage`."""

    @abstractmethod
    def prepare(self) -> None:
        """Takes in what was staged and drops; may fail, and is undone by `rollback`."""

    @abstractmethod
    def commit(self) -> None:
        """Makes what was prepared stay; prepares first, if that was not done."""

    @abstractmethod
    def rollback(self) -> None:
        """Returns to what was committed last."""

    @abstractmethod
    def save(self) -> dict[str, Tensor]:
        """All that was committed, by name; tensors that later steps change."""

    @abstractmethod
    def load(self, saved: dict[str, Tensor]) -> None:
        """Becomes what `save` returned, of a memory that was made alike."""

    @abstractmethod
    def kept_ids(self) -> Tensor | None:
        """`KeptTokens.ids` alone, which moves no key."""

    @abstractmethod
    def kept(self) -> KeptTokens | None:
        """What was committed; None before the first frame."""

    @abstractmethod
    def adopt(self, kept: KeptTokens) -> None:
        """Begins with what another memory kept, as much of it as this one's budget allows."""

    @property
    @abstractmethod
    def frames_held(self) -> int:
        """Whole frames that would need as much room as what was committed."""

    @property
    @abstractmethod
    def frames_left(self) -> int | None:
        """Frames until something is dropped; None where nothing is, or before the first frame."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes allocated, not only used."""


@dataclass(frozen=True)
class GlobalMemory:
    """The memories of a stream's global layers.

    Attributes:
        layers: one a layer.
        observer: what they share; None where they need no geometry.
        scores_residual: `FrameTokens.residual` is asked for.
    """

    layers: list[LayerMemory]
    observer: Observer | None = None
    scores_residual: bool = False


@dataclass(frozen=True)
class CachePolicy:
    """How a stream remembers: a name for people, and how a layer's memory is made.

    Attributes:
        name: as the page and the command line show it.
        global_memory: makes the memories of so many global layers.
        camera_layer: makes the memory of one camera trunk block in one pass.
        shared_camera_passes: all passes of the camera head share one memory per block, as in
            the published streaming loop; its poses then differ from its own batch pass
            (docs/conventions.md).
        restarts: where something would be dropped the stream begins anew instead
            (`svggt.engine.blocks`).
    """

    name: str
    global_memory: Callable[[int], GlobalMemory]
    camera_layer: Callable[[], LayerMemory]
    shared_camera_passes: bool = False
    restarts: bool = False


class Memory:
    """The memory of one stream: a `LayerMemory` per global block, and per camera pass and block.

    Args:
        config: sizes of the network.
        policy: what is kept.
    """

    def __init__(self, config: ModelConfig, policy: CachePolicy):
        self.num_frames, self._observed = 0, False  # the newest frame's geometry, in this step
        self._num_special = config.num_special_tokens
        self._global = policy.global_memory(config.depth)
        passes = 1 if policy.shared_camera_passes else config.camera_iterations
        self._camera = [
            [policy.camera_layer() for _ in range(config.camera_trunk_depth)] for _ in range(passes)
        ]

    @property
    def nbytes(self) -> int:
        """Bytes allocated for keys and values."""
        return self.global_bytes + sum(layer.nbytes for blocks in self._camera for layer in blocks)

    @property
    def global_bytes(self) -> int:
        """Of the global layers, which a budget bounds; the camera head's are beside it."""
        return sum(layer.nbytes for layer in self._global.layers)

    @property
    def frames_held(self) -> int:
        """Whole frames that would need as much room as what the global layers keep."""
        return self._global.layers[0].frames_held

    @property
    def frames_left(self) -> int | None:
        """Frames until the global layers drop something; None where they do not."""
        return self._global.layers[0].frames_left

    @property
    def scores_residual(self) -> bool:
        """Whether global layers want to know how much the block before changed each token."""
        return self._global.scores_residual

    @property
    def wants_geometry(self) -> bool:
        """Whether `commit` should be told where the frame's patches are."""
        return self._global.observer is not None

    def global_attend(self, grid: tuple[int, int]) -> Callable[[int, Tensor | None], Attend]:
        """How the new frame's tokens attend in each global block, given its residual."""
        frame, layers = FrameTokens(self.num_frames, grid, self._num_special), self._global.layers
        layers[0].fetch()  # while the frame is encoded, each other one while the last computes
        return lambda layer, residual: _through(
            layers[layer], replace(frame, residual=residual), layers[layer + 1 : layer + 2]
        )

    def camera_attend(self) -> Callable[[int, int], Attend]:
        """How the new frame's camera token attends in each pass and block of the camera head."""
        frame = FrameTokens(self.num_frames, grid=(0, 0), num_special=1)
        last = len(self._camera) - 1
        return lambda number, block: _through(self._camera[min(number, last)][block], frame)

    def prepare(self, seen: FrameGeometry | None = None) -> None:
        """Takes in the staged frame and drops; if that fails, `rollback` undoes it.

        Args:
            seen: its geometry, if `wants_geometry`.
        """
        if self._global.observer is not None and seen is not None:
            self._observed = True
            self._global.observer.observe(seen)
        for layer in self._all():
            layer.prepare()

    def commit(self) -> None:
        """Makes the staged frame part of the memory; prepares first, if that was not done."""
        for layer in self._all():
            layer.commit()
        self._observed = False
        self.num_frames += 1

    def correct(self, cameras: list[RefinedCamera]) -> None:
        """Tells what became known of earlier frames' cameras, if `wants_geometry`."""
        if self._global.observer is not None:
            self._global.observer.correct(cameras)

    def rollback(self) -> None:
        """Returns to the state before the step."""
        if self._observed and self._global.observer is not None:
            self._global.observer.forget()
        self._observed = False
        for layer in self._all():
            layer.rollback()

    def kept(self) -> list[KeptTokens]:
        """What each global layer keeps; empty before the first frame."""
        kept = [layer.kept() for layer in self._global.layers]
        return [each for each in kept if each is not None]

    def kept_ids(self) -> list[Tensor]:
        """Ids (R, n) of what each global layer keeps; empty before the first frame."""
        kept = [layer.kept_ids() for layer in self._global.layers]
        return [ids for ids in kept if ids is not None]

    def adopt(self, other: Memory) -> None:
        """Begins with what a memory of another policy kept, as much as the budget allows.

        Raises:
            ValueError: the budget is less than two frames.
        """
        self.num_frames = other.num_frames
        ours, theirs = self._global.observer, other._global.observer
        if ours is not None and theirs is not None and type(ours) is type(theirs):
            ours.load(theirs.save())
        for layer, before in zip(self._all(), other._all(), strict=True):
            kept = before.kept()
            if kept is not None:
                layer.adopt(kept)

    def save(self) -> dict[str, Tensor]:
        """All that is kept, by name; tensors that later steps change."""
        saved = {"num_frames": torch.tensor(self.num_frames)}
        for number, layer in enumerate(self._all()):
            saved |= {f"{number}.{name}": tensor for name, tensor in layer.save().items()}
        if self._global.observer is not None:
            shared = self._global.observer.save()
            saved |= {f"observer.{name}": tensor for name, tensor in shared.items()}
        return saved

    def load(self, saved: dict[str, Tensor]) -> None:
        """Becomes what `save` returned, of a memory of the same sizes and policy.

        Raises:
            KeyError: it was of others.
        """
        self.num_frames = int(saved["num_frames"])
        for number, layer in enumerate(self._all()):
            layer.load(named_under(f"{number}.", saved))
        if self._global.observer is not None:
            self._global.observer.load(named_under("observer.", saved))

    def _all(self) -> list[LayerMemory]:
        return [*self._global.layers, *(layer for blocks in self._camera for layer in blocks)]


def _through(
    memory: LayerMemory, frame: FrameTokens, following: Sequence[LayerMemory] = ()
) -> Attend:
    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys, values = memory.stage(q, k, v, frame)
        for each in following:
            each.fetch()
        return attend_all(q, keys, values)

    return attend
