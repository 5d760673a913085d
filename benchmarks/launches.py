"""How many kernels a training step would launch, and how often it would wait for the device.

`python -m benchmarks.launches [--scale 1] [--most 0] [--json]`. Counted on the CPU, by what PyTorch
dispatches: a launch costs a GPU's host 6 to 10 microseconds, and a read drains the GPU's queue.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from contextlib import ExitStack
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from svggt.files import EMBEDDED_WEIGHTS
from svggt.train.options import WAYS
from svggt.train.runs import read_network
from svggt.train.source import SHAPES, Shape, rendered, scaled
from svggt.train.synth import bundles, models
from svggt.train.trainer import Trainer

_NO_KERNEL = {  # beside views: memory, or facts about a tensor
    "aten.detach.default",
    "aten.empty.memory_format",
    "aten.empty_strided.default",
    "aten.empty_like.default",
    "aten.new_empty.default",
    "aten.new_empty_strided.default",
    "aten._unsafe_view.default",
    "aten._reshape_alias.default",
    "aten.lift_fresh.default",
}
_READS = {  # the host has to know their result before it can go on
    "aten._local_scalar_dense.default",
    "aten.nonzero.default",
    "aten.is_nonzero.default",
    "aten.equal.default",
    "aten.masked_select.default",
    "aten.repeat_interleave.Tensor",
    "aten._unique2.default",
}
_INDEXED = (torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_)
_COPIES = (Tensor.cpu, Tensor.tolist)  # which are seen by no dispatcher where there is no GPU


class LaunchCounter:
    """Counts operations but views, and host reads, while it is entered.

    Attributes:
        operations: by name.
        reads: by name.
    """

    def __init__(self) -> None:
        self.operations: Counter[str] = Counter()
        self.reads: Counter[str] = Counter()
        self._modes = ExitStack()

    def __enter__(self) -> LaunchCounter:
        self._modes.enter_context(_Dispatched(self))
        self._modes.enter_context(_Called(self))
        return self

    def __exit__(self, *error: object) -> None:
        self._modes.close()


class _Dispatched(TorchDispatchMode):
    def __init__(self, counter: LaunchCounter) -> None:
        super().__init__()
        self._counter = counter

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        if not func.is_view and name not in _NO_KERNEL:
            self._counter.operations[name] += 1
        by_mask = func.overloadpacket in _INDEXED and any(map(_is_mask, args[1]))
        if name in _READS or by_mask:
            self._counter.reads[name] += 1
        return func(*args, **(kwargs or {}))


class _Called(TorchFunctionMode):
    def __init__(self, counter: LaunchCounter) -> None:
        super().__init__()
        self._counter = counter

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in _COPIES:
            self._counter.reads[func.__name__] += 1
        return func(*args, **(kwargs or {}))


def _is_mask(index: Tensor | None) -> bool:
    return index is not None and index.dtype in (torch.bool, torch.uint8)


def count_step(trainer: Trainer) -> tuple[LaunchCounter, LaunchCounter]:
    """Counts of a whole training step, and of the rendering in it, in bundles as on a GPU."""
    rendering, source = LaunchCounter(), trainer.source

    def counted(step: int, part: int):
        with rendering:
            return source(step, part)

    with ExitStack() as stack:
        for sizes in (bundles.AT_ONCE, bundles.PAIRS, models.PAIRS):
            stack.enter_context(patch.dict(sizes, cpu=sizes["cuda"]))
        stack.enter_context(patch.object(trainer, "source", counted))
        counter = stack.enter_context(LaunchCounter())
        trainer.take_step()
    return counter, rendering


def trainer_of(shape: Shape) -> Trainer:
    """The embedded weights, after a step: tables are made, and optimisers have their state."""
    cpu = torch.device("cpu")
    trainer = Trainer(
        read_network(EMBEDDED_WEIGHTS, cpu), WAYS["mixed"], rendered((shape,), 0, cpu)
    )
    trainer.take_step()
    return trainer


def main() -> None:
    """Counts a step of every shape of clips."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.launches")
    parser.add_argument("--scale", type=int, default=1, help="times as many clips in a step")
    parser.add_argument("--most", type=int, default=0, help="operations to name, most first")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    asked = parser.parse_args()
    rows = []
    for shape in scaled(SHAPES, asked.scale):
        whole, rendering = count_step(trainer_of(shape))
        size = f"{shape.size[1]}x{shape.size[0]}"
        rows.append(
            {
                "clips": f"{shape.clips} x {shape.frames} of {size}",
                "operations": whole.operations.total(),
                "rendering": rendering.operations.total(),
                "reads": whole.reads.total(),
            }
        )
        if not asked.json:
            sys.stdout.write(f"{rows[-1]}\n")
        for name, count in whole.operations.most_common(asked.most):
            sys.stdout.write(f"  {count:6d} {name}\n")
    if asked.json:
        sys.stdout.write(f"{json.dumps(rows)}\n")


if __name__ == "__main__":
    main()
