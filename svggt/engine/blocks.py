"""Blocks: a stream that begins anew every so often, each block joined to the one before.

While a block's second half runs, the next one runs beside it on the same frames, from a memory
that is empty. When the first is full the second takes over, in the first one's world: scale by the
median ratio of their depths over the frames that both saw, rotation and position as the last of
them says (StreamVGGT's "window-based" inference, arXiv 2507.11539; VGGT-Long, arXiv 2507.16443).
Deviations: the ratio is a median of the frames' medians; nothing earlier is moved.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from svggt import geometry
from svggt.geometry import Similarity
from svggt.model.memory import Memory
from svggt.model.storage import named_under
from svggt.prediction import FramePrediction


@dataclass(eq=False)
class StreamBlock:
    """A memory, and where its world lies in the stream's. A stream without restarts has one.

    Attributes:
        memory: its frames are numbered from 0.
        first: the number of its first frame in the stream.
        world: from its world into the stream's; None: they are one.
        log_ratios: of the stream's depth by its own, a frame each, while it runs beside another.
    """

    memory: Memory
    first: int = 0
    world: Similarity | None = None
    log_ratios: list[float] = field(default_factory=list)

    @property
    def num_frames(self) -> int:
        """Of the stream, after this block's newest."""
        return self.first + self.memory.num_frames

    def join(self, shown: FramePrediction, own: FramePrediction) -> None:
        """Moves its world by a frame that another block saw too.

        Args:
            shown: the other's, in the stream's world.
            own: of the same frame, in its own.
        """
        self.log_ratios.append(float(np.median(np.log(shown.depth / own.depth))))
        scale = float(np.exp(np.median(self.log_ratios)))
        self.world = Similarity.of_camera(shown.world_from_cam, own.world_from_cam, scale)

    def save(self) -> dict[str, Tensor]:
        """All that it knows, by name; tensors that later steps change."""
        world = [] if self.world is None else [self.world.scale, *self.world.rigid.ravel()]
        return {
            "first": torch.tensor(self.first),
            "world": torch.tensor(world, dtype=torch.float64),
            "log_ratios": torch.tensor(self.log_ratios, dtype=torch.float64),
            **{f"memory.{name}": tensor for name, tensor in self.memory.save().items()},
        }

    def load(self, saved: dict[str, Tensor], device: torch.device) -> None:
        """Becomes what `save` returned, its memory on a device.

        Raises:
            KeyError: it was of a memory of other sizes or another policy.
        """
        world = saved["world"].tolist()
        self.first = int(saved["first"])
        self.world = Similarity(world[0], np.array(world[1:]).reshape(3, 4)) if world else None
        self.log_ratios = saved["log_ratios"].tolist()
        # Copies lie as those of a step do: kernels round otherwise where memory is not aligned.
        copies = named_under("memory.", saved)
        self.memory.load({name: t.to(device, copy=True) for name, t in copies.items()})


def in_world(prediction: FramePrediction, world: Similarity | None) -> FramePrediction:
    """A block's frame in the stream's world: camera, depth and points; None: they are one."""
    if world is None:
        return prediction
    points = prediction.world_points
    return replace(
        prediction,
        cam_from_world=geometry.invert(world.pose(prediction.world_from_cam)),
        depth=(world.scale * prediction.depth).astype(np.float32),
        world_points=None if points is None else world.points(points).astype(np.float32),
    )
