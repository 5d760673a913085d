"""A private server in a real browser, whose headers no script's client sends."""

from __future__ import annotations

from playwright.sync_api import Browser

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from tests.conftest import PATIENCE, serve


def test_the_password_opens_the_page_and_its_3d_view(browser: Browser, tiny: LoadedModel) -> None:
    worker = LocalWorker(ModelRegistry([tiny]))
    with serve(worker, password="a word") as (address, _):
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(address)
        for word in ("wrong", "a word"):
            page.get_by_label("Its password").fill(word)
            page.get_by_role("button", name="Open").click()
            page.wait_for_selector("text=That is not it" if word == "wrong" else "#start")
        page.wait_for_function("document.querySelector('#start').disabled === false")
        page.click("#start")
        page.wait_for_function("document.querySelectorAll('.strip img').length >= 3")
        view = page.frame_locator("iframe.viewer")
        view.locator("canvas[data-engine]").wait_for()
        context.close()
    worker.shutdown()
