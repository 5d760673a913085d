"""Fixtures that several tests share. Real components throughout: no mocks."""

from __future__ import annotations

import math
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import rich
import torch
import uvicorn
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from PIL import Image

from svggt.engine.background_load import BackgroundLoad
from svggt.engine.checkpoints import LoadedModel, load_model
from svggt.engine.devices import choose_device
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.experiments.parity import Fixture
from svggt.media.frames import Fitter, Frame, InputLimits
from svggt.session.registry import Sessions
from svggt.settings import SessionLimits
from svggt.store.store import Store

PATIENCE = 180
"""Seconds in which what is waited for comes: two slow cores draw, compute and serve."""

DATA = Path(__file__).parent / "data"
os.environ.setdefault("GRADIO_TEMP_DIR", tempfile.mkdtemp(prefix="svggt-test-"))
if "PYTEST_XDIST_WORKER" in os.environ:  # the processes share the cores
    torch.set_num_threads(1)
rich.get_console().quiet = True  # viser announces every server
DEFAULT_TIMEOUT_CONFIG.read = PATIENCE  # of httpx, and so of gradio's client: it was five seconds


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--until",
        type=float,
        default=math.inf,
        help="Unix time after which no further test begins; those left out are named",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    if time.time() > item.config.getoption("--until"):
        pytest.skip(f"{item.nodeid}: left out, this machine is too slow for all in their time")


@pytest.fixture(scope="session")
def parity() -> Fixture:
    """The published implementation's outputs at a small size."""
    return Fixture.load(DATA / "landscape.safetensors")


@pytest.fixture(scope="session")
def tiny(parity: Fixture) -> LoadedModel:
    """The parity fixture's network as a loaded model: real weights, milliseconds a frame."""
    return LoadedModel(
        name="tiny",
        network=parity.network(),
        causal=True,
        input_width=84,
        device=choose_device("float32"),
        note="a test fixture",
        cameras_hold=True,
    )


@pytest.fixture(scope="session")
def embedded() -> LoadedModel:
    """The embedded weights."""
    return load_model("embedded", choose_device("float32"))


@pytest.fixture
def worker(tiny: LoadedModel) -> Iterator[LocalWorker]:
    """A worker with the tiny model."""
    local = LocalWorker(ModelRegistry([tiny]))
    yield local
    local.shutdown()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "store")
    yield made
    made.close()


@pytest.fixture
def sessions(worker: LocalWorker, store: Store) -> Iterator[Sessions]:
    made = Sessions(worker, SessionLimits(max_sessions=3, max_per_address=2), store)
    yield made
    made.shutdown()


def wait_for(
    condition: Callable[[], object],
    said: Callable[[], object] = lambda: "it never held",
    every: float = 0.01,
) -> None:
    """Waits until something holds, minutes on a slow machine; it is looked at every so often."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, said()
        time.sleep(every)


def make_frames(count: int, height: int = 56, width: int = 84, seed: int = 0) -> list[Frame]:
    """Frames of smooth noise that drifts: every frame differs, neighbours overlap."""
    return list(each_frame(count, height, width, seed))


def each_frame(count: int, height: int = 56, width: int = 84, seed: int = 0) -> Iterator[Frame]:
    """The same one by one, for runs that nobody sees the end of."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, 3, height // 4, (width + 8 * count) // 4, generator=generator)
    wide = torch.nn.functional.interpolate(noise, size=(height, width + 8 * count), mode="bicubic")
    pixels = (255 * wide[0].clamp(0, 1)).byte().permute(1, 2, 0).numpy()
    fitter = Fitter(width)
    for i in range(count):
        yield fitter.frame(i, i / 2, Image.fromarray(pixels[:, 8 * i : 8 * i + width].copy()))


@contextmanager
def serve(
    worker: LocalWorker,
    limits: InputLimits | None = None,
    session_limits: SessionLimits | None = None,
    load: BackgroundLoad | None = None,
    folder: Path | None = None,
    password: str = "",
) -> Iterator[tuple[str, Sessions]]:
    """The whole site under a real uvicorn on a free loopback port: its address and sessions."""
    from svggt.web.patience import PatientProtocol
    from svggt.web.server import build_site  # after GRADIO_TEMP_DIR is set

    store = Store(folder or Path(tempfile.mkdtemp(prefix="svggt-test-store-")))
    sessions = Sessions(worker, session_limits or SessionLimits(), store)
    site = build_site(sessions, limits or InputLimits(), load, password=password)
    config = uvicorn.Config(
        site,
        host="127.0.0.1",
        port=0,
        log_level="error",
        http=PatientProtocol,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="site")
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", sessions
    finally:
        server.should_exit = True
        thread.join()
        sessions.shutdown()
