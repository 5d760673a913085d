"""What a browser says that was told where to look: a late answer is no move of its visitor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from svggt.scene import camera_sync
from svggt.scene.camera_sync import Follower
from svggt.scene.camera_view import CameraView


def look(x: float) -> CameraView:
    return CameraView(np.array([x, 0, 0]), np.array([x, 0, 2.0]), np.array([0, -1.0, 0]), 1.0)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets seconds pass."""
    now = [100.0]
    monkeypatch.setattr(camera_sync.time, "monotonic", lambda: now[0])

    def pass_by(seconds: float) -> None:
        now[0] += seconds

    return pass_by


@pytest.fixture
def follower(later: Callable[[float], None]) -> Follower:
    """One that has been there for long."""
    made = Follower()
    later(60)
    return made


def test_until_it_said_back_the_last_view_it_is_on_its_way(follower: Follower) -> None:
    """Old views, wherever they came from, would turn back whoever goes on turning."""
    for x in range(4):
        follower.tell(look(x))
    assert all(follower.hears(look(x)) for x in (-7, 1, 1, 2, 3))
    assert not follower.hears(look(2))  # it was there: this its visitor did


def test_small_steps_are_answers_too(follower: Follower) -> None:
    steps = (0, 0.005, 0.01)
    for x in steps:
        follower.tell(look(x))
    assert all(follower.hears(look(x)) for x in steps)


def test_a_move_by_hand_is_no_answer(follower: Follower) -> None:
    assert not follower.hears(look(0))
    follower.tell(look(0))
    assert follower.hears(look(0))
    turned = CameraView(np.zeros(3), np.array([2.0, 0, 0]), np.array([0, -1.0, 0]), 1.0)
    assert not follower.hears(look(0.1)) and not follower.hears(turned)


def test_who_is_there_already_is_heard_at_once(follower: Follower) -> None:
    follower.tell(look(0), shown=True)
    assert follower.hears(look(0.01)) and not follower.hears(look(1)) and not follower.is_late


def test_a_new_browser_settles_after_its_answer(later: Callable[[float], None]) -> None:
    follower = Follower()
    follower.tell(look(0))
    assert follower.hears(look(0)) and follower.hears(look(5)) and follower.hears(look(0))
    assert 0 < follower.seconds_left < 5
    later(5)
    assert not follower.hears(look(5))


def test_who_does_not_answer_is_told_again_before_it_is_believed(
    follower: Follower, later: Callable[[float], None]
) -> None:
    follower.tell(look(0))
    later(follower.seconds_left + 1)
    assert not follower.hears(look(5)) and follower.is_late
    follower.told_again = True
    follower.tell(look(0))
    assert follower.hears(look(5))
    later(follower.seconds_left + 1)
    assert not follower.hears(look(5)) and not follower.is_late
