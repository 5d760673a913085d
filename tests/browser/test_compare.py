"""Streaming beside offline: two views that look from one camera, their colours, their figures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from svggt.scene.camera_view import CameraView
from svggt.scene.scene import Scene
from tests.browser.conftest import DESKTOP, PHONE, Site, Visitor, drawn, only_session, scenery
from tests.conftest import wait_for


def compare(visitor: Visitor) -> None:
    """Opens the drawer, compares, and waits for the figures."""
    visitor.page.get_by_text("Compare with offline VGGT", exact=True).click()
    visitor.page.wait_for_timeout(1500)  # it unfolds
    visitor.page.click("#begin-compare")
    visitor.page.wait_for_selector("#compared table")


def settle(visitor: Visitor, cameras: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
    """Waits until neither camera has moved for three seconds; where they are."""
    before = cameras()
    for _ in range(20):
        visitor.page.wait_for_timeout(3000)
        now = cameras()
        if np.array_equal(before, now):
            return now
        before = now
    raise AssertionError("the cameras never stand still")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_two_views_follow_each_other(arrive, site: Site, size) -> None:
    visitor = arrive(size)
    visitor.run(6)
    compare(visitor)
    assert "one set of weights" in visitor.page.inner_text("#compared")
    session = only_session(site)
    assert session.comparison is not None
    boxes = [frame.bounding_box() for frame in visitor.page.query_selector_all("#views iframe")]
    one, other = (box for box in boxes if box is not None)
    beside_each_other = one["y"] == other["y"] and one["x"] + one["width"] <= other["x"]
    assert beside_each_other if size == DESKTOP else one["y"] + one["height"] <= other["y"]
    for way in ("overlay", "side by side"):  # within reach below both views
        visitor.page.click(f"#paint label:has-text('{way}')")
        visitor.page.wait_for_timeout(500)
    scenes = (session.scene, session.comparison.scene)

    def cameras() -> list[np.ndarray]:
        """Where both look from in the world that they share, before either levels it."""
        found = [(scene.eye.camera, scene.levelling.inverse()) for scene in scenes]
        return [
            np.array(CameraView.of(c).turned(back).position) for c, back in found if c is not None
        ]

    def agree() -> bool:
        both = cameras()
        return len(both) == 2 and np.allclose(*both, atol=0.05 * scenes[0]._distance)

    def has_moved(view: int, before: list[np.ndarray]) -> bool:
        return bool(np.abs(cameras()[view] - before[view]).max() > 0.1 * scenes[0]._distance)

    wait_for(agree, lambda: (cameras(), scenes[0]._distance))
    slowed = visitor.context.new_cdp_session(visitor.page)
    slowed.send("Emulation.setCPUThrottlingRate", {"rate": 4})  # echoes come seconds later
    settle(visitor, cameras)
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
        wait_for(partial(has_moved, 1 - turned, before))
        for _ in range(6):  # a slow machine's echo may come when all stood still
            after = settle(visitor, cameras)
            if np.allclose(*after, atol=0.05 * scenes[0]._distance):
                break
        else:
            raise AssertionError((turned, before, after))
        assert np.linalg.norm(after[turned] - before[turned]) > 0.4 * scenes[0]._distance
    visitor.page.click("#clear")
    visitor.page.wait_for_function("!document.querySelector('#beside iframe')")
    assert session.leaves


def position(scene: Scene) -> np.ndarray:
    """Of the browser that watches."""
    camera = scene.eye.camera
    assert camera is not None
    return np.array(camera.position)


def colourful(pixels: np.ndarray) -> tuple[float, float]:
    """Shares of the drawn pixels that are orange, and blue."""
    red, _, blue = (pixels[..., i].astype(int) for i in range(3))
    drawn_ones = scenery(pixels)
    return tuple(
        float(((way > 30) & drawn_ones).sum() / drawn_ones.sum())
        for way in (red - blue, blue - red)
    )  # pyright: ignore[reportReturnType]


def test_both_are_overlaid_and_their_difference_is_coloured(arrive, site: Site) -> None:
    """From the same view; the frame's pictures, a report, and all of it after a reload."""
    visitor = arrive()
    visitor.run(6)
    compare(visitor)
    page = visitor.page
    page.wait_for_selector("#both-strip img")
    assert page.locator("#both-strip figure").count() == 6
    assert page.locator("#compare-results .vega-embed, #compare-results canvas").count() >= 2
    comparison = only_session(site).comparison
    assert comparison is not None
    page.wait_for_timeout(4000)
    first = position(comparison.scene)
    page.evaluate("window.scrollTo(0, 0)")
    box = page.query_selector_all("#views iframe")[1].bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 220, box["y"] + 220, steps=4)
    page.mouse.up()
    page.wait_for_timeout(4000)
    before, near = position(comparison.scene), 0.1 * comparison.scene._distance
    assert np.linalg.norm(before - first) > 2 * near
    page.click("#paint label:has-text('overlay')")
    page.wait_for_function(
        "getComputedStyle(document.querySelector('#views iframe')).visibility === 'hidden'"
    )
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_timeout(6000)
    view = page.frame_locator("#beside iframe").locator("canvas[data-engine]")
    overlay = visitor.pixels(view)
    orange, blue = colourful(overlay)
    assert drawn(overlay) > 0.05 and orange > 0.1 and blue > 0.1
    page.click("#paint label:has-text('difference')")
    page.wait_for_selector("#legend .ramp")
    page.wait_for_timeout(6000)
    assert np.abs(visitor.pixels(view).astype(int) - overlay).mean() > 3
    assert np.allclose(position(comparison.scene), before, atol=near)  # the view stays
    page.click("#make-report")
    page.wait_for_selector("#report a")
    address = page.get_attribute("#report a", "href")
    page.reload()
    page.wait_for_selector("#compared table")
    page.wait_for_selector("#beside iframe")
    reader = visitor.context.new_page()
    reader.goto(f"{site.address}{address}")
    assert "Agreement of A with B" in reader.inner_text("body")
    reader.close()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_line_between_both_is_dragged(arrive, site: Site, size) -> None:
    """One view lies over the other; either is turned on its side of the line."""
    visitor = arrive(size)
    visitor.run(4)
    compare(visitor)
    page = visitor.page
    page.click("#paint label:has-text('swipe')")
    handle = page.locator("#swipe input")
    handle.wait_for()
    page.evaluate("window.scrollTo(0, 0)")
    box = page.locator("#views iframe").nth(0).bounding_box()
    assert box is not None and box == page.locator("#beside iframe").bounding_box()

    def seen_at(share: float) -> str:
        """Which view the mouse would reach, in a row above the handle."""
        x, y = box["x"] + share * box["width"], box["y"] + 0.35 * box["height"]
        reached = "document.elementFromPoint(x, y)?.closest('#beside') ? 'B' : 'A'"
        return page.evaluate(f"([x, y]) => {reached}", [x, y])

    assert [seen_at(share) for share in (0.2, 0.45, 0.55, 0.8)] == ["A", "A", "B", "B"]
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.25 * box["width"], middle, steps=5)
    page.mouse.up()
    assert [seen_at(share) for share in (0.15, 0.35, 0.45)] == ["A", "B", "B"]
    handle.focus()
    before = int(page.input_value("#swipe input"))
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    assert seen_at(0.55) == "A" and int(page.input_value("#swipe input")) == before + 40
    comparison = only_session(site).comparison
    assert comparison is not None and comparison.paint == "swipe"
    page.click("#paint label:has-text('side by side')")
    handle.wait_for(state="hidden")
    assert page.locator("#beside iframe").bounding_box() != box
    assert visitor.errors == []
