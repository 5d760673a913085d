"""What the page costs: start-up, bytes and milliseconds a frame, first point, memory over time.

`python -m benchmarks.page [--frames 60] [--page-size 1280 720]` starts the server and times it,
then serves the page here, opens it in Chromium and runs the office example. Browser, page and model
share this machine's cores, and without a GPU the browser draws in software: the same run without a
browser stands beside it. `--minutes 30` uses one tab for so long instead, run after run, and tells
what server and browser hold.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import tyro
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from benchmarks.footprint import Footprint
from benchmarks.served import Server, serving
from svggt.engine.checkpoints import load_model
from svggt.engine.devices import choose_device
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.media.clips import open_clip
from svggt.media.frames import InputLimits
from svggt.session.registry import Sessions
from svggt.settings import SessionLimits, StreamSettings
from svggt.store.store import Store

_POSTER_SECONDS = 60  # that a first look may take
_RUN_SECONDS = 600
_STARTS = 3


@dataclass(frozen=True)
class StartUp:
    """From `python app.py` on, or from an address in a browser on, seconds.

    Attributes:
        port_s: until anything answers.
        page_s: until the page does.
        look_s: from there, in a browser: until the first scene is drawn.
    """

    port_s: float
    page_s: float
    look_s: float


@dataclass(frozen=True)
class Figures:
    """Of one run in a browser."""

    frames: int
    first_point_s: float
    viewer_bytes: int
    page_bytes: int
    seconds: float


@contextmanager
def served(frames: int) -> Iterator[tuple[str, Sessions]]:
    """The page on a free port of this machine."""
    os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="svggt-benchmark-")
    from svggt.web.server import build_site

    worker = LocalWorker(ModelRegistry([load_model("embedded", choose_device())]))
    store = Store(Path(tempfile.mkdtemp(prefix="svggt-benchmark-")))
    sessions = Sessions(worker, SessionLimits(), store)
    site = build_site(sessions, InputLimits(max_frames=frames))
    server = uvicorn.Server(
        uvicorn.Config(site, port=0, log_level="error", ws_per_message_deflate=False)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", sessions
    finally:
        server.should_exit = True
        thread.join()
        sessions.shutdown()
        worker.shutdown()


def run_in(page: Page, address: str, sessions: Sessions) -> Figures:
    """Starts the office example and counts until it has ended; its frames alone are timed."""
    sent = {"viewer": 0, "page": 0}
    first: list[float] = []

    def of_viewer(data: bytes | str) -> None:
        sent["viewer"] += len(data)
        if len(data) > 10_000 and not first:  # points; all else is small
            first.append(time.perf_counter())

    page.on("websocket", lambda socket: socket.on("framereceived", of_viewer))
    page.goto(address)
    page.wait_for_function("document.querySelector('#start')?.disabled === false")
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")

    def of_page(event: dict) -> None:
        sent["page"] += event["dataLength"]

    network.on("Network.dataReceived", of_page)
    began = time.perf_counter()
    page.click("#start")
    page.wait_for_selector("text=Finished:", timeout=1000 * _RUN_SECONDS)
    seconds = sessions.in_memory[-1].progress.elapsed_s  # without the adjustment that follows
    done = int(page.locator(".figures dd").nth(3).inner_text().split("/")[0])
    return Figures(done, first[0] - began, sent["viewer"], sent["page"], seconds)


def alone(sessions: Sessions, frames: int) -> float:
    """Seconds of the same run that nobody looks at."""
    model = next(iter(sessions.worker.models.values()))
    from svggt.media.examples import EXAMPLES

    example, session = EXAMPLES[0], sessions.open("benchmark")
    limits = InputLimits(max_frames=frames)
    clip = open_clip([example.clip], model.input_width, example.frames_per_second, limits)
    session.start(clip, StreamSettings(model=model.name, refine=True))
    while session.running:
        time.sleep(0.05)
    sessions.remove(session.token)
    return session.progress.elapsed_s


def started(browser: Browser, size: tuple[int, int]) -> StartUp:
    """Starts the server as people do, and looks."""
    began = time.perf_counter()
    with _serving() as server:
        while not _answers(server):
            time.sleep(0.05)
        port_s = time.perf_counter() - began
        server.wait_ready()
        page_s = time.perf_counter() - began
        with opened(browser, size) as context:
            page, began = context.new_page(), time.perf_counter()
            page.goto(server.address)
            viewer = page.frame_locator("iframe.viewer")
            viewer.locator("canvas[data-engine]").wait_for()
            viewer.locator("#poster").wait_for(state="detached", timeout=1000 * _POSTER_SECONDS)
            return StartUp(port_s, page_s, time.perf_counter() - began)


def used(browser: Browser, size: tuple[int, int], minutes: float) -> Iterator[dict[str, float]]:
    """One tab, run after run; what server and browser hold after each, megabytes."""
    with _serving() as server, opened(browser, size) as context:
        server.wait_ready()
        page = context.new_page()
        page.set_default_timeout(1000 * _RUN_SECONDS)
        page.goto(server.address)
        page.wait_for_function("document.querySelector('#start')?.disabled === false")
        ends = time.monotonic() + 60 * minutes
        while time.monotonic() < ends:
            _use(page)
            yield {
                "server": Footprint.of(psutil.Process(server.process.pid)).uss_mb,
                "browser": _held_besides(server),
            }


@contextmanager
def _serving() -> Iterator[Server]:
    """The server as people start it, with an empty store."""
    with (
        tempfile.TemporaryDirectory(prefix="svggt-benchmark-") as folder,
        serving(Path(folder, "store"), Path(folder, "log")) as server,
    ):
        yield server


def _use(page: Page) -> None:
    """A run to its end, looked at in several ways, and cleared."""
    page.click("#start")
    page.wait_for_selector("text=Finished:")
    for choice in ("one frame", "all frames", "head", "refined"):
        page.click(f"#choices label:has-text('{choice}')")
        page.wait_for_timeout(2000)
    page.click("#flags > .label-wrap")
    for choice in ("surfels", "points"):
        page.get_by_label(choice, exact=True).click()
        page.wait_for_timeout(8000)
    page.click("#flags > .label-wrap")
    for button in ("#through", "#reset", "#play"):
        page.click(button)
        page.wait_for_timeout(3000)
    page.wait_for_selector("#play:has-text('Play')")
    page.click("#clear")
    page.wait_for_timeout(3000)


def _held_besides(server: Server) -> float:
    """Megabytes that this process's other children hold: the browser, and what drives it."""
    theirs = psutil.Process(server.process.pid)
    family = {theirs, *theirs.children(recursive=True)}
    others = set(psutil.Process().children(recursive=True)) - family
    held = 0.0
    for each in others:
        with suppress(psutil.NoSuchProcess):  # it ended while we looked
            held += each.memory_full_info().uss / 1e6
    return held


