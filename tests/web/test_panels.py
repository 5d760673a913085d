"""What the page says of a run."""

from __future__ import annotations

import dataclasses

import httpx
import numpy as np

from svggt.prediction import MemoryMap
from svggt.session.progress import Progress, closed_loops
from svggt.web import panels, pictures
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


def test_cameras_are_provisional_until_the_run_ends() -> None:
    good = correction(9, (0, 0, 0))
    for state, provisional in (("running", True), ("finished", False), ("stopped", False)):
        said = panels.live(Progress(tracking=good, state=state))
        assert ("provisional until the run ends" in said) == provisional
    assert "provisional" not in panels.live(Progress(state="running"))  # the head's are not refined


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


def test_what_is_remembered_is_drawn_and_said() -> None:
    shares = np.array([[1, 1, 1], [0, 0.5, 0.25], [1, 1, 1]], np.float32)
    memory = MemoryMap(np.array([0, 40, 99]), shares, (1, 2), 4, 3_000_000)
    said = panels.live(
        Progress(memory=memory, memory_changes=((50, "merge 8"),), step_seconds=(0.1,) * 100),
        {"Frame 41": pictures.remembered(np.full((4, 8, 3), 200, np.uint8), memory.patches(1))},
    )
    assert said.count("<rect") == 3 and 'x="40.000"' in said and 'opacity="0.25"' in said
    assert "2 of 100 frames whole · 1 in part · 27 tokens · 3.0 MB" in said
    assert "memory changed at frame 51: merge 8" in said and "<line" in said
    assert "Frame 41" in said
    assert "remembered" not in panels.live(Progress())


def test_forgotten_patches_are_dark() -> None:
    shares = np.array([[1.0, 0.0], [0.5, 1.0]], np.float32)
    drawn = pictures.remembered(np.full((5, 7, 3), 200, np.uint8), shares)
    assert drawn.shape == (5, 7, 3) and drawn[0, 0, 0] == 200 == drawn[-1, -1, 0]
    assert drawn[0, -1, 0] < drawn[-1, 0, 0] < 200


def test_every_control_says_what_it_is(site) -> None:
    address, _ = site
    parts = httpx.get(f"{address}/config").json()["components"]
    kinds = ("checkbox", "checkboxgroup", "dropdown", "number", "radio", "slider", "textbox")
    shown = [part["props"] for part in parts if part["type"] in kinds]
    bare = [props for props in shown if props["visible"] is True and not props.get("label")]
    assert len(shown) > 10 and not bare
