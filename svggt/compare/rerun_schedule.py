"""When another run begins again: with every so many frames that a stream has."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from svggt.media.frames import Frame
from svggt.store.recording import Recording

MOST_ROUNDS = 20
"""Of one comparison: each begins from the first frame again."""


@dataclass(frozen=True)
class RerunSchedule:
    """The frames so far, as often as there are enough of them.

    Attributes:
        recording: a run that may go on meanwhile.
        expected: how many there will be at most.
        every: frames between two rounds; None: one round, of what is there.
        most: frames that are taken.
        wait: called while there are not enough, with the number that is waited for; may raise.
    """

    recording: Recording
    expected: int
    every: int | None
    most: int | None
    wait: Callable[[int], None]

    def __iter__(self) -> Iterator[list[Frame]]:
        taken: list[Frame] = []
        most = self.expected if self.most is None else min(self.most, self.expected)
        step = max(self.every or most, math.ceil(most / MOST_ROUNDS))
        while len(taken) < most:
            going = self.recording.running and self.every is not None  # asked before what is there
            there = min(len(self.recording.frames), most)
            wanted = min(len(taken) + step, most)
            if there < wanted and going:
                self.wait(wanted)
                continue
            new = range(len(taken), min(there, wanted))
            if not new:
                return
            taken += [self.recording.frames.frame(number) for number in new]
            yield list(taken)
            if self.every is None:
                return
