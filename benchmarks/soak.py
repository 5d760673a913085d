"""Many visitors at once for a while, as scripts and as strangers' addresses: does it hold?

`python -m benchmarks.soak --minutes 30 --visitors 20`: every visitor starts an example, follows it
to its end, exports or compares now and then, leaves, and comes again. A place in the line, "busy"
and "full" are no errors. Afterwards everybody is gone for a minute: memory (of the server and all
its children) and descriptors should be back.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import tyro
from gradio_client import Client

ROOT = Path(__file__).resolve().parents[1]
_ALLOWED = ("busy", "full at the moment", "scenes are open", "Too many requests")


@dataclass
class Seen:
    """What one visitor saw.

    Attributes:
        frames: drawn in all runs.
        seconds: from Start until a run's end, all runs.
        first: seconds until each run's first frame.
        refused: sentences that are no errors, how often.
        errors: what should not have been said.
    """

    frames: int = 0
    seconds: float = 0.0
    first: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Footprint:
    """What the server and its children hold.

    Attributes:
        rss_mb: resident memory, all processes.
        descriptors: of the server.
        threads: of the server.
        processes: the server and its children.
    """

    rss_mb: float
    descriptors: int
    threads: int
    processes: int

    @classmethod
    def of(cls, server: psutil.Process) -> Footprint:
        family = [server, *server.children(recursive=True)]
        rss = sum(each.memory_full_info().uss for each in family if each.is_running())
        return cls(rss / 1e6, server.num_fds(), server.num_threads(), len(family))


def main(
    minutes: float = 30.0,
    visitors: int = 20,
    frames: int = 20,
    settle: float = 60.0,
    json_path: Path | None = None,
) -> int:
    """Runs the soak and prints what came of it.

    Args:
        minutes: how long visitors come.
        visitors: at once.
        frames: of each run.
        settle: seconds that everybody is gone for before memory is looked at.
        json_path: where the figures go too.
    """
    with tempfile.TemporaryDirectory() as store, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [sys.executable, "app.py", "--port", str(port), "--store", store]
        log = Path(store).with_suffix(".log").open("w+")
        with subprocess.Popen(command, cwd=ROOT, stderr=log) as process:  # noqa: S603
            try:
                report = _soak(process.pid, port, minutes, visitors, frames, settle)
                # Before it ends: uvicorn logs the streams that it cuts off then.
                report["tracebacks in the log"] = Path(log.name).read_text().count("Traceback")
            finally:
                process.terminate()
                process.wait(30)
        Path(log.name).unlink()
    text = json.dumps(report, indent=2)
    sys.stdout.write(text + "\n")
    if json_path is not None:
        json_path.write_text(text + "\n", "utf-8")
    return 1 if report["errors"] else 0


def _soak(pid: int, port: int, minutes: float, visitors: int, frames: int, settle: float) -> dict:
    address, server = f"http://127.0.0.1:{port}", psutil.Process(pid)
    _wait_ready(address)
    warm = Seen()
    _visit(
        address, "198.51.100.250", warm, frames, np.random.default_rng(0)
    )  # what is loaded once, is
    time.sleep(5)
    before = Footprint.of(server)
    ends, seen = time.monotonic() + 60 * minutes, [Seen() for _ in range(visitors)]
    threads = [
        threading.Thread(target=_come_again, args=(address, number, each, frames, ends))
        for number, each in enumerate(seen)
    ]
    for thread in threads:
        thread.start()
    peak = before
    while any(thread.is_alive() for thread in threads):
        time.sleep(2)
        peak = max(peak, Footprint.of(server), key=lambda each: each.rss_mb)
    time.sleep(settle)
    after = Footprint.of(server)
    rates = [each.frames / each.seconds for each in seen if each.seconds]
    first = np.array([value for each in seen for value in each.first] or [np.nan])
    return {
        "machine": f"{os.cpu_count()} cores",
        "visitors": visitors,
        "minutes": minutes,
        "frames": sum(each.frames for each in seen),
        "errors": warm.errors + [error for each in seen for error in each.errors],
        "refused": dict(sum((each.refused for each in seen), Counter())),
        "first frame, seconds (p50, p95, max)": [
            round(float(value), 2) for value in (*np.percentile(first, [50, 95]), first.max())
        ],
        "slowest visitor by fastest": round(min(rates) / max(rates), 2) if rates else None,
        "before": asdict(before),
        "peak": asdict(peak),
        "after": asdict(after),
        "memory after by before": round(after.rss_mb / before.rss_mb, 2),
    }


def _wait_ready(address: str) -> None:
    while True:
        try:
            if httpx.get(f"{address}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)


def _come_again(address: str, number: int, seen: Seen, frames: int, ends: float) -> None:
    chance = np.random.default_rng(number)
    while time.monotonic() < ends:
        try:
            _visit(address, f"198.51.100.{number + 1}", seen, frames, chance)
        except Exception as error:  # noqa: BLE001  # whatever a visitor meets is the result
            sentence = str(error) or repr(error)
            if any(word in sentence for word in _ALLOWED):
                seen.refused[sentence] += 1
                time.sleep(1)
            else:
                seen.errors.append(sentence)


def _visit(address: str, ip: str, seen: Seen, frames: int, chance: np.random.Generator) -> None:
    """One run, looked at to its end, and what people do then."""
    client = Client(address, verbose=False, headers={"X-Forwarded-For": ip})
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


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
