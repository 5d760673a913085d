"""What a browser says that was told where to look: a late answer is no move of its visitor."""

from __future__ import annotations

import numpy as np
import pytest

from svggt.scene import camera_sync
from svggt.scene.camera_sync import Follower
from svggt.scene.camera_view import CameraView


def look(x: float) -> CameraView:
    return CameraView(np.array([x, 0, 0]), np.array([x, 0, 2.0]), np.array([0, -1.0, 0]), 1.0)


def test_until_it_said_back_the_last_view_it_is_on_its_way() -> None:
    """Old views, wherever they came from, would turn back whoever goes on turning."""
    follower = Follower()
    for x in range(4):
        follower.tell(look(x))
    assert all(follower.hears(look(x)) for x in (-7, 1, 1, 2, 3))
    assert not follower.hears(look(2))  # it was there: this its visitor did


def test_a_move_by_hand_is_no_answer() -> None:
    follower = Follower()
    assert not follower.hears(look(0))
    follower.tell(look(0))
    assert follower.hears(look(0))
    turned = CameraView(np.zeros(3), np.array([2.0, 0, 0]), np.array([0, -1.0, 0]), 1.0)
    assert not follower.hears(look(0.1)) and not follower.hears(turned)


def test_a_new_browser_settles_after_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(camera_sync.time, "monotonic", lambda: now[0])
    follower = Follower()
    follower.tell(look(0), is_new=True)
    assert follower.hears(look(0)) and follower.hears(look(5))
    assert 0 < follower.seconds_left < 5
    now[0] += 5
    assert not follower.hears(look(5))


def test_who_never_answers_was_moved_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(camera_sync.time, "monotonic", lambda: now[0])
    follower = Follower()
    follower.tell(look(0))
    now[0] += follower.seconds_left + 1
    assert not follower.hears(look(5))