def _answers(server: Server) -> bool:
    try:
        httpx.get(server.address)
    except httpx.TransportError:
        return False
    return True


@contextmanager
def opened(browser: Browser, size: tuple[int, int]) -> Iterator[BrowserContext]:
    """A browser's context of its own, with windows of a size in pixels."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    try:
        yield context
    finally:
        context.close()


def main(
    frames: int = 60,
    page_size: tuple[int, int] = (1280, 720),
    runs: int = 3,
    minutes: float = 0.0,
) -> None:
    """Prints medians.

    Args:
        frames: of a run.
        page_size: of the browser's window, pixels.
        runs: with a browser.
        minutes: that one tab is used for; 0: start-up and a run's figures.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
        )
        if minutes:
            _tell_memory(list(_told(used(browser, page_size, minutes))))
        else:
            _tell(_of_start(browser, page_size) | _of_run(browser, frames, page_size, runs))


def _told(held: Iterator[dict[str, float]]) -> Iterator[dict[str, float]]:
    for each in held:
        sys.stdout.write(", ".join(f"{name} {mb:.0f} MB" for name, mb in each.items()) + "\n")
        sys.stdout.flush()
        yield each


def _tell_memory(held: list[dict[str, float]]) -> None:
    """The last third by the middle one: the first is warming up."""
    third = max(1, len(held) // 3)
    for name in held[0]:
        middle, last = (
            statistics.median(each[name] for each in part)
            for part in (held[-2 * third : -third] or held, held[-third:])
        )
        _tell({f"{name}, {len(held)} runs: last third by the middle one": f"{last / middle:.2f}"})


def _of_start(browser: Browser, page_size: tuple[int, int]) -> dict[str, str]:
    starts = [started(browser, page_size) for _ in range(_STARTS)]
    port, page, look = (
        statistics.median(getattr(each, name) for each in starts)
        for name in ("port_s", "page_s", "look_s")
    )
    return {
        "the port answers, s": f"{port:.2f}",
        "the page answers, s": f"{page:.2f}",
        "first look, s": f"{look:.2f}",
    }


def _of_run(browser: Browser, frames: int, page_size: tuple[int, int], runs: int) -> dict[str, str]:
    with served(frames) as (address, sessions):
        unseen, found = alone(sessions, frames), list[Figures]()
        for _ in range(runs):
            with opened(browser, page_size) as context:
                found.append(run_in(context.new_page(), address, sessions))

    def middle(name: str) -> float:
        return statistics.median(getattr(each, name) for each in found)

    done = middle("frames")
    return {
        "first points after Start, s": f"{middle('first_point_s'):.2f}",
        "kB a frame to the 3D view": f"{middle('viewer_bytes') / done / 1000:.1f}",
        "kB a frame to the page": f"{middle('page_bytes') / done / 1000:.1f}",
        "ms a frame with the browser": f"{1000 * middle('seconds') / done:.0f}",
        "ms a frame, nobody looks": f"{1000 * unseen / done:.0f}",
        "ratio": f"{middle('seconds') / unseen:.2f}",
    }


def _tell(rows: dict[str, str]) -> None:
    for name, value in rows.items():
        sys.stdout.write(f"{name:32} {value}\n")


if __name__ == "__main__":
    tyro.cli(main)
