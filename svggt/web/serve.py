"""The page as a command: settings -> models -> worker -> sessions -> site."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import sys
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import rich
import tyro
import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from svggt.media.frames import InputLimits
from svggt.settings import AUTO, Precision, SessionLimits
from svggt.view_options import CamerasChoice
from svggt.web.loading import LoadingSite
from svggt.web.observe import LogFormat, serve_metrics, set_up_logs
from svggt.web.patience import PatientProtocol
from svggt.web.temporary import temporary_folder

if TYPE_CHECKING:  # the port answers before it is imported
    from fastapi import FastAPI

    from svggt.cluster.ray_worker import RayWorker
    from svggt.engine.background_load import BackgroundLoad
    from svggt.engine.local_worker import LocalWorker

_M_ARENA_MAX = -8  # of glibc's malloc.h


@dataclass(frozen=True)
class ServeSettings:
    """Serve the page.

    Attributes:
        model: auto, streamvggt-1b, vggt-1b, embedded, or a path to .safetensors, .pt or .pth.
        host: address to listen on; 0.0.0.0 for all.
        port: port to listen on.
        cache_bytes: for the cached token memories of all streams together; others wait on disk.
        ssl_certfile: certificate (PEM) to serve https by; other hosts' cameras need it.
        ssl_keyfile: its key.
        store: folder that sessions are kept in, to be looked at and resumed later.
        keep: days that a session is kept after it has ended.
        store_bytes: for all sessions on disk; the oldest go first.
        cameras: that a scene is shown by at first: the camera head's, or refined by tracking;
            auto is refined where the weights' head does not hold.
        precision: numbers of the backbone; auto is bf16, or fp16 on older GPUs, and what is
            faster on a CPU: bf16 or float32.
        input: limits on what a visitor may send.
        session: limits on how many sessions there are and how long they last.
        allow_origin: further pages, as https://host, that may open the 3D view's socket.
        allowed_hosts: names that the server answers to, besides addresses, localhost and a Space's.
        password: that visitors must know, for a private server; the environment's SVGGT_PASSWORD
            is not seen by other users of the machine.
        log_format: a line a record, or a JSON object; tokens are left out of both.
        metrics_port: port on loopback for Prometheus' /metrics; 0 for none.
        trust_proxy: addresses of proxies whose X-Forwarded-For is believed, comma-separated.
        workers: where streams run: in this process, or in so many of this machine's, or on a Ray
            cluster at an address, as ray://host:10001; see docs/cluster.md.
    """

    model: str = AUTO
    host: str = "127.0.0.1"
    port: int = 7860
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    store: Path = Path("~/.cache/svggt/sessions")
    keep: float = 1.0
    store_bytes: int = 20_000_000_000
    cameras: CamerasChoice = "auto"
    precision: Precision = "auto"
    cache_bytes: int = 8_000_000_000
    input: InputLimits = field(default_factory=InputLimits)
    session: SessionLimits = field(default_factory=SessionLimits)
    allow_origin: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    password: str | None = None
    log_format: LogFormat = "text"
    metrics_port: int = 0
    trust_proxy: str = "127.0.0.1"
    workers: str = "0"


def serve(settings: Annotated[ServeSettings, tyro.conf.arg(name="")]) -> None:
    """Serve the page until Ctrl-C, or SIGTERM: both keep what runs."""
    for number in HANDLED_SIGNALS:  # uvicorn raises it once more when it has shut down
        signal.signal(number, _end)
    set_up_logs(settings.log_format)
    with contextlib.suppress(AttributeError, OSError):  # glibc: few arenas can be given back
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
    rich.get_console().quiet = True  # viser announces every session's server
    with (
        temporary_folder(Path(tempfile.gettempdir())) as uploads,
        contextlib.ExitStack() as opened,
    ):
        os.environ["GRADIO_TEMP_DIR"] = str(uploads)  # read when gradio is imported
        loading = LoadingSite(lambda: _build(settings, opened), lambda: _ready(server, loading))
        config = uvicorn.Config(
            loading,
            host=settings.host,
            port=settings.port,
            http=PatientProtocol,
            ssl_certfile=settings.ssl_certfile,
            ssl_keyfile=settings.ssl_keyfile,
            ws_per_message_deflate=False,  # points do not compress; it only costs time
            forwarded_allow_ips=settings.trust_proxy,
            log_config=None,  # ours, for every library
            log_level="warning",
            timeout_graceful_shutdown=5,
        )
        server = uvicorn.Server(config)
        server.run()
        if loading.error is not None:
            raise loading.error


def _build(settings: ServeSettings, opened: contextlib.ExitStack) -> FastAPI:
    """The site, which takes seconds: weights, and imports that are heavy.

    Args:
        settings: what was asked for.
        opened: ends what is begun here.
    """
    from svggt.session.registry import Sessions
    from svggt.store.store import Store
    from svggt.web.server import build_site

    store = Store(settings.store, settings.keep * 86_400, settings.store_bytes)
    opened.callback(store.close)
    here = settings.workers.isdecimal() and int(settings.workers) == 0
    worker, load = _worker_here(settings) if here else (_workers_elsewhere(settings, opened), None)
    opened.callback(worker.shutdown)
    sessions = Sessions(worker, settings.session, store)
    opened.callback(sessions.shutdown)
    site = build_site(
        sessions,
        settings.input,
        load,
        frozenset(settings.allow_origin),
        settings.cameras,
        (settings.host, *settings.allowed_hosts),
        settings.password or os.environ.get("SVGGT_PASSWORD", ""),
    )
    opened.callback(site.state.exporter.close)
    if settings.metrics_port:
        serve_metrics(settings.metrics_port, sessions, worker)
    gc.collect()
    gc.freeze()  # what lives as long as the server is looked at no more
    return site


def _worker_here(settings: ServeSettings) -> tuple[LocalWorker, BackgroundLoad | None]:
    """Streams in this process; weights that take long to come are loaded meanwhile."""
    from svggt.engine.background_load import BackgroundLoad
    from svggt.engine.checkpoints import HUB_FILES, chosen_model, load_model
    from svggt.engine.devices import choose_device
    from svggt.engine.local_worker import LocalWorker
    from svggt.engine.model_registry import ModelRegistry
    from svggt.engine.weight_cache import loaders_of

    device = choose_device(settings.precision)
    models = ModelRegistry(loaders=loaders_of(device))
    wanted = chosen_model(settings.model, device)
    load = None
    if wanted in HUB_FILES:  # gigabytes: the page is live meanwhile
        models.add(load_model("embedded", device))
        load = BackgroundLoad(wanted, partial(load_model, wanted, device), models)
    else:
        models.add(load_model(wanted, device))
    return LocalWorker(models, settings.cache_bytes), load


def _workers_elsewhere(settings: ServeSettings, opened: contextlib.ExitStack) -> RayWorker:
    """Streams on the workers of a cluster.

    Raises:
        ClusterRefused: there is none to be had.
    """
    from svggt.cluster.cluster import cluster

    workers = cluster(settings.workers, settings.model, settings.precision, settings.cache_bytes)
    actors = opened.enter_context(workers)
    from svggt.cluster.ray_worker import RayWorker  # Ray reads the environment that was set

    return RayWorker(actors)


def _ready(server: uvicorn.Server, loading: LoadingSite) -> None:
    """Takes signals back, which an import may have taken (glog does); or ends what failed."""
    for number in HANDLED_SIGNALS:
        signal.signal(number, server.handle_exit)
    server.should_exit = loading.error is not None


def _end(*_: object) -> NoReturn:
    sys.exit(0)
