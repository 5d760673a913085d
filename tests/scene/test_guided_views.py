"""Who is taken along and who is not, told from what a browser says, late and in parts."""

from __future__ import annotations

import contextlib
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import viser

from svggt.scene import guided_views
from svggt.scene.camera_view import CameraView
from svggt.scene.guided_views import GuidedViews
from tests.conftest import wait_for

NEAR, FAR, ASIDE = 0.0, 8.0, -5.0


def view(x: float) -> CameraView:
    """From x, looking ahead."""
    up = np.array([0.0, -1.0, 0.0])
    return CameraView(np.array([x, 0.0, 0.0]), np.array([x, 0.0, 4.0]), up, 1.0)


class Browser:
    """viser's own camera of a browser, whose answers come when a test says so."""

    def __init__(self) -> None:
        self.client_id = 7
        self._websock_connection = SimpleNamespace(queue_message=self._hear)
        self.atomic = contextlib.nullcontext
        self.camera = viser.CameraHandle(self)  # type: ignore[arg-type]
        self.answers: list[CameraView] = []  # come while the server sends, one a view
        self.say(view(NEAR))

    def say(self, seen: CameraView) -> None:
        """It looks from there, as viser takes that in: all at once."""
        state = vars(self.camera._state) | {
            "position": seen.position.copy(),
            "look_at": seen.target.copy(),
            "up_direction": seen.up.copy(),
            "fov": seen.fov,
            "update_timestamp": 1.0,
        }
        self.camera._state = type(self.camera._state)(**state)

    def _hear(self, message: Any) -> None:
        if self.answers and type(message).__name__ == "SetCameraPositionMessage":
            self.say(self.answers.pop(0))


@pytest.fixture
def guided(monkeypatch: pytest.MonkeyPatch) -> tuple[GuidedViews, Any]:
    """The views, and a browser that has loaded the first one."""
    monkeypatch.setattr(guided_views, "_SECONDS", 0.05)
    views, browser = GuidedViews(), Browser()
    views.begin_at(view(NEAR))
    views.arrive(browser)  # type: ignore[arg-type]
    views.hear(browser, browser.camera.position)  # type: ignore[arg-type]
    return views, browser


def is_at(browser: Browser, x: float) -> bool:
    return CameraView.of(browser.camera).like(view(x))  # type: ignore[arg-type]


def test_an_answer_between_two_parts_of_a_view_is_no_move(guided) -> None:
    views, browser = guided
    browser.answers = [view(NEAR)] * 3  # what was on its way to the server
    views.fly(browser, view(FAR))
    wait_for(lambda: is_at(browser, FAR))
    assert views.is_unmoved(browser)


def test_a_move_by_hand_ends_a_flight(guided) -> None:
    views, browser = guided
    browser.answers = [view(ASIDE)]
    views.fly(browser, view(FAR))
    time.sleep(0.3)  # the flight takes .05
    assert browser.camera.position[0] == ASIDE and not views.is_unmoved(browser)


def test_who_chose_a_view_is_left_there_until_it_is_taken_elsewhere(guided) -> None:
    views, browser = guided
    views.put(browser, view(ASIDE), chosen=True)
    assert not views.is_unmoved(browser)
    views.fly(browser, view(FAR))
    browser.say(view(NEAR))  # a slow browser, of before it was put there
    wait_for(lambda: is_at(browser, FAR))
    assert views.is_unmoved(browser)


def test_a_browser_that_went_is_forgotten(guided) -> None:
    views, browser = guided
    views.fly(browser, view(FAR))
    views.leave(browser)
    assert not views.is_unmoved(browser) and not views._browsers
