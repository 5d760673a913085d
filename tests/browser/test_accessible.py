"""axe-core finds nothing serious in what is ours: first look, run, its end, drawers, a reader."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import DESKTOP, PHONE, Scheme, Site, only_session

GRADIOS = (".image-container > button", ".empty")  # its own nodes, which nothing of ours can name


def problems(page: Page) -> list[str]:
    """What is serious or critical; viser's frames are viser's."""
    page.wait_for_timeout(800)  # what was pressed takes effect, and colours go over into others
    page.wait_for_function(
        "document.getAnimations().every(each => !(each instanceof CSSTransition))"
    )
    options = {"resultTypes": ["violations"], "iframes": False}
    context: Any = {"exclude": [[selector] for selector in GRADIOS]}
    found = Axe().run(page, context, options).response["violations"]
    return [
        f"{each['id']}: {node['target']}"
        for each in found
        for node in each["nodes"]
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(
    "size, scheme", [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop, light", "phone, dark"]
)
def test_nothing_serious_is_found(arrive, site: Site, size, scheme: Scheme) -> None:
    visitor = arrive(size, scheme=scheme)
    page = visitor.page
    assert problems(page) == []
    visitor.start()
    visitor.wait_frames(3)
    assert problems(page) == []
    page.click("#stop")
    page.wait_for_function("document.querySelector('#start').disabled === false")
    page.click("#flags > button")
    assert problems(page) == []
    page.click("#flags > button")
    if size == DESKTOP:  # a phone has no keys
        page.click("#keys-button")
        assert problems(page) == []
        page.keyboard.press("Escape")
    for drawer in ("closer", "compare", "advanced", "share"):
        page.click(f"#{drawer} > button")
    assert problems(page) == []
    for tab in ("Upload", "Camera"):
        page.get_by_role("tab", name=tab).click()
        assert problems(page) == []
    reader = arrive(size, f"{site.address}/?s={only_session(site).tokens.reader}", scheme)
    reader.page.wait_for_selector("text=Stopped after")
    assert problems(reader.page) == []
