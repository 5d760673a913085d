"""What the page says of a run."""

from __future__ import annotations

import dataclasses

from svggt.session.progress import Progress, closed_loops
from svggt.web import panels
from tests.scene.frames import correction, prediction


def test_a_loop_that_was_closed_is_named() -> None:
    told = [correction(7, (0, 0, 0)), correction(90, (0, 0, 0), closes=3)]
    progress = Progress(tracking=told[0], loops=closed_loops(told))
    assert "loop closed: frame 90 sees frame 3 again" in panels.live(progress)
    assert "loop closed" not in panels.live(Progress(tracking=told[0]))


def test_a_picture_that_moves_otherwise_is_told_with_a_remedy() -> None:
    good = correction(7, (0, 0, 0))
    carried = dataclasses.replace(good, status="weak", agreement=0.31)
    few = dataclasses.replace(good, status="weak", inlier_share=0.3)
    assert "31% of the picture · something moves in front" in panels.live(
        Progress(tracking=carried)
    )
    assert "move back" in panels.live(Progress(tracking=few))
    assert "moves in front" not in panels.live(Progress(tracking=good))


def test_how_far_a_run_is_is_told_also_where_nobody_knows_how_many_frames_come() -> None:
    known = Progress(state="running", message="", total=8, step_seconds=(0.1, 0.1))
    assert "Frame 2 of 8" in panels.status(known) and 'value="0.250"' in panels.status(known)
    by_time = Progress(
        state="running",
        message="",
        length_s=10.0,
        latest=prediction(4),  # a frame a second
        step_seconds=(0.1,) * 5,
    )
    said = panels.status(by_time)
    assert "Frame 5, 40 % of the clip" in said and 'value="0.400"' in said
    assert "<progress" not in panels.status(Progress(state="running", step_seconds=(0.1,)))
    assert "<progress" not in panels.status(dataclasses.replace(by_time, state="finished"))
