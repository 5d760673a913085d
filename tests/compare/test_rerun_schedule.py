"""When another run begins again."""

from __future__ import annotations

from svggt.compare.rerun_schedule import MOST_ROUNDS, RerunSchedule
from tests.conftest import make_frames


class Growing:
    """A recording, and its archive, that has two more frames at every look."""

    def __init__(self, there: int, most: int) -> None:
        self.there, self.most = there, most
        self._frames = make_frames(most)
        self.frames = self

    @property
    def running(self) -> bool:
        return self.there < self.most

    def __len__(self) -> int:
        self.there = min(self.there + 2, self.most)
        return self.there

    def frame(self, number: int):
        assert number < self.there
        return self._frames[number]


def rounds(growing: Growing, every: int | None, most: int | None = None) -> list[int]:
    made = RerunSchedule(growing, growing.most, every, most, lambda frames: None)  # pyright: ignore
    return [len(frames) for frames in made]


def test_once_is_once_while_the_stream_goes_on() -> None:
    assert rounds(Growing(5, 40), None) == [7]


def test_every_so_many_and_at_last_all() -> None:
    assert rounds(Growing(0, 20), 8) == [8, 16, 20]
    assert rounds(Growing(18, 20), 8) == [8, 16, 20]  # those that were there already too
    assert rounds(Growing(0, 20), 8, most=10) == [8, 10]


def test_they_are_bounded() -> None:
    found = rounds(Growing(0, 100), 1)
    assert len(found) == MOST_ROUNDS and found[-1] == 100


def test_a_stream_that_stops_early_has_its_last_round() -> None:
    growing = Growing(0, 20)
    made = RerunSchedule(growing, 20, 8, None, lambda frames: None)  # pyright: ignore
    growing.most = 11
    assert [len(frames) for frames in made] == [8, 11]
