"""The server as people start it: killed, and started again on the same folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client

from svggt.files import ASSETS
from svggt.store.recording import Recording


@contextmanager
def server(
    port: int,
    store: Path,
    environment: dict[str, str] | None = None,
    command: tuple[str, ...] = ("app.py",),
) -> Iterator[subprocess.Popen]:
    """`python app.py`, or the same by another name; killed at the end."""
    words = [sys.executable, *command, "--port", str(port), "--store", str(store)]
    process = subprocess.Popen(
        words,
        cwd=ASSETS.parent,
        env={**os.environ, **(environment or {})},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def client_of(port: int) -> Client:
    """Once it serves."""
    address, end = f"http://127.0.0.1:{port}", time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"{address}/healthz").status_code == 200:
                return Client(address, verbose=False)
        except httpx.TransportError:
            pass
        assert time.monotonic() < end
        time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
def test_a_killed_server_loses_no_frame(tmp_path: Path) -> None:
    port = free_port()
    with server(port, tmp_path):
        client = client_of(port)
        done = client.predict(source="example", max_frames=3, api_name="/start")
        *_, finished = client.submit(done["token"], api_name="/follow")
        broken = client.predict(source="example", max_frames=12, api_name="/start")
        for progress in client.submit(broken["token"], api_name="/follow"):
            if progress["frames_done"] >= 5:
                break
    with server(port, tmp_path):
        client = client_of(port)
        again = client.predict(done["token"], api_name="/progress")
        assert again == finished and again["state"] == "finished"
        made = client.predict(done["token"], "tum", api_name="/export")
        text = httpx.get(f"http://127.0.0.1:{port}{made['address']}").text
        assert len(text.splitlines()) == 4
        lost = client.predict(broken["reader_token"], api_name="/progress")
        assert lost["state"] == "interrupted" and 5 <= lost["frames_done"] < 12
        client.predict(broken["token"], api_name="/resume")
        *_, ended = client.submit(broken["token"], api_name="/follow")
        assert ended["state"] == "finished" and ended["frames_done"] == 12
    recordings = [Recording(path) for path in tmp_path.iterdir() if path.is_dir()]
    assert sorted(len(recording.frames) for recording in recordings) == [3, 12]
    assert all(np.isfinite(p.depth).all() for r in recordings for p in r.frames.predictions())


@pytest.mark.slow
def test_a_second_server_on_the_same_folder_is_told(tmp_path: Path) -> None:
    with server(port := free_port(), tmp_path):
        client_of(port).close()
        with server(free_port(), tmp_path, command=("-m", "svggt", "serve")) as second:
            _, said = second.communicate(timeout=60)
    assert "--store" in said and "Traceback" not in said and second.returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize("end", (signal.SIGTERM, signal.SIGINT), ids=("docker stop", "Ctrl-C"))
def test_a_server_told_to_end_keeps_what_runs(tmp_path: Path, end: signal.Signals) -> None:
    """Runs are kept as interrupted, files as sent are gone, and all that within ten seconds."""
    store, temporary = tmp_path / "store", tmp_path / "tmp"
    temporary.mkdir()
    with server(port := free_port(), store, {"TMPDIR": str(temporary)}) as process:
        client = client_of(port)
        begun = client.predict(source="example", max_frames=60, api_name="/start")
        for progress in client.submit(begun["token"], api_name="/follow"):
            if progress["frames_done"] >= 3:
                break
        assert any(temporary.glob("svggt-*"))
        process.send_signal(end)
        process.wait(timeout=10)
    (recording,) = (Recording(path) for path in store.iterdir() if path.is_dir())
    assert recording.about is not None and recording.about.state == "interrupted"
    assert 3 <= len(recording.frames) < 60
    assert not any(temporary.glob("svggt-*"))
