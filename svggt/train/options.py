"""How weights are trained, and the three ways that the command line offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrainOptions:
    """How weights are trained. A weight of 0 leaves a loss out.

    Attributes:
        seed: from which clips and their order are drawn.
        lr: at its highest.
        warmup: steps until then, counted from where the optimiser began.
        total: steps until it has fallen to a fiftieth, those that weights bring counted; None: it
            stays.
        causal: share of steps in which a frame sees only itself and earlier ones.
        shuffled: share of steps whose clips come in any order.
        supervised_weight: weight of all losses against the truth.
        camera: weight of the camera loss.
        relative: weight of the motion between every two frames.
        beta: below it an error of cameras counts with its square: small ones hardly.
        dense: weight of depth and points.
        tracks: weight of followed points, where the network has a track head.
        matching: weight of matching supervision.
        matching_layers: global blocks that it looks at.
        displacement: weight of what patches say of where their points were in the first frame.
        soft_targets: matching asks for places between patches, not for the nearest patch.
        distill_weight: weight of what a teacher says (equation 7).
        frozen: encoder, camera token and register tokens stay, as the paper's student keeps them.
        muon: for the matrices of blocks; else AdamW for all.
        ema: decay of the averaged weights, once there are many steps.
        accumulate: batches whose gradients make one step.
        bf16: aggregator and dense heads compute in bfloat16.
        checkpointing: blocks are computed twice, and remembered not at all.
        compile: parts to compile: "blocks" (encoder and frame blocks), "rendering" (what rays
            meet).
    """

    seed: int = 0
    lr: float = 3e-4
    warmup: int = 100
    total: int | None = None
    causal: float = 0.5
    shuffled: float = 0.5
    supervised_weight: float = 1.0
    camera: float = 5.0
    relative: float = 1.0
    beta: float = 0.01
    dense: float = 1.0
    tracks: float = 0.05
    matching: float = 1.0
    matching_layers: tuple[int, ...] = (1, 3)
    displacement: float = 1.0
    soft_targets: bool = True
    distill_weight: float = 0.0
    frozen: bool = False
    muon: bool = True
    ema: float = 0.999
    accumulate: int = 1
    bf16: bool = False
    checkpointing: bool = False
    compile: tuple[Literal["blocks", "rendering"], ...] = ()


WAYS = {
    "teacher": TrainOptions(causal=0.0),
    "student": TrainOptions(
        causal=1.0, shuffled=0.0, supervised_weight=0.0, distill_weight=1.0, frozen=True
    ),
    "mixed": TrainOptions(),
}
"""Offline VGGT; StreamVGGT as the paper distils it; one set of weights for both."""

BESIDE_TRUTH = 0.05
"""Weight of equation 7 with which it is as large as the losses against the truth."""
