"""Cache policies: what a stream keeps of its past.

A new one is a file here, a line of `_POLICIES`, and a name in `svggt.settings`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from svggt.model.memory import CachePolicy
from svggt.model.policies.full import FullMemory
from svggt.model.policies.window import WindowMemory
from svggt.settings import MemoryPolicy, Storage, StreamSettings

# A camera token is small but not nothing (262 kB a frame at 1B sizes, in the camera head's
# float32), so a bounded policy bounds it too. Exact below this many frames.
CAMERA_WINDOW = 256


def full(storage: Storage = "computed") -> CachePolicy:
    """Keeps every token of every frame (StreamVGGT).

    Args:
        storage: how the global layers' tokens are stored; the camera head's are few and stay as
            computed.
    """
    return CachePolicy("full", lambda: FullMemory(storage), FullMemory)


def window(frames: int, storage: Storage = "computed") -> CachePolicy:
    """Keeps frame 0, the anchor, and the last `frames` frames (STream3R).

    Args:
        frames: besides the anchor.
        storage: see `full`.

    Raises:
        ValueError: `frames` is less than 1.
    """
    if frames < 1:
        raise ValueError(f"a window of {frames} frames keeps nothing: choose 1 or more")
    return CachePolicy(
        f"window {frames}",
        lambda: WindowMemory(frames, storage),
        lambda: WindowMemory(CAMERA_WINDOW),
    )


def published_camera_memory(policy: CachePolicy) -> CachePolicy:
    """The same policy with the camera memory of the published streaming loop.

    All passes of the camera head share one memory per block and it keeps everything, as the
    published loop does. Published tables were produced with it; ours is exact by default.
    """
    return dataclasses.replace(
        policy,
        name=f"{policy.name}, published camera memory",
        camera_layer=FullMemory,
        shared_camera_passes=True,
    )


_POLICIES: dict[MemoryPolicy, Callable[[StreamSettings], CachePolicy]] = {
    "window": lambda settings: window(settings.window, settings.storage),
    "full": lambda settings: full(settings.storage),
}


def policy_of(settings: StreamSettings) -> CachePolicy:
    """The cache policy that settings mean.

    Raises:
        ValueError: the window is too small.
    """
    policy = _POLICIES[settings.memory](settings)
    return published_camera_memory(policy) if settings.published_camera_memory else policy
