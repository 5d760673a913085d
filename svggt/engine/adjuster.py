"""All cameras of a run at once, in a process of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from svggt.errors import Cancelled
from svggt.refine.correction import Correction
from svggt.refine.refiner import Refiner
from svggt.refine.solver import ProcessSolver, SolverProcess

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2  # between two looks whether anybody waits for it


class Adjuster:
    """Adjusts one run's cameras at a time."""

    def __init__(self) -> None:
        self._one = threading.Lock()

    def adjust(self, refiner: Refiner, on_share: Callable[[float], None]) -> list[Correction]:
        """In a process that ends with it; none where it fails; see `Refiner.adjust`.

        Args:
            refiner: whose cameras.
            on_share: told how much is done, 0 to 1; what it raises ends it, and nothing moves.
        """
        while not self._one.acquire(timeout=_LOOK_SECONDS):
            on_share(0.0)
        try:
            with SolverProcess() as process:
                return refiner.adjust(ProcessSolver(process), on_share)
        except Cancelled:
            raise
        except Exception:  # a library's own: cameras stay as they were
            log.exception("the adjustment of all cameras failed")
            return []
        finally:
            self._one.release()
