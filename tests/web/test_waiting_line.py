"""A line of visitors: in the order they came, and nobody waits for one who left."""

from __future__ import annotations

from svggt.web.run_request import WaitingLine


def test_the_first_go_and_the_others_move_up() -> None:
    line = WaitingLine(2)
    with line.join() as first, line.join() as second:
        third_place = line.join()
        with third_place as third, line.join() as fourth:
            assert [each() for each in (first, second, third, fourth)] == [0, 0, 1, 2]
        with line.join() as fifth:
            assert fifth() == 1
    with line.join() as alone:
        assert alone() == 0


def test_who_leaves_makes_room() -> None:
    line = WaitingLine(1)
    leaving = line.join()
    leaving.__enter__()
    with line.join() as waiting:
        assert waiting() == 1
        leaving.__exit__(None, None, None)
        assert waiting() == 0
