"""What a server, or a benchmark, holds of the machine."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Footprint:
    """What the server and its children hold.

    Attributes:
        uss_mb: memory that is theirs alone (USS), all processes.
        descriptors: of the server.
        threads: of the server.
        processes: of the server and its children, megabytes each, by what they run.
    """

    uss_mb: float
    descriptors: int
    threads: int
    processes: dict[str, list[float]]

    @classmethod
    def of(cls, server: psutil.Process) -> Footprint:
        family = [server, *server.children(recursive=True)]
        held: dict[str, list[float]] = {}
        for each in family:
            with suppress(psutil.NoSuchProcess):  # it ended while we looked
                name = next((word for word in each.cmdline() if "svggt" in word), each.name())
                held.setdefault(name, []).append(each.memory_full_info().uss / 1e6)
        uss_mb = sum(map(sum, held.values()))
        return cls(uss_mb, server.num_fds(), server.num_threads(), held)
