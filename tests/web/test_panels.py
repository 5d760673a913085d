"""What the page says of a run."""

from __future__ import annotations

import dataclasses

from svggt.session.progress import Progress, closed_loops
from svggt.web import panels
from tests.scene.frames import correction


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
