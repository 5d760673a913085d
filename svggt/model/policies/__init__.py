"""Cache policies: what a stream keeps of its past.

A new one is a file here, a line of `_MEMORIES`, and a name in `svggt.settings`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction

from svggt.model.memory import CachePolicy, GlobalMemory
from svggt.model.policies.attention import AttentionMemory
from svggt.model.policies.coverage import Coverage, CoverageMemory
from svggt.model.policies.diversity import DiversityMemory, LayerShares
from svggt.model.policies.full import FullMemory
from svggt.model.policies.keyframes import KeyframeMemory
from svggt.model.policies.merge import MergeMemory
from svggt.model.policies.residual import Anchors, ResidualMemory
from svggt.model.policies.trajectory import TrajectoryMemory
from svggt.model.policies.window import WindowMemory
from svggt.model.token_memory import Limits, TokenMemory
from svggt.settings import Budget, MemoryPolicy, Storage, StreamSettings

# A camera token is small but not nothing (262 kB a frame at 1B sizes, in the camera head's
# float32), so a bounded policy bounds it too. Exact below this many frames.
CAMERA_WINDOW = Limits(Budget(1 + 256, "frames"))


def full(storage: Storage = "computed") -> CachePolicy:
    """Keeps every token of every frame.

    Args:
        storage: how the global layers' tokens are stored; the camera head's are few and stay as
            computed.
    """
    return bounded("full", None, storage)


def window(frames: int, storage: Storage = "computed") -> CachePolicy:
    """Keeps frame 0, the anchor, and the last `frames` frames.

    Args:
        frames: besides the anchor.
        storage: see `full`.

    Raises:
        ValueError: `frames` is less than 1.
    """
    if frames < 1:
        raise ValueError(f"a window of {frames} frames keeps nothing: choose 1 or more")
    return bounded("window", Budget(1 + frames, "frames"), storage)


def bounded(
    kind: MemoryPolicy, budget: Budget | None, storage: Storage = "computed"
) -> CachePolicy:
    """Any policy by its name.

    Args:
        kind: its name.
        budget: of the global layers; None: unlimited, which equals `full`.
        storage: see `full`.
    """

    def global_memory(layers: int) -> GlobalMemory:
        share = _SHARES[budget.unit] if restarts and budget else Fraction(1)
        return _MEMORIES[kind](Limits(budget, layers, storage, share))

    unlimited, restarts = budget is None, kind == "blocks"
    return CachePolicy(
        kind if unlimited else f"{kind}, {budget}",
        global_memory,
        lambda: FullMemory(Limits()) if unlimited else WindowMemory(CAMERA_WINDOW),
        restarts=restarts,
    )


def published_camera_memory(policy: CachePolicy) -> CachePolicy:
    """The same policy with the camera memory of the published streaming loop.

    All passes of the camera head share one memory per block and it keeps everything, as the
    published loop does. Published tables were produced with it; ours is exact by default.
    """
    return dataclasses.replace(
        policy,
        name=f"{policy.name}, published camera memory",
        camera_layer=lambda: FullMemory(Limits()),
        shared_camera_passes=True,
    )


def policy_of(settings: StreamSettings) -> CachePolicy:
    """The cache policy that settings mean.

    Raises:
        ValueError: the budget is not one.
    """
    if settings.memory == "full":
        budget = None
    elif settings.budget:
        budget = Budget.parse(settings.budget)
    else:
        budget = Budget(1 + settings.window, "frames")
    policy = bounded(settings.memory, budget, settings.storage)
    return published_camera_memory(policy) if settings.published_camera_memory else policy


def _alike(memory: type[TokenMemory]) -> Callable[[Limits], GlobalMemory]:
    """Layers that know nothing of each other."""
    return lambda limits: GlobalMemory([memory(limits) for _ in range(limits.layers)])


def _diversity(limits: Limits) -> GlobalMemory:
    shares = LayerShares(limits.layers)
    return GlobalMemory([DiversityMemory(limits, n, shares) for n in range(limits.layers)])


def _residual(memory: type[ResidualMemory]) -> Callable[[Limits], GlobalMemory]:
    def made(limits: Limits) -> GlobalMemory:
        anchors = Anchors()
        layers = [memory(limits, anchors) for _ in range(limits.layers)]
        return GlobalMemory([*layers], anchors, scores_residual=True)

    return made


def _coverage(limits: Limits) -> GlobalMemory:
    coverage = Coverage()
    return GlobalMemory([CoverageMemory(limits, coverage) for _ in range(limits.layers)], coverage)


_MEMORIES: dict[MemoryPolicy, Callable[[Limits], GlobalMemory]] = {
    "window": _alike(WindowMemory),
    "full": _alike(FullMemory),
    "keyframes": _alike(KeyframeMemory),
    "diversity": _diversity,
    "residual": _residual(ResidualMemory),
    "attention": _alike(AttentionMemory),
    "merge": _residual(MergeMemory),
    "trajectory": _alike(TrajectoryMemory),
    "coverage": _coverage,
    "blocks": _alike(WindowMemory),  # which begins anew before it drops
}

# Of a budget that two blocks share, the second half as long as the first; memory is taken for both.
_SHARES = {"frames": Fraction(2, 3), "tokens": Fraction(2, 3), "bytes": Fraction(1, 2)}
