"""Views that are said back: a late echo is an echo, a visitor's move is none."""

from __future__ import annotations

import numpy as np

from svggt.scene.camera_sync import Echoes
from svggt.scene.camera_view import CameraView


def look(x: float) -> CameraView:
    return CameraView(np.array([x, 0, 0]), np.array([x, 0, 2.0]), np.array([0, -1.0, 0]), 1.0)


def test_whatever_was_told_comes_back_as_an_echo_in_its_order() -> None:
    echoes = Echoes()
    for x in range(4):
        echoes.tell(look(x))
    assert echoes.heard(look(1)) and echoes.heard(look(1)) and echoes.heard(look(3))
    assert not echoes.heard(look(2))  # it has gone on: this one the visitor did


def test_a_move_by_hand_is_no_echo() -> None:
    echoes = Echoes()
    assert not echoes.heard(look(0))
    echoes.tell(look(0))
    turned = CameraView(np.zeros(3), np.array([2.0, 0, 0]), np.array([0, -1.0, 0]), 1.0)
    assert not echoes.heard(look(0.1)) and not echoes.heard(turned)
