"""How exactly the network reproduces recorded outputs, and its stream its own batch pass.

A fixture is a safetensors file with `weight/*`, `input/images` (B, S, 3, H, W),
`input/query_points` (B, N, 2), then any of `offline/*`, `causal/*` and
`published_streaming/pose_enc`; the sizes are JSON under the metadata key `config`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from svggt.model.config import ModelConfig
from svggt.model.memory import CachePolicy, Memory
from svggt.model.network import VGGT, NetworkOutput
from svggt.model.policies import full, published_camera_memory

BOUND = 1e-5
"""Largest relative error, float32 (ours; docs/conventions.md)."""

TRACKER_BOUND = 1e-8
"""The same for the tracker alone, float64."""


@dataclass(frozen=True)
class Fixture:
    """Weights, inputs and recorded outputs.

    Attributes:
        config: sizes.
        weights: state dict.
        images: (B, S, 3, H, W).
        query_points: (B, N, 2) pixels (x, y) of frame 0; None where nothing is tracked.
        recorded: output name ("offline/depth") -> tensor.
    """

    config: ModelConfig
    weights: dict[str, Tensor]
    images: Tensor
    query_points: Tensor | None
    recorded: dict[str, Tensor]

    @classmethod
    def load(cls, path: Path) -> Fixture:
        """Reads a fixture.

        Raises:
            ValueError: the file is not of this form.
        """
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # safe_open is no dict
        if "config" not in metadata or "input/images" not in tensors:
            raise ValueError(f"{path} is no parity fixture: it needs input/images and a config")
        weights = {n.removeprefix("weight/"): t for n, t in tensors.items() if n[:7] == "weight/"}
        recorded = {n: t for n, t in tensors.items() if not n.startswith(("weight/", "input/"))}
        return cls(
            config=ModelConfig.from_json(metadata["config"]),
            weights=weights,
            images=tensors["input/images"],
            query_points=tensors.get("input/query_points"),
            recorded=recorded,
        )

    def network(self, dtype: torch.dtype = torch.float32) -> VGGT:
        """The fixture's network, its weights loaded strictly."""
        network = VGGT(self.config)
        network.load_state_dict(self.weights, strict=True)
        return network.to(dtype).eval().requires_grad_(False)


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """||a - b|| / ||b|| over the whole tensor, computed in float64."""
    ours, theirs = ours.double(), theirs.double()
    return float((ours - theirs).norm() / theirs.norm())


def parity_errors(fixture: Fixture) -> dict[str, float]:
    """Relative error of every recorded output that the bounds hold for, by name."""
    network = fixture.network()
    ours: dict[str, Tensor] = {}
    for mode, causal in (("offline", False), ("causal", True)):
        output = network(fixture.images, causal=causal)
        ours |= {f"{mode}/{name}": value for name, value in _named(output).items()}
        if network.track_head is not None and fixture.query_points is not None:
            size = (fixture.images.shape[-2], fixture.images.shape[-1])
            features = network.track_head.feature_extractor(output.tokens, size)
            ours[f"{mode}/track_features"] = features
            ours |= _tracker_outputs(fixture, mode)
    streamed = stream_clip(network, fixture.images, published_camera_memory(full()))
    ours["published_streaming/pose_enc"] = streamed.pose_enc
    missing = set(fixture.recorded) - set(ours)
    if missing:
        raise ValueError(f"the fixture records outputs that are not known here: {sorted(missing)}")
    return {n: relative_error(ours[n], t) for n, t in sorted(fixture.recorded.items())}


def streaming_errors(network: VGGT, images: Tensor) -> dict[str, float]:
    """Relative error of the stream, frame by frame, against the causal batch pass."""
    batch = _named(network(images, causal=True))
    stream = _named(stream_clip(network, images, full()))
    return {name: relative_error(stream[name], batch[name]) for name in batch}


def stream_clip(network: VGGT, images: Tensor, policy: CachePolicy) -> NetworkOutput:
    """Steps through a clip (B, S, 3, H, W) and joins the outputs to those of a clip."""
    memory = Memory(network.config, policy)
    steps = []
    for number in range(images.shape[1]):
        steps.append(network.step(images[:, number : number + 1], memory))
        memory.commit()
    return NetworkOutput(
        tokens={k: torch.cat([s.tokens[k] for s in steps], dim=1) for k in steps[0].tokens},
        pose_enc_passes=[
            torch.cat(frames, dim=1)
            for frames in zip(*(s.pose_enc_passes for s in steps), strict=True)
        ],
        depth=torch.cat([s.depth for s in steps], dim=1),
        depth_conf=torch.cat([s.depth_conf for s in steps], dim=1),
        world_points=torch.cat([_present(s.world_points) for s in steps], dim=1),
        world_points_conf=torch.cat([_present(s.world_points_conf) for s in steps], dim=1),
    )


def bound_of(name: str) -> float:
    """The bound that an output is held to."""
    return TRACKER_BOUND if _is_tracker(name) else BOUND


def _is_tracker(name: str) -> bool:
    return "/track_" in name and not name.endswith("track_features")


def _tracker_outputs(fixture: Fixture, mode: str) -> dict[str, Tensor]:
    """The tracker alone, in float64 from the recorded features (rounding grows per iteration)."""
    features = fixture.recorded.get(f"{mode}/track_features")
    if features is None or fixture.query_points is None:
        return {}
    head = fixture.network(torch.float64).track_head
    assert head is not None
    tracks = head.tracker(features.double(), fixture.query_points.double())
    ours = {f"{mode}/track_iter{i}": coords for i, coords in enumerate(tracks.iterations)}
    ours[f"{mode}/track_visibility"] = tracks.visibility
    ours[f"{mode}/track_confidence"] = tracks.confidence
    return ours


def _named(output: NetworkOutput) -> dict[str, Tensor]:
    """Outputs by the fixture's names."""
    named = {f"tokens_layer{layer}": tokens for layer, tokens in output.tokens.items()}
    named |= {f"pose_enc_iter{i}": pose for i, pose in enumerate(output.pose_enc_passes)}
    named["depth"], named["depth_conf"] = output.depth, output.depth_conf
    named["world_points"] = _present(output.world_points)
    named["world_points_conf"] = _present(output.world_points_conf)
    return named


def _present(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor
