"""Weights stored as int8, one scale per output channel, in safetensors.

A quantised tensor `name` stands beside `name.scale`; everything else is float16. The file keeps
the sizes as JSON under the metadata key `config`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from svggt.model.network import VGGT

SCALE = ".scale"


def quantise(network: VGGT) -> dict[str, Tensor]:
    """The network's state dict with the weights of linear and convolution layers as int8.

    Symmetric, rounded to nearest: w ~ scale * int8, scale = max |w| of the channel / 127, as
    float32 of the weight's rank, so that it broadcasts.
    """
    state = {name: tensor.detach().half() for name, tensor in network.state_dict().items()}
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            # A transposed convolution keeps its output channels in the second dimension.
            channel = 1 if isinstance(module, nn.ConvTranspose2d) else 0
            weight = module.weight.detach().float()
            others = [d for d in range(weight.ndim) if d != channel]
            scale = weight.abs().amax(dim=others, keepdim=True).clamp(min=1e-12) / 127
            state[f"{name}.weight"] = (weight / scale).round().to(torch.int8)
            state[f"{name}.weight{SCALE}"] = scale
    return state


def dequantise(name: str, tensor: Tensor, scale: Tensor | None) -> Tensor:
    """The float32 weight of a stored tensor.

    Raises:
        ValueError: an int8 tensor without its scale.
    """
    if tensor.dtype != torch.int8:
        return tensor
    if scale is None:
        raise ValueError(f"{name} is int8 but {name}{SCALE} is missing: the file is incomplete")
    return tensor.float() * scale


def read_tensors(path: Path, device: torch.device) -> Iterator[tuple[str, Tensor]]:
    """Weights of a safetensors file one at a time, dequantised, in the order of their names.

    Raises:
        ValueError: an int8 tensor without its scale.
    """
    with safe_open(path, framework="pt", device=str(device)) as file:
        names = set(file.keys())
        for name in sorted(names):
            if name.endswith(SCALE) and name.removesuffix(SCALE) in names:
                continue
            scale = file.get_tensor(name + SCALE) if name + SCALE in names else None
            yield name, dequantise(name, file.get_tensor(name), scale)


def save_quantised(network: VGGT, path: Path) -> None:
    """Writes the network as int8 safetensors with its sizes."""
    state = {name: tensor.contiguous() for name, tensor in quantise(network).items()}
    save_file(state, path, metadata={"config": network.config.to_json()})
