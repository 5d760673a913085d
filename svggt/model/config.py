"""Sizes of the network, and the presets that the project knows by name.

Knows nothing of weights: where they come from is `svggt.engine.checkpoints`.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class TrackConfig:
    """Sizes of the track head. The defaults are those of the published checkpoints."""

    stride: int = 2  # image pixels per feature pixel, for the query points
    corr_levels: int = 7
    corr_radius: int = 4
    latent_dim: int = 128
    hidden_size: int = 384
    depth: int = 6
    iters: int = 4
    num_heads: int = 8
    num_virtual_tracks: int = 64
    down_ratio: int = 2  # image resolution over the feature map's
    max_scale: int = 518  # divides the flow at the tracker's input


@dataclass(frozen=True)
class ModelConfig:
    """Every size of the network. The defaults are those of VGGT-1B and StreamVGGT-1B."""

    img_size: int = 518  # side of the learned position grid in pixels, not of the input
    patch_size: int = 14
    embed_dim: int = 1024
    encoder_depth: int = 24
    encoder_heads: int = 16
    depth: int = 24  # pairs of a frame block and a global block
    num_heads: int = 16
    num_register_tokens: int = 4
    camera_trunk_depth: int = 4
    camera_heads: int = 16
    camera_iterations: int = 4
    dpt_features: int = 256
    dpt_out_channels: tuple[int, ...] = (256, 512, 1024, 1024)
    dpt_layers: tuple[int, ...] = (4, 11, 17, 23)
    track: TrackConfig | None = TrackConfig()
    rope_frequency: float = 100.0

    @property
    def num_special_tokens(self) -> int:
        """Camera token and register tokens of one frame."""
        return 1 + self.num_register_tokens

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Reads the sizes that a weight file or parity fixture carries in its metadata.

        Raises:
            ValueError: a field is unknown to this version.
        """
        fields = json.loads(text)
        unknown = set(fields) - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise ValueError(f"unknown model sizes {sorted(unknown)}: update svggt, or the file")
        for name in ("dpt_out_channels", "dpt_layers"):
            if name in fields:
                fields[name] = tuple(fields[name])
        if fields.get("track") is not None:
            fields["track"] = TrackConfig(**fields["track"])
        return cls(**fields)

    def to_json(self) -> str:
        """The inverse of `from_json`."""
        return json.dumps(dataclasses.asdict(self))


@dataclass(frozen=True)
class Preset:
    """A network by name: its sizes, its way of attending, and the width it was made for.

    Attributes:
        config: sizes.
        causal: True if a frame sees only itself and earlier ones (StreamVGGT).
        input_width: width in pixels that pictures are resized to; a multiple of the patch.
        cameras_hold: whether frames line up over a whole clip (docs/model_card.md).
    """

    config: ModelConfig
    causal: bool
    input_width: int
    cameras_hold: bool


_EMBEDDED = ModelConfig(
    img_size=168,
    embed_dim=256,
    encoder_depth=6,
    encoder_heads=4,
    depth=6,
    num_heads=4,
    camera_trunk_depth=2,
    camera_heads=8,
    dpt_features=64,
    dpt_out_channels=(64, 96, 192, 256),
    dpt_layers=(1, 2, 4, 5),
    track=None,
)

PRESETS: dict[str, Preset] = {
    "streamvggt-1b": Preset(ModelConfig(), causal=True, input_width=518, cameras_hold=True),
    "vggt-1b": Preset(ModelConfig(), causal=False, input_width=518, cameras_hold=True),
    "embedded": Preset(_EMBEDDED, causal=True, input_width=224, cameras_hold=False),
    "embedded-offline": Preset(_EMBEDDED, causal=False, input_width=224, cameras_hold=False),
}
