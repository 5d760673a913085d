"""Keys, dropped files and pasted pictures; and controls that lie on the view."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from svggt.media.examples import EXAMPLES
from svggt.scene.camera_view import CameraView
from tests.browser.conftest import DESKTOP, PHONE, Site, Visitor, only_session
from tests.conftest import wait_for

GIVEN = """([kind, name, content]) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0)), data = new DataTransfer();
  const type = name.endsWith("png") ? "image/png" : "video/mp4";
  data.items.add(new File([bytes], name, { type }));
  const event = kind === "drop"
    ? new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data })
    : new ClipboardEvent("paste", { bubbles: true, cancelable: true, clipboardData: data });
  const where = kind === "drop"
    ? document.querySelector("iframe.viewer").contentDocument.body : document.body;
  where.dispatchEvent(event);
}"""


@pytest.fixture
def stopped(arrive, site: Site) -> Visitor:
    """A visitor with a scene of some frames, who drives it with keys."""
    visitor = arrive()
    visitor.start()
    visitor.wait_frames(8)
    visitor.page.click("#stop")
    visitor.page.wait_for_function("!document.querySelector('#play').disabled")
    visitor.page.wait_for_timeout(1000)
    return visitor


def test_keys_drive_the_scene(stopped: Visitor, site: Site) -> None:
    page, scene = stopped.page, only_session(site).scene
    page.click("h1")
    last = scene.num_frames - 1
    page.evaluate("document.querySelector('#moment input[type=range]').value -= 1")  # it may lag
    page.keyboard.press("ArrowLeft")
    wait_for(lambda: scene.moment == last - 1)
    page.keyboard.press("PageUp")
    wait_for(lambda: scene.moment == max(0, last - 11))
    page.keyboard.press("Space")
    wait_for(lambda: scene.moment == last)  # it played to the end
    (client,) = scene._server.get_clients().values()
    page.keyboard.press("c")
    pose = scene.levelling @ scene._placings[last].pose(scene.flags.cameras)[:, 3]
    wait_for(lambda: abs(client.camera.position - pose).max() < 0.02 * scene._distance)
    page.keyboard.press("o")
    wait_for(lambda: CameraView.of(client.camera).like(scene.eye._whole(client.camera.aspect)))
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement !== null")
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement === null")


def test_keys_are_shown_and_typed_ones_do_nothing(stopped: Visitor, site: Site) -> None:
    page, scene = stopped.page, only_session(site).scene
    page.click("h1")
    for shown in (lambda: page.keyboard.press("?"), lambda: page.click("#keys-button")):
        shown()
        page.wait_for_selector("#help dialog[open] >> text=play or pause")
        page.keyboard.press("Escape")
        page.wait_for_selector("#help dialog", state="hidden")
    (client,) = scene._server.get_clients().values()
    page.get_by_text("Advanced", exact=True).click()
    page.get_by_label("Budget").fill("")
    page.wait_for_timeout(2500)  # the view took its new height
    before, moment = client.camera.position, scene.moment
    page.get_by_label("Budget").press_sequentially("cof ?")
    page.wait_for_timeout(1500)
    assert page.get_by_label("Budget").input_value() == "cof ?"
    assert abs(client.camera.position - before).max() < 0.01 and scene.moment == moment
    assert not page.is_visible("#help dialog")
    page.locator("#start").focus()
    page.keyboard.press("f")  # nor where something else has the focus
    assert page.evaluate("document.fullscreenElement") is None


def test_keys_that_do_nothing_are_the_browsers(arrive) -> None:
    """Before a run there is nothing to play: the page scrolls."""
    page = arrive(PHONE).page
    page.click("h1")

    def scrolls() -> bool:
        page.keyboard.press("PageDown")
        page.wait_for_timeout(500)
        return page.evaluate("window.scrollY > 0")

    wait_for(scrolls)  # the page grows while it loads: there may be nothing to scroll yet


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_files_are_taken_wherever_they_are_dropped_or_pasted(arrive, kind: str) -> None:
    """Onto the 3D view too, which is a document of its own; a second one replaces the first."""
    page = arrive().page
    page.wait_for_timeout(1500)
    picture = base64.b64encode(EXAMPLES[0].picture.read_bytes()).decode()
    clip = base64.b64encode(Path(EXAMPLES[2].clip).read_bytes()).decode()
    page.evaluate(GIVEN, [kind, "seen.png", picture])
    page.wait_for_selector("#files .file-preview >> text=seen")
    page.evaluate(GIVEN, [kind, "walk.mp4", clip])
    page.wait_for_selector("#files .file-preview >> text=walk")
    assert page.locator("#files .file-preview tr").count() == 1
    assert page.get_by_role("tab", name="Upload").get_attribute("aria-selected") == "true"


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_controls_lie_on_the_view_and_drawers_leave_it_in_sight(arrive, size, site: Site) -> None:
    visitor = arrive(size)
    page = visitor.page
    assert not page.is_visible("#timeline")  # the replay has its own
    visitor.start()
    visitor.wait_frames(3)
    page.click("#stop")
    view = visitor.viewer().bounding_box()
    for control in (
        "#choices label",
        "#reset",
        "#through",
        "#full",
        "#flags > button",
        "#timeline",
    ):
        for box in (each.bounding_box() for each in page.locator(control).all()):
            assert (
                view["x"] <= box["x"] and box["x"] + box["width"] <= view["x"] + view["width"] + 1
            )
            assert view["y"] <= box["y"] and box["y"] + box["height"] <= view["y"] + view["height"]
    assert view["y"] + view["height"] <= size[1]
    page.click("#flags > button")
    panel = page.locator("#flags > [data-testid=accordion-content]").bounding_box()
    assert panel["width"] * panel["height"] < 0.4 * view["width"] * view["height"]
    page.click("#flags > button")
    for drawer in ("closer", "compare", "advanced", "share"):
        page.click(f"#{drawer} > button")
        page.locator(f"#{drawer} > [data-testid=accordion-content]").wait_for()
        page.locator(f"#{drawer} > button").scroll_into_view_if_needed()
        page.mouse.move(size[0] / 2, size[1] - 20)
        page.mouse.wheel(0, 250)
        page.wait_for_timeout(500)
        box = visitor.viewer().bounding_box()
        seen = min(box["y"] + box["height"], size[1]) - max(box["y"], 0)
        assert seen >= 0.6 * box["height"] and box["height"] > 0.5 * size[1]
        page.click(f"#{drawer} > button")
