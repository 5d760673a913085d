"""What the page says of a run."""

from __future__ import annotations

from svggt.session.progress import Progress, closed_loops
from svggt.web import panels
from tests.scene.frames import correction


def test_a_loop_that_was_closed_is_named() -> None:
    told = [correction(7, (0, 0, 0)), correction(90, (0, 0, 0), closes=3)]
    progress = Progress(tracking=told[0], loops=closed_loops(told))
    assert "loop closed: frame 90 sees frame 3 again" in panels.live(progress)
    assert "loop closed" not in panels.live(Progress(tracking=told[0]))
