"""Frames are chosen by motion: near enough to be tracked, and no more than that."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from svggt.files import ASSETS
from svggt.media.clips import open_clip
from svggt.media.frame_selection import LOOK_WIDTH, AtRate, ByMotion
from svggt.media.frames import InputLimits

RATE = 30.0


def taken(selection, shifts) -> list[int]:
    """Numbers of the frames taken of a texture that stands `shifts` pixels to the left."""
    rng = np.random.default_rng(0)
    rough = rng.random((20, 200))
    smooth = Image.fromarray((255 * rough).astype(np.uint8)).resize((1600, 160))
    texture = np.asarray(smooth)

    def look(shift: float):
        return lambda: np.ascontiguousarray(texture[:, int(shift) : int(shift) + LOOK_WIDTH])

    return [n for n, shift in enumerate(shifts) if selection.takes(n / RATE, look(shift))]


def test_a_still_picture_is_taken_once_a_second() -> None:
    assert taken(ByMotion(), [5] * 91) == [0, 30, 60, 90]


@pytest.mark.parametrize(("length_s", "every"), [(3.0, 3), (15.0, 15), (90.0, 30)])
def test_a_short_clip_that_hardly_moves_gives_thirty_frames(length_s: float, every: int) -> None:
    assert taken(ByMotion(length_s), [5] * 91) == list(range(0, 91, every))


def test_a_pan_is_taken_every_twentieth_of_the_width() -> None:
    """2 pixels a frame, looked at every third frame: 5 % of 240 is passed after 6 or 9."""
    steps = np.diff(taken(ByMotion(), [2 * n for n in range(90)]))
    assert len(steps) > 5 and set(steps) <= {6, 9}


def test_nothing_in_common_is_taken_at_once() -> None:
    leaps = [0] * 10 + [500] * 10
    assert taken(ByMotion(), leaps)[1] in (10, 11, 12)


def test_no_more_than_ten_a_second() -> None:
    assert len(taken(ByMotion(), [25 * (n % 50) for n in range(90)])) <= 31


def test_a_rate_keeps_its_pace() -> None:
    assert taken(AtRate(10.0), [0] * 12) == [0, 3, 6, 9]


@pytest.mark.parametrize("name", ["office", "drive", "alley"])
def test_clips_are_chosen_by_motion(name: str) -> None:
    limits, notes = InputLimits(max_frames=500), list[str]()
    clip = open_clip([ASSETS / f"clips/{name}.mp4"], 28, None, limits)
    frames = list(clip.frames(note=notes.append))
    assert f"{len(frames)} of " in notes[0] and "by motion" in notes[0]
    assert clip.length_s is not None and len(frames) >= min(30, 9 * clip.length_s)
    times = np.array([frame.time_s for frame in frames])
    assert [frame.number for frame in frames] == list(range(len(frames)))
    assert np.diff(times).min() > 0.09 and np.diff(times).max() < 1.2
