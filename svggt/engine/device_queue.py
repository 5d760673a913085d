"""What computes on a device, one at a time: streams first, long passes in the gaps they leave."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.device_lock import DeviceLock
from svggt.engine.devices import all_threads, use_threads
from svggt.engine.peak_memory import PeakMemory
from svggt.engine.weight_cache import WeightCache

Result = TypeVar("Result")


@dataclass(frozen=True)
class Measured(Generic[Result]):
    """A result and what it cost.

    Attributes:
        result: what was computed.
        seconds: that it took, less what the device was given to others for.
        peak_bytes: the device's memory at its highest meanwhile, all included; None if unknown.
    """

    result: Result
    seconds: float
    peak_bytes: int | None


class DeviceQueue:
    """The turns on one device. Weights are there when a turn begins, and memory is measured."""

    def __init__(self) -> None:
        self.weights = WeightCache()
        self._lock, self._memory = DeviceLock(), PeakMemory()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="device")

    @property
    def gap_is_wanted(self) -> bool:
        """Whether something is computed in the gaps that streams leave, or waits for one."""
        return self._lock.gap_is_wanted

    def submit(self, model: LoadedModel, compute: Callable[[], Result]) -> Future[Measured[Result]]:
        """Computes on the device's thread when its turn comes, before any pass in the gaps."""

        def in_turn() -> Measured[Result]:
            with self._lock.foreground(), self._memory.peak(model.device.torch) as peak:
                self.weights.use(model)
                use_threads(model.num_threads)
                started = time.perf_counter()
                result = compute()
                seconds = time.perf_counter() - started
            return Measured(result, seconds, peak.num_bytes)

        return self._thread.submit(in_turn)

    def in_gaps(
        self,
        model: LoadedModel,
        compute: Callable[[Callable[[], None]], Result],
        check: Callable[[], None] = lambda: None,
    ) -> Measured[Result]:
        """Computes on the caller's thread, in the gaps that streams leave.

        Args:
            model: whose weights it takes.
            compute: given a function that it calls between two pieces, so that streams go first.
            check: called then, and while a turn is waited for; may raise to end it.
        """
        away = 0.0
        with (
            self._lock.background(check) as yield_device,
            self._memory.peak(model.device.torch) as peak,
        ):

            def between_pieces() -> None:
                nonlocal away
                check()
                left = time.perf_counter()
                if yield_device():
                    self.weights.use(model)  # who went first may have used others
                    away += time.perf_counter() - left

            self.weights.use(model)
            use_threads(all_threads())
            started = time.perf_counter()
            result = compute(between_pieces)
            seconds = time.perf_counter() - started - away
        return Measured(result, seconds, peak.num_bytes)

    def wait_for_gap(self, check: Callable[[], None]) -> None:
        """Waits until no stream computes, without taking a turn.

        Args:
            check: called at least once; may raise to end it.
        """
        check()
        self._lock.wait_for_gap(check)

    def shutdown(self) -> None:
        """Ends the device's thread when what was submitted is done."""
        self._thread.shutdown(wait=True)
