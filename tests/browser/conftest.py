"""A real Chromium before the real site on the embedded weights."""

from __future__ import annotations

import io
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    ElementHandle,
    Frame,
    Locator,
    Page,
    sync_playwright,
)

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.session.registry import Sessions
from svggt.session.session import Session
from tests.conftest import PATIENCE, serve, wait_for

Scheme = Literal["light", "dark"]
DESKTOP, PHONE = (1280, 720), (390, 844)
_OF_SURFELS = "THREE.BufferGeometry.computeBoundingSphere(): Computed radius is NaN"
"""What viser's client says of whatever it draws as Gaussians."""

_LEAVING = "tests: this page is left"
_TELL_LEAVING = f"""if (top === self)
    addEventListener("beforeunload", () => console.info("{_LEAVING}"))"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/browser/" in str(item.path):
            item.add_marker(pytest.mark.browser)


@dataclass
class Site:
    """The running site, as a test sees it from both sides."""

    address: str
    sessions: Sessions


@dataclass
class Visitor:
    """A browser of its own: page, and everything that went wrong in it."""

    page: Page
    context: BrowserContext
    site: Site
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    before_leaving: int | None = None
    """Errors there were when the page began to be left."""

    def listen(self, address: str) -> None:
        """Notes every error, and every request to another site than that of an address."""
        origin = "/".join(address.split("/")[:3])
        own = origin, origin.replace("http", "ws", 1), "data:", "blob:"

        def asked(url: str) -> None:
            if not url.startswith(own):
                self.foreign.append(url)

        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on("request", lambda request: asked(request.url))
        self.page.on("websocket", lambda socket: asked(socket.url))
        self.page.on("framenavigated", self._left)
        self.page.add_init_script(_TELL_LEAVING)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_OF_SURFELS):
            self.errors.append(message.text)
        elif message.text == _LEAVING:
            self.before_leaving = len(self.errors)

    def _left(self, frame: Frame) -> None:
        """What a page says of requests that end because it is left is no fault."""
        if frame == self.page.main_frame and self.before_leaving is not None:
            del self.errors[self.before_leaving :]
            self.before_leaving = None

    def visit(self, address: str | None = None) -> None:
        self.page.set_default_timeout(1000 * PATIENCE)
        self.page.goto(address or self.site.address)
        if address:  # of a scene, whose state decides what can be pressed
            return
        self.page.wait_for_selector("#start")
        self.page.wait_for_function("document.querySelector('#start').disabled === false")

    def start(self, light: bool = True) -> None:
        """Presses Start; `light` draws the newest frame only, for a browser without a GPU."""
        if light:
            self.page.click("#choices label:has-text('one frame')")
        self.page.click("#start")

    def upload(self, *paths: Path) -> None:
        """Chooses files, and waits until the page has them."""
        self.page.get_by_role("tab", name="Upload").click()
        self.page.set_input_files("#files input[type=file]", [str(path) for path in paths])
        self.page.wait_for_selector("#files .file-preview")

    def run(self, frames: int) -> None:
        """A run of so many frames, to its end."""
        self.page.get_by_text("Advanced", exact=True).click()
        field = self.page.get_by_label("Max frames")
        field.wait_for()
        self.page.wait_for_timeout(1500)  # it unfolds
        field.fill(str(frames))
        field.press("Enter")
        field.press("Tab")
        self.page.wait_for_timeout(1000)  # Gradio takes the number
        self.start(light=False)
        self.page.wait_for_selector(f"text=Finished: {frames} frames.")

    def wait_frames(self, count: int) -> None:
        self.page.wait_for_function(
            "n => { const d = document.querySelectorAll('.figures dd');"
            " return d.length == 4 && parseInt(d[3].innerText) >= n }",
            arg=count,
        )

    def status(self) -> str:
        return self.page.inner_text("#status")

    def canvas(self) -> NDArray[np.uint8]:
        """Pixels (H, W, 3) of viser's canvas, without the controls that lie on it."""
        bare = self.page.add_style_tag(
            content=":is(#choices, #why, #timeline, .hint) { opacity: 0 !important; }"
        )
        view = self.page.frame_locator("iframe.viewer").locator("canvas[data-engine]")
        pixels = self.pixels(view)
        bare.evaluate("style => style.remove()")
        return pixels

    def pixels(self, view: Locator) -> NDArray[np.uint8]:
        """Pixels (H, W, 3) of an element, without the poster that may lie over it."""
        view.evaluate("each => each.ownerDocument.querySelector('#poster')?.remove()")
        shot = view.screenshot(timeout=1000 * PATIENCE)
        return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"))

    def viewer(self) -> ElementHandle:
        frame = self.page.query_selector("iframe.viewer")
        assert frame is not None
        return frame

    def wait_canvas(self, until: Callable[[NDArray[np.uint8]], bool]) -> None:
        wait_for(lambda: until(self.canvas()), every=0.5)

    def wait_still(self) -> None:
        """Waits until all has been drawn, and nothing has moved for three seconds."""
        shots = deque[NDArray[Any]](maxlen=4)

        def same() -> bool:
            shots.append(self.canvas().astype(int))
            return len(shots) == 4 and all(np.abs(s - shots[-1]).mean() < 0.1 for s in shots)

        wait_for(same, every=1.0)

    def close_tab(self) -> None:
        self.page.close()


def scenery(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels (H, W) that are not backdrop, nor its grid."""
    backdrop = np.linspace((44, 52, 66), (14, 17, 23), len(pixels))[:, None]
    return np.abs(pixels - backdrop).max(axis=2) > 50


def drawn(pixels: NDArray[np.uint8]) -> float:
    """The share of pixels that show a scene."""
    return float(scenery(pixels).mean())


def only_session(site: Site) -> Session:
    """The one that is open."""
    (session,) = site.sessions.in_memory
    return session


# Package scope: playwright keeps an event loop in this thread, which other tests need.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=shutil.which("chromium"),  # None: playwright's own
            args=[
                "--no-sandbox",
                "--use-angle=swiftshader",
                "--enable-unsafe-swiftshader",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
            ],
        )


@pytest.fixture(scope="package")
def site(embedded: LoadedModel) -> Iterator[Site]:
    worker = LocalWorker(ModelRegistry([embedded]))
    with serve(worker) as (address, sessions):
        yield Site(address, sessions)
    worker.shutdown()


@pytest.fixture
def arrive(browser: Browser, site: Site) -> Iterator[Callable[..., Visitor]]:
    """Brings a visitor with a screen of a size; at the end nothing may have gone wrong."""
    visitors: list[Visitor] = []

    def bring(
        size: tuple[int, int] = DESKTOP, address: str | None = None, scheme: Scheme = "light"
    ) -> Visitor:
        phone = size == PHONE
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            is_mobile=phone,
            has_touch=phone,
            color_scheme=scheme,
        )
        visitor = Visitor(context.new_page(), context, site)
        visitors.append(visitor)
        visitor.listen(address or site.address)
        visitor.visit(address)
        return visitor

    yield bring
    problems = [(v.errors, v.foreign) for v in visitors]
    for visitor in visitors:
        visitor.context.close()
    for session in site.sessions.in_memory:
        site.sessions.remove(session.token)
    assert all(not errors and not foreign for errors, foreign in problems), problems
