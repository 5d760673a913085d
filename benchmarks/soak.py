"""Many visitors at once for a while, scripts and browsers: does it hold?

`python -m benchmarks.soak --minutes 30 --visitors 20` (two of them in Chromium): every visitor
starts an example from an address of its own, follows it to its end, exports now and then, leaves,
and comes again. A place in the line, "busy" and "full" are no errors; a call that gradio_client
gives up is counted apart: it may ask just when its stream of answers closes after the last one,
and waits for no other. Afterwards everybody is gone for a minute: memory (of the server and all its
children) and descriptors should be back.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import CancelledError
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tyro
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, Response, sync_playwright

from benchmarks.footprint import Footprint
from benchmarks.served import Server, serving

_PATIENCE_SECONDS = 300  # of somebody before a browser
_ALLOWED = ("busy", "full at the moment", "scenes are open", "Too many requests")


@dataclass
class Seen:
    """What one visitor saw.

    Attributes:
        frames: drawn in all runs.
        seconds: from Start until a run's end, all runs.
        first: seconds until each run's first frame.
        refused: sentences that are no errors, how often.
        given_up: calls that gradio_client cancelled by itself.
        errors: what should not have been said.
        failed: requests of browsers that were not answered well; a page that is left has some.
        in_browser: frames of runs that were watched in Chromium.
        browser_seconds: from Start until the page said that so many were done.
    """

    frames: int = 0
    seconds: float = 0.0
    first: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    given_up: int = 0
    errors: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    in_browser: int = 0
    browser_seconds: float = 0.0

    def answered(self, answer: Response) -> None:
        """Notes an answer to a browser, if it is a refusal."""
        if answer.status >= 400:
            self.failed.append(f"{answer.status} {answer.url}")

    def met(self, sentence: str) -> None:
        """Counts what was said in place of a result; a moment later one tries again."""
        if any(word in sentence for word in _ALLOWED):
            self.refused[next(word for word in _ALLOWED if word in sentence)] += 1
            time.sleep(1)
        else:
            self.errors.append(sentence)


def main(
    minutes: float = 30.0,
    visitors: int = 20,
    browsers: int = 2,
    frames: int = 20,
    settle: float = 60.0,
    json_path: Path | None = None,
) -> int:
    """Runs the soak and prints what came of it.

    Args:
        minutes: how long visitors come.
        visitors: at once.
        browsers: of them in Chromium; the others are scripts.
        frames: of each run.
        settle: seconds that everybody is gone for before memory is looked at.
        json_path: where the figures go too.
    """
    with tempfile.TemporaryDirectory() as base:
        log = Path(base, "log")
        with serving(Path(base, "store"), log) as server:
            server.wait_ready()
            report = _soak(server, minutes, visitors, browsers, frames, settle)
            # Before it ends: uvicorn says then which streams it cuts off.
            said = log.read_text()
            report["tracebacks in the log"] = said.count("Traceback")
            if "Traceback" in said:
                sys.stderr.write(said)
    text = json.dumps(report, indent=2)
    sys.stdout.write(text + "\n")
    if json_path is not None:
        json_path.write_text(text + "\n", "utf-8")
    return 1 if report["errors"] else 0


def _soak(
    server: Server, minutes: float, visitors: int, browsers: int, frames: int, settle: float
) -> dict:
    process, warm = psutil.Process(server.process.pid), Seen()
    chance = np.random.default_rng(0)
    _visit(server, "198.51.100.250", warm, frames, chance)  # what is loaded once, is
    time.sleep(5)
    before = Footprint.of(process)
    ends, seen = time.monotonic() + 60 * minutes, [Seen() for _ in range(visitors)]
    threads = [
        threading.Thread(
            target=_browse_again if number < browsers else _come_again,
            args=(server, number, each, frames, ends),
        )
        for number, each in enumerate(seen)
    ]
    for thread in threads:
        thread.start()
    peak = before
    while any(thread.is_alive() for thread in threads):
        time.sleep(2)
        peak = max(peak, Footprint.of(process), key=lambda each: each.uss_mb)
    time.sleep(settle)
    after = Footprint.of(process)
    rates = [each.frames / each.seconds for each in seen if each.seconds]
    first = np.array([value for each in seen for value in each.first] or [np.nan])
    return {
        "machine": f"{os.cpu_count()} cores",
        "visitors": visitors,
        "minutes": minutes,
        "frames": sum(each.frames for each in seen),
        "frames in Chromium": sum(each.in_browser for each in seen),
        "frames a second in Chromium by a script's": _ratio(
            [each.in_browser / each.browser_seconds for each in seen if each.browser_seconds], rates
        ),
        "errors": warm.errors + [error for each in seen for error in each.errors],
        "requests of browsers that failed": [each for one in seen for each in one.failed][:40],
        "calls that gradio_client gave up": sum(each.given_up for each in seen),
        "refused": dict(sum((each.refused for each in seen), Counter())),
        "first frame, seconds (p50, p95, max)": [
            round(float(value), 2) for value in (*np.percentile(first, [50, 95]), first.max())
        ],
        "slowest visitor by fastest": round(min(rates) / max(rates), 2) if rates else None,
        "before": asdict(before),
        "peak": asdict(peak),
        "after": asdict(after),
        "memory after by before": round(after.uss_mb / before.uss_mb, 2),
    }


def _ratio(rates: list[float], others: list[float]) -> float | None:
    return round(float(np.mean(rates) / np.mean(others)), 2) if rates and others else None


def _come_again(server: Server, number: int, seen: Seen, frames: int, ends: float) -> None:
    chance = np.random.default_rng(number)
    while time.monotonic() < ends:
        try:
            _visit(server, f"198.51.100.{number + 1}", seen, frames, chance)
        except CancelledError:
            seen.given_up += 1
        except Exception as error:  # noqa: BLE001  # whatever a visitor meets is the result
            seen.met(str(error) or repr(error))


def _visit(server: Server, ip: str, seen: Seen, frames: int, chance: np.random.Generator) -> None:
    """One run, looked at to its end, and what people do then."""
    client = server.client(ip)
    try:
        began, first = time.monotonic(), None
        opened: Any = client.predict(source="example", max_frames=frames, api_name="/start")
        token: str = opened["token"]
        last: Any = {}
        for last in client.submit(token=token, api_name="/follow"):
            if first is None and last["frames_done"]:
                first = time.monotonic() - began
                seen.first.append(first)
        seen.frames += last["frames_done"]
        seen.seconds += time.monotonic() - began
        if last["state"] != "finished":
            seen.errors.append(f"{last['state']}: {last['message']}")
        if chance.random() < 0.3:
            client.predict(token, "tum", api_name="/export")
        client.predict(token, api_name="/delete" if chance.random() < 0.5 else "/clear")
    finally:
        client.close()


def _browse_again(server: Server, number: int, seen: Seen, frames: int, ends: float) -> None:
    """The same in Chromium, with the scene drawn; each visit in a context of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),  # None: playwright's own
            args=["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
        )
        while time.monotonic() < ends:
            context = browser.new_context(
                viewport={"width": 1280, "height": 720},
                extra_http_headers={"X-Forwarded-For": f"198.51.100.{number + 1}"},
            )
            try:
                _browse(server, context.new_page(), seen, frames)
            except PlaywrightError as error:
                seen.met(error.message)
            context.close()
        browser.close()


def _browse(server: Server, page: Page, seen: Seen, frames: int) -> None:
    """A run begun, watched for some frames, stopped and cleared by clicks."""
    page.set_default_timeout(1000 * _PATIENCE_SECONDS)
    page.on("pageerror", lambda error: seen.errors.append(f"in the browser: {error}"))
    page.on("requestfailed", lambda request: seen.failed.append(f"{request.failure} {request.url}"))
    page.on("response", seen.answered)
    page.goto(server.address)
    page.wait_for_function("document.querySelector('#start')?.disabled === false")
    began = time.monotonic()
    page.click("#start")
    page.wait_for_function(
        "([count, busy]) => { const d = document.querySelectorAll('.figures dd');"
        " return (d.length == 4 && parseInt(d[3].innerText) >= count)"
        " || busy.some(word => document.body.innerText.includes(word)) }",
        arg=[frames, list(_ALLOWED)],
    )
    body = page.inner_text("body")
    if any(word in body for word in _ALLOWED):
        seen.met(body)
        return
    seen.in_browser += frames
    seen.browser_seconds += time.monotonic() - began
    for button in ("#stop", "#clear"):
        page.click(button)
        page.wait_for_function("document.querySelector('#start').disabled === false")


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
