"""How streams are run and sessions kept, as plain values: the command line, page and API."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

MemoryPolicy = Literal[
    "window",
    "full",
    "keyframes",
    "coverage",
    "diversity",
    "attention",
    "residual",
    "merge",
    "trajectory",
    "blocks",
]
"""What a stream remembers: a cache policy of `svggt.model.policies`."""

MEMORY_TITLES: dict[MemoryPolicy, str] = {
    "window": "the first frame and the last ones",
    "full": "all frames",
    "keyframes": "frames that differ from each other",
    "coverage": "frames that see what no other does",
    "diversity": "tokens that differ from the others",
    "attention": "tokens that got most attention",
    "residual": "tokens that the network worked on",
    "merge": "the same, and the best of the rest merged in",
    "trajectory": "first and last frames, five tokens of all others",
    "blocks": "the last frames, beginning anew every so often; costs twice the time",
}
"""What each of them keeps, for people."""

Storage = Literal["computed", "float32", "float16", "bfloat16", "int8", "int4", "host"]
"""Of the cached tokens; see `svggt.model.storage`."""

Precision = Literal["auto", "float32", "bfloat16", "float16"]
"""Numbers of the backbone; auto suits the device."""

AUTO = "auto"
"""Weights that are chosen for whoever names none."""

MAX_WINDOW = 64
"""Frames that visitors may have remembered; a window holds one at least."""


class BudgetError(ValueError):
    """A memory that cannot be had, with the remedy."""


BudgetUnit = Literal["frames", "tokens", "bytes"]

_SIZES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_LEAST_FRAMES = 2  # the first and the newest
_WRITTEN = re.compile(
    r"(\d{1,12}(?:\.\d{1,6})?) ?([kmg]?) ?(frames?|tokens?|b|bytes?)", re.IGNORECASE
)
MAX_BUDGET_TEXT = 40
"""Characters of a budget as people write it."""


@dataclass(frozen=True)
class Budget:
    """What all global layers of a stream hold together after a step, frame 0 included.

    Attributes:
        amount: at least that of two frames, the first and the newest.
        unit: of frames and tokens what is kept counts; of bytes what is allocated, which has room
            for one more frame.
    """

    amount: int
    unit: BudgetUnit

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Reads "9 frames", "20k tokens" or "500 MB".

        Raises:
            BudgetError: it is none of these.
        """
        found = _WRITTEN.fullmatch(text.strip()) if len(text) <= MAX_BUDGET_TEXT else None
        if found is None:
            given = text[:MAX_BUDGET_TEXT]
            raise BudgetError(f"A budget of {given!r}: write '9 frames', '20k tokens' or '500 MB'")
        number, size, unit = found.groups()
        amount = round(float(number) * _SIZES[size.lower()])
        units: dict[str, BudgetUnit] = {"f": "frames", "t": "tokens", "b": "bytes"}
        budget = cls(amount, units[unit[0].lower()])
        if budget.unit == "frames" and amount < _LEAST_FRAMES:
            raise budget.too_small(_LEAST_FRAMES)
        return budget

    def __str__(self) -> str:
        if self.unit == "bytes":
            return f"{self.amount / 1e6:.10g} MB"
        return f"{self.amount} {self.unit.removesuffix('s') if self.amount == 1 else self.unit}"

    def tokens(
        self,
        tokens_per_frame: int,
        layers: int,
        token_bytes: int,
        fixed_bytes: int = 0,
        share: Fraction = Fraction(1),
    ) -> int:
        """Tokens that one layer may keep after a step.

        Args:
            tokens_per_frame: P.
            layers: global layers that share the budget.
            token_bytes: of one token in one layer, keys, values and facts.
            fixed_bytes: of a layer, beside its tokens.
            share: of the budget that the layers have.

        Raises:
            BudgetError: it is less than two frames.
        """
        amount = int(self.amount * share)
        kept = {
            "frames": amount * tokens_per_frame,
            "tokens": amount // layers,
            "bytes": (amount // layers - fixed_bytes) // token_bytes - tokens_per_frame,
        }[self.unit]
        if kept < _LEAST_FRAMES * tokens_per_frame:
            least = _LEAST_FRAMES * tokens_per_frame * layers
            allocated = (least + tokens_per_frame * layers) * token_bytes + layers * fixed_bytes
            needed = {
                "frames": _LEAST_FRAMES,
                "tokens": least,
                "bytes": -(-allocated // 1000) * 1000,
            }
            raise self.too_small(math.ceil(needed[self.unit] / share))
        return kept

    def too_small(self, least: int) -> BudgetError:
        """Says that it is, and what is enough."""
        return BudgetError(
            f"A memory of {self} does not hold the first and the newest frame:"
            f" choose {Budget(least, self.unit)} or more"
        )


@dataclass(frozen=True)
class StreamSettings:
    """How a stream is run. These lines are the command line's help and the page's hints.

    Attributes:
        model: weights.
        memory: what is kept of the past: the first frame and the last ones, all, or a choice.
        window: frames remembered besides the first.
        budget: instead of the window, as "20k tokens" or "500 MB" of all layers; empty: the window.
        storage: how the memory's tokens are stored; fewer bits, less of it.
        published_camera_memory: as in the published tables.
        points: run the point head too, which costs time.
        refine: refine the cameras by tracking, beside what the camera head says.
        field_of_view: degrees across the picture where it is known; 0: as EXIF says, or found.
    """

    model: str = AUTO
    memory: MemoryPolicy = "window"
    window: int = 8
    budget: str = ""
    storage: Storage = "computed"
    published_camera_memory: bool = False
    points: bool = False
    refine: bool = False
    field_of_view: float = 0.0

    def __post_init__(self) -> None:
        """Checks the budget.

        Raises:
            BudgetError: it is not written as one.
        """
        if self.budget:
            Budget.parse(self.budget)

    @property
    def memory_title(self) -> str:
        """The memory, for people."""
        if self.memory == "full":
            parts = ["all frames"]
        elif self.budget:
            parts = [f"{self.memory}, {Budget.parse(self.budget)}"]
        else:
            parts = [f"{self.memory} {self.window}"]
        if self.storage != "computed":
            parts.append(self.storage)
        if self.published_camera_memory:
            parts.append("published camera memory")
        return ", ".join(parts)

    def with_memory_of(self, other: StreamSettings) -> StreamSettings:
        """The same with the memory, window, budget and storage of others."""
        return replace(
            self,
            memory=other.memory,
            window=other.window,
            budget=other.budget,
            storage=other.storage,
        )

    def within_limits(self) -> StreamSettings:
        """The same with what a visitor may ask for."""
        return replace(self, window=min(MAX_WINDOW, max(1, self.window)))


@dataclass(frozen=True)
class SessionLimits:
    """How many sessions are in memory, and how long they stay there.

    Attributes:
        max_sessions: in memory at once.
        max_per_address: in memory at once for one visitor's address.
        idle_seconds: until a session leaves memory that nobody looks at and that does not run.
        max_seconds: until any session does.
    """

    max_sessions: int = 32
    max_per_address: int = 6
    idle_seconds: float = 600.0
    max_seconds: float = 7200.0
