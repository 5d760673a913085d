"""The server as people start it: killed, and started again on the same folder."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client

from benchmarks.served import Server, serving
from svggt.store.recording import Recording


def client_of(server: Server) -> Client:
    """Once it serves."""
    server.wait_ready()
    return server.client()


@pytest.mark.slow
def test_a_killed_server_loses_no_frame(tmp_path: Path) -> None:
    store, log = tmp_path / "store", tmp_path / "log"
    with serving(store, log) as server:
        client = client_of(server)
        done = client.predict(source="example", max_frames=3, api_name="/start")
        *_, finished = client.submit(done["token"], api_name="/follow")
        broken = client.predict(source="example", max_frames=12, api_name="/start")
        for progress in client.submit(broken["token"], api_name="/follow"):
            if progress["frames_done"] >= 5:
                break
        server.process.kill()
    with serving(store, log) as server:
        client = client_of(server)
        again = client.predict(done["token"], api_name="/progress")
        # What a stream remembered went with its server; all else is on disk.
        assert again == finished | {"memory": None} and again["state"] == "finished"
        made = client.predict(done["token"], "tum", api_name="/export")
        text = httpx.get(f"{server.address}{made['address']}").text
        assert len(text.splitlines()) == 4
        lost = client.predict(broken["reader_token"], api_name="/progress")
        assert lost["state"] == "interrupted" and 5 <= lost["frames_done"] < 12
        client.predict(broken["token"], api_name="/resume")
        *_, ended = client.submit(broken["token"], api_name="/follow")
        assert ended["state"] == "finished" and ended["frames_done"] == 12
    recordings = [Recording(path) for path in store.iterdir() if path.is_dir()]
    assert sorted(len(recording.frames) for recording in recordings) == [3, 12]
    assert all(np.isfinite(p.depth).all() for r in recordings for p in r.frames.predictions())


@pytest.mark.slow
def test_a_second_server_on_the_same_folder_is_told(tmp_path: Path) -> None:
    store, log = tmp_path / "store", tmp_path / "second"
    with serving(store, tmp_path / "first") as first:
        client_of(first).close()
        with serving(store, log, command=("-m", "svggt", "serve")) as second:
            second.process.wait(timeout=60)
    said = log.read_text()
    assert "--store" in said and "Traceback" not in said and second.process.returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize("end", (signal.SIGTERM, signal.SIGINT), ids=("docker stop", "Ctrl-C"))
def test_a_server_told_to_end_keeps_what_runs(tmp_path: Path, end: signal.Signals) -> None:
    """Runs are kept as interrupted, files as sent are gone, and all that within ten seconds."""
    store, log, temporary = tmp_path / "store", tmp_path / "log", tmp_path / "tmp"
    temporary.mkdir()
    with serving(store, log, {"TMPDIR": str(temporary)}) as server:
        client = client_of(server)
        begun = client.predict(source="example", max_frames=60, api_name="/start")
        for progress in client.submit(begun["token"], api_name="/follow"):
            if progress["frames_done"] >= 3:
                break
        assert any(temporary.glob("svggt-*"))
        server.process.send_signal(end)
        server.process.wait(timeout=10)
    assert "Traceback" not in log.read_text()
    (recording,) = (Recording(path) for path in store.iterdir() if path.is_dir())
    assert recording.about is not None and recording.about.state == "interrupted"
    assert 3 <= len(recording.frames) < 60
    assert not any(temporary.glob("svggt-*"))
