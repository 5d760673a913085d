"""Streaming beside offline: two views that look from one camera, and their figures."""

from __future__ import annotations

import numpy as np
import pytest

from tests.browser.conftest import DESKTOP, PHONE, Site, only_session


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_two_views_follow_each_other(arrive, site: Site, size) -> None:
    visitor = arrive(size)
    visitor.run(6)
    visitor.page.get_by_text("Compare with offline VGGT", exact=True).click()
    visitor.page.wait_for_timeout(1500)  # it unfolds
    visitor.page.click("#compare")
    visitor.page.wait_for_selector("#compared table")
    assert "one set of weights" in visitor.page.inner_text("#compared")
    session = only_session(site)
    assert session.beside is not None
    boxes = [frame.bounding_box() for frame in visitor.page.query_selector_all("#views iframe")]
    one, other = (box for box in boxes if box is not None)
    beside_each_other = one["y"] == other["y"] and one["x"] + one["width"] <= other["x"]
    assert beside_each_other if size == DESKTOP else one["y"] + one["height"] <= other["y"]
    scenes = (session.scene, session.beside.scene)

    def cameras() -> list[np.ndarray]:
        found = [scene.eye.camera for scene in scenes]
        return [np.array(c.position) for c in found if c is not None]

    for _ in range(60):
        visitor.page.wait_for_timeout(500)
        if len(cameras()) == 2 and np.allclose(*cameras(), atol=0.05 * scenes[0]._distance):
            break
    else:
        raise AssertionError(cameras())
    visitor.page.wait_for_timeout(4000)  # until both are settled
    for turned, view in enumerate(visitor.page.query_selector_all("#views iframe")):
        before = cameras()
        view.scroll_into_view_if_needed()
        box = view.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        visitor.page.mouse.move(x, y)
        visitor.page.mouse.down()
        visitor.page.mouse.move(x + 60, y + 10, steps=4)
        visitor.page.mouse.up()
        visitor.page.wait_for_timeout(4000)
        after = cameras()
        assert np.linalg.norm(after[turned] - before[turned]) > 0.1 * scenes[0]._distance
        assert np.allclose(*after, atol=0.05 * scenes[0]._distance)
        visitor.page.wait_for_timeout(1500)
        assert np.allclose(cameras(), after, atol=0.02 * scenes[0]._distance)  # no echo
    visitor.page.click("#clear")
    visitor.page.wait_for_function("!document.querySelector('#offline iframe')")
    assert session.beside is None
