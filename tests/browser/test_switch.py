"""Big weights arrive while the page is live on small ones; the visitor switches."""

from __future__ import annotations

import threading

from playwright.sync_api import Browser

from svggt.engine.background_load import BackgroundLoad
from svggt.engine.checkpoints import LoadedModel
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from tests.conftest import serve


def test_the_page_offers_weights_when_they_are_there(
    browser: Browser, embedded: LoadedModel, tiny: LoadedModel
) -> None:
    worker, gate = LocalWorker(ModelRegistry([embedded])), threading.Event()

    def slow(on_bytes):
        on_bytes(2_500_000_000, 5_000_000_000)
        gate.wait(60)
        return tiny

    with serve(worker, load=BackgroundLoad("tiny", slow, worker.models)) as (address, _):
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector("text=2.50 of 5.00 GB")
        assert page.is_enabled("#start") and page.locator("#switch").is_hidden()
        gate.set()
        page.click("#switch")
        page.wait_for_selector("#header b:has-text('tiny')")
        page.click("#start")
        page.wait_for_function("document.querySelectorAll('.strip img').length >= 3")
        page.close()
    worker.shutdown()
