"""What a run costs on its way to a browser: bytes and milliseconds a frame, time to first point.

`python -m benchmarks.page [--frames 60] [--page-size 1280 720]` serves the page here, opens it
in Chromium and runs the office example. Browser, page and model share this machine's cores, and
without a GPU the browser draws in software: the same run without a browser stands beside it.
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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tyro
import uvicorn
from playwright.sync_api import Page, sync_playwright

from svggt.engine.checkpoints import load_model
from svggt.engine.devices import choose_device
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.media.clips import open_clip
from svggt.media.frames import InputLimits
from svggt.session.registry import Sessions
from svggt.settings import SessionLimits, StreamSettings
from svggt.store.store import Store


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


def run_in(page: Page, address: str) -> Figures:
    """Starts the office example and counts until it has ended."""
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
    page.wait_for_selector("text=Finished:", timeout=600_000)
    seconds = time.perf_counter() - began
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


def main(frames: int = 60, page_size: tuple[int, int] = (1280, 720), runs: int = 3) -> None:
    """Prints medians.

    Args:
        frames: of a run.
        page_size: of the browser's window, pixels.
        runs: with a browser.
    """
    with served(frames) as (address, sessions), sync_playwright() as playwright:
        unseen = alone(sessions, frames)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
        )
        found = []
        for _ in range(runs):
            width, height = page_size
            context = browser.new_context(viewport={"width": width, "height": height})
            found.append(run_in(context.new_page(), address))
            context.close()

    def middle(name: str) -> float:
        return statistics.median(getattr(each, name) for each in found)

    done = middle("frames")
    rows = {
        "first points after Start, s": f"{middle('first_point_s'):.2f}",
        "kB a frame to the 3D view": f"{middle('viewer_bytes') / done / 1000:.1f}",
        "kB a frame to the page": f"{middle('page_bytes') / done / 1000:.1f}",
        "ms a frame with the browser": f"{1000 * middle('seconds') / done:.0f}",
        "ms a frame, nobody looks": f"{1000 * unseen / done:.0f}",
        "ratio": f"{middle('seconds') / unseen:.2f}",
    }
    for name, value in rows.items():
        sys.stdout.write(f"{name:32} {value}\n")


if __name__ == "__main__":
    tyro.cli(main)
