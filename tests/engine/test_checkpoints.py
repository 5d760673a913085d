"""Weights: strict, safe, quantised within a measured error, downloaded pinned and resumed."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from svggt.engine.checkpoints import HUB_FILES, automatic_model, load_model
from svggt.engine.devices import Device, choose_device
from svggt.engine.quantise import quantise, save_quantised
from svggt.errors import CheckpointError
from svggt.experiments.parity import Fixture, relative_error
from svggt.files import ASSETS, EMBEDDED_WEIGHTS
from svggt.model.config import PRESETS

DEVICE = choose_device("float32")


@pytest.fixture
def weights(parity: Fixture, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_file(parity.weights, path, metadata={"config": parity.config.to_json()})
    return path


def changed(weights: Path, parity: Fixture, change) -> Path:
    tensors = load_file(weights)
    change(tensors)
    save_file(tensors, weights, metadata={"config": parity.config.to_json()})
    return weights


def test_a_local_file_brings_its_own_sizes(weights: Path, parity: Fixture) -> None:
    model = load_model(str(weights), DEVICE)
    with torch.no_grad():
        depth = model.network(parity.images, causal=True).depth
    assert model.name == "tiny.safetensors"
    assert relative_error(depth, parity.recorded["causal/depth"]) <= 1e-5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("camera_head.token_norm.bias"), "missing camera_head.token_norm.bias"),
        (lambda t: t.update(extra=torch.zeros(1)), "unexpected extra"),
        (
            lambda t: t.update({"depth_head.norm.bias": torch.zeros(3)}),
            r"depth_head.norm.bias is \(3,\)",
        ),
    ],
    ids=["missing", "unexpected", "misshapen"],
)
def test_what_does_not_fit_is_named(weights: Path, parity: Fixture, change, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_model(str(changed(weights, parity, change)), DEVICE)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="weights only"):
        load_model(str(tmp_path / "evil.pth"), DEVICE)
    assert not (tmp_path / "ran").exists()


def test_a_pth_of_other_sizes_is_refused_by_name(parity: Fixture, tmp_path: Path) -> None:
    torch.save(parity.weights, tmp_path / "small.pth")
    with pytest.raises(CheckpointError, match="does not fit"):
        load_model(str(tmp_path / "small.pth"), DEVICE)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".txt"])
def test_damaged_files_get_a_sentence(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"garbage" * 100)
    with pytest.raises(CheckpointError, match="x"):
        load_model(str(path), DEVICE)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(CheckpointError, match="streamvggt-1b"):
        load_model("vggt-2b", DEVICE)


def test_auto_needs_a_device_with_room() -> None:
    gpu = Device(torch.device("cpu"), torch.float32, "test", free_bytes=40 << 30)
    assert automatic_model(gpu) == "streamvggt-1b"
    assert automatic_model(dataclasses.replace(gpu, free_bytes=4 << 30)) == "embedded"
    assert automatic_model(dataclasses.replace(gpu, free_bytes=None)) == "embedded"


def test_hub_files_are_pinned_to_commits() -> None:
    assert all(len(file.revision) == 40 for file in HUB_FILES.values())


def test_one_embedded_file_serves_both_presets(embedded) -> None:
    offline = load_model("embedded-offline", DEVICE)
    assert embedded.causal and not offline.causal
    assert PRESETS["embedded"].config == PRESETS["embedded-offline"].config


def test_the_embedded_file_is_at_most_26_mib() -> None:
    assert EMBEDDED_WEIGHTS.stat().st_size <= 26 * 2**20


def test_clips_are_at_most_8_mib_and_say_nothing_of_their_makers() -> None:
    clips = list((ASSETS / "clips").glob("*.mp4"))
    assert len(clips) == 4 and sum(c.stat().st_size for c in clips) <= 8 * 2**20
    for clip in clips:
        data = clip.read_bytes()
        assert not any(word in data for word in (b"Apple", b"iPhone", b"ISO6709", b"+40.34"))


def test_int8_is_within_half_a_step(parity: Fixture, tmp_path: Path) -> None:
    network = parity.network()
    stored = quantise(network)
    for name, weight in network.state_dict().items():
        if stored[name].dtype == torch.int8:
            step = stored[f"{name}.scale"]
            assert ((stored[name] * step - weight).abs() <= 0.5001 * step).all(), name
    save_quantised(network, tmp_path / "q.safetensors")
    loaded = load_model(str(tmp_path / "q.safetensors"), DEVICE).network
    with torch.no_grad():
        depth = loaded(parity.images, causal=True).depth
    assert relative_error(depth, parity.recorded["causal/depth"]) <= 0.02


class Hub(BaseHTTPRequestHandler):
    """Speaks as much of the hub's protocol as a download needs; cuts its first answer short."""

    content = os.urandom(1000) * 24_000  # more than two of the hub's chunks of 10 MiB
    ranges: list[str | None] = []  # noqa: RUF012  # what a test reads afterwards

    def do_HEAD(self) -> None:
        self._head(200, len(self.content))

    def do_GET(self) -> None:
        if "/resolve/" not in self.path:
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        self.ranges.append(asked)
        start = int(asked.split("=")[1].split("-")[0]) if asked else 0
        rest = self.content[start:]
        self._head(206 if asked else 200, len(rest), start)
        self.wfile.write(rest[:12_000_000] if len(self.ranges) == 1 else rest)

    def _head(self, code: int, length: int, start: int = 0) -> None:
        size = len(self.content)
        self.send_response(code)
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.path.split("/")[4])
        if code == 206:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Hub.ranges.clear()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


DOWNLOAD = """
from svggt.engine.checkpoints import HubFile, download
seen = []
path = download(HubFile("lab/weights", "w.bin", "a" * 40), lambda *n: seen.append(n))
print(path, *(seen or [()])[-1])
"""


def run_download(home: Path, endpoint: str) -> subprocess.CompletedProcess:
    environment = os.environ | {
        "HF_HOME": str(home),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_ETAG_TIMEOUT": "2",
    }
    return subprocess.run(
        [sys.executable, "-c", DOWNLOAD], env=environment, capture_output=True, text=True
    )


@pytest.mark.slow
def test_a_download_is_resumed_reported_and_cached(hub: str, tmp_path: Path) -> None:
    done = run_download(tmp_path, hub)
    assert done.returncode == 0, done.stderr
    path, reported, total = done.stdout.split()
    assert Path(path).read_bytes() == Hub.content
    assert int(reported) == int(total) == len(Hub.content)
    assert Hub.ranges[0] is None and Hub.ranges[-1] == "bytes=10485760-"
    before = len(Hub.ranges)
    assert run_download(tmp_path, hub).stdout.split()[0] == path
    assert len(Hub.ranges) == before  # from the cache


@pytest.mark.slow  # the hub library tries for half a minute
def test_without_a_network_a_sentence_names_what_to_do(tmp_path: Path) -> None:
    done = run_download(tmp_path, "http://127.0.0.1:9")
    assert done.returncode != 0
    assert "CheckpointError" in done.stderr
    assert "--model PATH" in done.stderr and "--model embedded" in done.stderr
