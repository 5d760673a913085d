"""What a comparison found: both sides, how far they agree, and how far each is from the truth."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:  # it brings torch with it
    from svggt.engine.checkpoints import LoadedModel

from svggt.compare.agreement import Agreement, Seen, agreement_of, similarity_of, world_of
from svggt.compare.run_config import FILE, Latency, RunConfig
from svggt.data.truth import Truth
from svggt.files import atomic_write
from svggt.geometry import Similarity, align_sim3
from svggt.store.posed_frames import PosedFrames

log = logging.getLogger(__name__)

Paths = dict[str, tuple[tuple[float, float, float], ...]]

_FEWEST = 3  # positions that a similarity is of


@dataclass(frozen=True)
class Weights:
    """What a run was computed by.

    Attributes:
        note: what the weights are, for people.
        sha256: the weights' digest; see `LoadedModel.sha256`.
        device: that they ran on.
    """

    note: str
    sha256: str
    device: str

    @classmethod
    def of(cls, model: LoadedModel) -> Weights:
        """Of a loaded model."""
        return cls(model.note, model.sha256, model.device.name)


@dataclass(frozen=True)
class RunResult:
    """One run, done.

    Attributes:
        way: how.
        weights: by what.
        latencies: what the newest frame cost, by its number.
        accuracy: against the truth; None where the clip has none.
    """

    way: RunConfig
    weights: Weights
    latencies: tuple[Latency, ...]
    accuracy: Agreement | None = None

    @property
    def peak_bytes(self) -> int | None:
        """Of the device at its highest; None if it was never measured."""
        return max((each.peak_bytes for each in self.latencies if each.peak_bytes), default=None)


@dataclass(frozen=True)
class ComparisonResult:
    """A comparison over the first frames of a clip.

    Attributes:
        frames: how many.
        a: one side.
        b: the other one, which stands in for the truth in `agreement`.
        agreement: how far A and B agree.
        paths: positions of the cameras of A, B and the truth, by these names, in A's world: each
            brought there by the Sim(3) that fits its positions best.
    """

    frames: int
    a: RunResult
    b: RunResult
    agreement: Agreement
    paths: Paths = field(default_factory=dict)

    @property
    def sides(self) -> dict[str, RunResult]:
        """By name."""
        return {"A": self.a, "B": self.b}

    @property
    def shares_weights(self) -> bool:
        """Whether both sides are of one set of weights."""
        return self.a.weights.sha256 == self.b.weights.sha256

    def write(self, folder: Path) -> None:
        """Keeps it as a file of the folder."""
        with atomic_write(folder / FILE) as path:
            path.write_bytes(_OUTCOME.dump_json(self, indent=2))

    @classmethod
    def read(cls, folder: Path) -> ComparisonResult | None:
        """What was kept; None if there is nothing, or it is damaged or of another version."""
        try:
            return _OUTCOME.validate_json((folder / FILE).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError):
            log.exception("the comparison in %s cannot be read", folder)
            return None


_OUTCOME = TypeAdapter(ComparisonResult)


@dataclass(frozen=True)
class ComparisonMetrics:
    """How two runs lie to each other.

    Attributes:
        agreement: how far A and B agree.
        accuracies: A's and B's against the truth; None where there is none.
        to_a: brings B's world to A's.
        streamed: A's latencies, as its predictions have them; of a stream.
        paths: see `ComparisonResult`.
    """

    agreement: Agreement
    accuracies: tuple[Agreement | None, Agreement | None]
    to_a: Similarity
    streamed: tuple[Latency, ...]
    paths: Paths


def compare(a: PosedFrames, b: PosedFrames, truth: Truth | None) -> ComparisonMetrics:
    """Compares two runs of the same frames, which are read once.

    Raises:
        ValueError: there is no frame in both.
    """
    seen: list[tuple[Seen, Seen]] = []
    true: list[Seen | None] = []
    streamed: list[Latency] = []
    total = 0.0
    for one, other in zip(a, b, strict=True):
        seen.append((Seen.of(one), Seen.of(other)))
        said = one.prediction
        total += said.seconds
        streamed.append(Latency(len(seen), said.seconds, total, said.memory_bytes, said.peak_bytes))
        true.append(None if truth is None else Seen.true(truth, said.time_s, said.depth.shape))
    return ComparisonMetrics(
        agreement_of(seen),
        (_accuracy((s[0] for s in seen), true), _accuracy((s[1] for s in seen), true)),
        _to_a(seen),
        tuple(streamed),
        _paths(seen, true),
    )


def brings_together(a: PosedFrames, b: PosedFrames) -> Similarity:
    """What brings B's world to A's, where nothing else of a comparison is wanted."""
    return _to_a([(Seen.of(one), Seen.of(other)) for one, other in zip(a, b, strict=True)])


def _to_a(seen: Sequence[tuple[Seen, Seen]]) -> Similarity:
    points_a, points_b = (world_of(pair[i] for pair in seen) for i in (0, 1))
    return similarity_of(points_b, points_a)


def _paths(seen: Sequence[tuple[Seen, Seen]], true: list[Seen | None]) -> Paths:
    """Positions in A's world, of B and the truth by the Sim(3) that fits positions best."""
    a = np.array([one.world_from_cam[:, 3] for one, _ in seen])
    others: dict[str, Sequence[Seen | None]] = {"B": [other for _, other in seen], "truth": true}
    paths: dict[str, NDArray[np.float64]] = {"A": a}
    for name, side in others.items():
        path = {n: each.world_from_cam[:, 3] for n, each in enumerate(side) if each is not None}
        if len(path) >= _FEWEST:
            positions = np.array(list(path.values()))
            paths[name] = Similarity(*align_sim3(positions, a[list(path)])).points(positions)
    return {name: tuple(map(tuple, path.tolist())) for name, path in paths.items()}


def _accuracy(seen: Iterable[Seen], true: list[Seen | None]) -> Agreement | None:
    pairs = [(one, other) for one, other in zip(seen, true, strict=True) if other is not None]
    if not any((other.depth > 0).any() for _, other in pairs):
        return None
    return agreement_of(pairs)
