"""The browser's camera (Chromium's fake one) and a phone's, as sources of a run."""

from __future__ import annotations

import pytest

from tests.browser.conftest import PHONE, Site, drawn, only_session


def start_camera(visitor) -> None:
    visitor.page.get_by_role("tab", name="Camera").click()
    visitor.page.wait_for_timeout(300)
    visitor.start()


def test_a_camera_grows_the_scene_and_counts_what_it_dropped(arrive, site: Site) -> None:
    visitor = arrive()
    start_camera(visitor)
    visitor.wait_frames(3)
    visitor.wait_canvas(lambda pixels: drawn(pixels) > 0.01)
    assert "pictures from the camera" in visitor.status() and "dropped" in visitor.status()
    page = visitor.page.frame_locator("iframe.camera")
    assert "frames in the scene" in page.locator("#says").inner_text()
    visitor.page.click("#stop")
    visitor.page.wait_for_selector("text=Stopped after")
    page.locator("#says", has_text="ended").wait_for()
    assert only_session(site).scene.num_frames >= 3


def test_another_device_takes_over_by_its_code(arrive, site: Site) -> None:
    visitor = arrive()
    start_camera(visitor)
    visitor.wait_frames(1)
    session = only_session(site)
    visitor.page.click("#camera summary")
    assert "cannot reach" in visitor.page.inner_text("#camera details")  # 127.0.0.1
    other = visitor.context.new_page()
    other.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    other.goto(f"{site.address}/capture/{session.tokens.capture}/")
    other.click("#start")
    other.wait_for_selector("#says:has-text('frames in the scene')")
    visitor.page.frame_locator("iframe.camera").locator(
        "#says", has_text="Another camera took over"
    ).wait_for()
    assert session.running
    session.stop()


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("NotAllowedError", "Allow it in the browser"),
        ("NotReadableError", "Another program uses the camera. Close it"),
        ("NotFoundError", "Plug one in"),
    ],
)
def test_a_browser_without_a_camera_says_what_to_do(
    arrive, site: Site, error: str, remedy: str
) -> None:
    visitor = arrive()
    visitor.context.add_init_script(
        "navigator.mediaDevices.getUserMedia = async () => "
        f"{{ throw new DOMException('no', '{error}') }}"
    )
    start_camera(visitor)
    says = visitor.page.frame_locator("iframe.camera").locator("#says")
    says.filter(has_text=remedy).wait_for()
    visitor.page.wait_for_selector("#status:has-text('Waiting for the camera')")
    visitor.page.click("#stop")
    visitor.page.wait_for_selector("text=Stopped after 0 frames")


def test_a_camera_that_goes_is_told_and_comes_back(arrive, site: Site) -> None:
    """It loses nothing: the run waits for it, and goes on."""
    visitor = arrive()
    start_camera(visitor)
    visitor.wait_frames(2)
    page = visitor.page.frame_locator("iframe.camera")
    page.locator("#picture").evaluate(
        "video => video.srcObject.getTracks().forEach(t => t.dispatchEvent(new Event('ended')))"
    )
    page.locator("#says", has_text="The camera is gone").wait_for()
    session = only_session(site)
    assert session.running
    drawn_before = session.scene.num_frames
    page.locator("#start").click()
    visitor.wait_frames(drawn_before + 2)
    received = session.camera.received
    assert received.made >= received.dropped + session.scene.num_frames
    session.stop()
