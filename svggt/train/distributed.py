"""What carries a step: one process or several, and how blocks compute and remember."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from svggt.model.network import VGGT
from svggt.train.options import TrainOptions
from svggt.train.synth.render import compile_rendering


class Distributed:
    """One process alone, or each with its share of every step's clips.

    Several are started by `accelerate launch -m svggt.train ...`, one for each GPU. As a context it
    waits for the others at its end: one that ended while another was busy often aborted.

    Attributes:
        device: where this process computes.
        rank: its number.
        count: number of processes.
    """

    def __init__(self) -> None:
        self._accelerator = _accelerator() if int(os.environ.get("WORLD_SIZE", "1")) > 1 else None
        if self._accelerator is None:
            self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            self.rank, self.count = 0, 1
        else:
            self.device = self._accelerator.device
            self.rank = self._accelerator.process_index
            self.count = self._accelerator.num_processes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if self._accelerator is not None:
            if failure is None:  # else the others are elsewhere, and would be waited for
                torch.distributed.barrier()
            torch.distributed.destroy_process_group()

    def shared(self, module: nn.Module) -> nn.Module:
        """The module, its gradients the mean of all processes'."""
        if self._accelerator is None:
            return module
        return self._accelerator.prepare_model(module)

    def on_its_own(self, module: nn.Module) -> AbstractContextManager[None]:
        """Gradients that are added up here first: the step's last batch shares them."""
        return nullcontext() if self._accelerator is None else self._accelerator.no_sync(module)

    def agrees(self, says: bool) -> bool:
        """What the first process says: all must take the same steps."""
        if self._accelerator is None:
            return says
        word = torch.tensor(int(says), device=self.device)
        torch.distributed.broadcast(word, src=0)
        return bool(word)


def end_process() -> None:
    """Ends one of several processes at once, now that all of them have done their work.

    What DistributedDataParallel leaves of its group has threads that nobody can end, and one of
    them may abort the process while Python ends (pytorch/pytorch#190489).
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _accelerator():
    # Here, since a machine with one GPU needs no accelerate.
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    # The encoder's mask token and a track head without queries take part in no step.
    return Accelerator(kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)])


def prepare(network: VGGT, options: TrainOptions, device: torch.device) -> None:
    """Brings a network to learn as the options say; names of its weights stay as they are."""
    network.requires_grad_(True)
    aggregator = network.aggregator
    if options.frozen:
        aggregator.patch_embed.requires_grad_(False)
        aggregator.camera_token.requires_grad_(False)
        aggregator.register_token.requires_grad_(False)
    blocks = [*aggregator.patch_embed.blocks, *aggregator.frame_blocks, *aggregator.global_blocks]
    if options.checkpointing:
        for block in blocks:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    if "rendering" in options.compile:
        compile_rendering()
    if "blocks" in options.compile:
        # Global blocks are told how to attend by a function: it would be compiled anew each time.
        for block in (*aggregator.patch_embed.blocks, *aggregator.frame_blocks):
            cast(nn.Module, block).compile(dynamic=True)
    if options.bf16:
        # The camera head stays float32, as in the published code. The dense heads do not (they do
        # in the published code): their convolutions are two thirds of a step.
        for module in (aggregator, network.depth_head, network.point_head):
            module.forward = _in_bfloat16(module.forward, device)


def _in_bfloat16(forward: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    """Computes in bfloat16; a map leaves as float32, tokens as they are."""

    def reduced(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device.type, torch.bfloat16):
            output = forward(*args, **kwargs)
        return output.float() if isinstance(output, Tensor) else output

    return reduced
